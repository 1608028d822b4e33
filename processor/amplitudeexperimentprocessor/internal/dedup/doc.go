// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

// Package dedup tracks what Amplitude holds. From that it decides which events are new and which user properties must
// be corrected.
//
// # Terms
//
// A fact is that an event with some subject and result was sent on some day; an event is sent once per fact. A property
// is the value last sent to Amplitude for one person and one flag, in the order of delivery, with the newest event time
// seen, and whether it is certain that nothing else was sent since. The person is the user of a record, else the last
// user on its device, else the device. A copy is one event or $identify that was handed on; until its receipt arrives
// it is on its way, as nodes in front of the properties that it moves. A move is what a copy does to a property.
//
// # Rules
//
//	decide(record)                                    one person at a time
//	  t = event time, believed up to the latest arrival
//	  known = its fact was delivered or is on its way
//	  for each flag:
//	    e = the last value on its way, else the property
//	    older than seven days at arrival, or from before the login: left out
//	    no value known: the event sets it; if known, or perhaps sent by an earlier process, a $identify as well
//	    t < newest: late, left out
//	    the same value, and it is sure or the event is certainly new: the event sets it
//	    otherwise, with a token: the event sets it, and a $identify as well
//	  known, and nothing to repair: a repeat
//	  known: each flag with the current value confirms it, and raises its newest time
//
//	refused: the nodes are removed
//	accepted: the nodes move to the end of the way, the newest times rise, the device gets its user
//	receipt of a copy:
//	  delivered: fact and moves become part of the ledger; nothing for a second copy of a fact
//	  not delivered: nothing to restore; if it may have arrived in part, what it moves is not sure
//	no exporter claimed the copy: delivered
//	more is on its way than max_entries: not tracked, so it makes no repeat, and what it moves is not sure
//
//	start after a shutdown: the state is as it was
//	start after a kill: what was on its way, and persons seen in the last half minute, are not sure
//	start after a failing storage: nothing is sure, and no event of the window is certainly new
//	Redis is back: first write to it, then read from it
//
// reference_test.go implements the same rules in their plainest form, with a model of Amplitude and a random world; the
// tests run it and the ledger side by side.
//
// # Mistakes in earlier versions of the rules
//
// A repeat raised the newest time only if nothing had to be repaired: {f A, g unset}, f=B, {f A, g unset} again, and a
// late {f unset, g B} from between left g at B. Now every known record raises it (TestRules).
//
// Two overlapping batches can move a previously unknown property to two values. If the process was killed before that
// was written, the next process took a report of the first value for new, and Amplitude dropped it by its insert_id.
// Such copies are written immediately, and what they move is not sure (TestKilledBeforeItIsWritten).
//
// A, B and A were delivered, and a second B got no answer and was given up: Amplitude had B, but each A counted as a
// repeat. The same happened with B delivered by one of two exporters (TestGivenUpWithoutAnAnswer).
//
// When Redis came back, only what was sure was written to it. What a receipt of an earlier process had reported in the
// meantime was missing, and the other replicas continued from the older state (TestBeyondTheReference).
//
// After a kill nothing was sure, and no event of the day was certainly new, which sent each property of the day again.
// With a row for each receipt and for each copy on its way, only what was not settled is in doubt, and what a storage
// that failed in the last moments may hide (TestWhatAKillCosts, TestStorageFailsAndTheProcessIsKilled).
//
// A second copy of an event assigned the device to its user, and a record with only that device was attributed to that
// user. But Amplitude drops the copy before it looks up whose device it is, and another user may have come in between
// (TestSecondCopyDoesNotTakeTheDevice).
//
// When the Collector's clock was set back, every record was late until the clock had caught up
// (TestClockOfTheCollectorIsSetBack).
//
// # The path of a record, with the file of each step
//
//	Reserve   reserve.go, decide.go   a batch sees its own records (batch.go)
//	Accept    reserve.go, way.go      what is on its way (shard.go)
//	Settle    settle.go               a receipt; former.go: for what was on its way when the last process ended
//	stored    table.go                bounded tables without pointers; keep.go, rows.go, journal.go: on a storage extension
//	shared    remote.go, redis.go     with other replicas
package dedup // import "github.com/otelcol-amplitude/otelcol-amplitude/processor/amplitudeexperimentprocessor/internal/dedup"
