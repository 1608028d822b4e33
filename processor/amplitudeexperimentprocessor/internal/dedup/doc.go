// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

// Package dedup remembers what Amplitude holds, and decides by that which events are new and which user properties have to
// be set right.
//
// # Words
//
// A fact is that an event with some subject and result was sent on some day; an event goes out once per fact. A property is
// what Amplitude was last told of one person for one flag, in the order of delivery, with the newest event time met, and
// whether it is sure that nothing else was told since. The person is the user of a record, else the last user on its
// device, else the device. A copy is one event or $identify that was handed on; until its receipt it is on its way, as nodes
// in front of the properties that it moves. A move is what a copy does to a property.
//
// # Rules
//
//	decide(record)                                    one person at a time
//	  t = event time, believed up to the latest arrival
//	  known = its fact was delivered or is on its way
//	  for each flag:
//	    e = what is on its way last, else the property
//	    older than seven days at arrival, or from before the login: left out
//	    nothing known of it: the event sets it; if known, or perhaps sent by a former life, a $identify as well
//	    t < newest: late, left out
//	    the same value, and sure or new for certain: the event sets it
//	    otherwise, with a token: the event sets it, and a $identify as well
//	  known, and nothing to repair: a repeat
//	  known: each flag with the present value says so, and raises its newest time
//
//	refused: the nodes go
//	accepted: the nodes go to the end of the way, the newest times rise, the device gets its user
//	receipt of a copy:
//	  delivered: fact and moves are part of the ledger; of a second copy of a fact nothing
//	  not delivered: nothing to restore; if it may have arrived in part, what it moves is not sure
//	nobody claimed the copy: delivered
//	more is on its way than max_entries: not followed, so it makes no repeat, and what it moves is not sure
//
//	start after a stop: as it was
//	start after a kill: what was on its way, and who was about in the last half minute, is not sure
//	start after a storage that failed: nothing is sure, and no event of the window is new for certain
//	Redis is back: it is told first, then asked
//
// reference_test.go is the same set of rules in its plainest form, with a model Amplitude and a random world; the tests
// play it and the ledger side by side.
//
// # Where the rules as first written were wrong
//
// A repeat raised the newest time only if nothing had to be repaired: {f A, g unset}, f=B, {f A, g unset} again, and a late
// {f unset, g B} from between left g at B. Every known record raises (TestRules).
//
// Two batches that overlap can move a property of which nothing was known to two values. Killed before that was written,
// the next process took a report of the first value for new, and Amplitude dropped it by its insert_id. Such copies are
// written at once, and what they move is not sure (TestKilledBeforeItIsWritten).
//
// A, B and A were delivered, B again got no answer and was given up: Amplitude had B, and each A was a repeat. The same
// with B delivered by one of two exporters (TestGivenUpWithoutAnAnswer).
//
// When Redis was back it was told only what was sure. What a receipt of a former life had told meanwhile was not among
// that, and the other replicas went on from what was there before (TestBeyondTheReference).
//
// After a kill nothing was sure, and no event of the day new for certain: that sent each property of the day once more. With
// a row for each receipt and for each copy on its way only what was not settled is in doubt, and what a storage that failed
// in the last moments may hide (TestWhatAKillCosts, TestStorageFailsAndTheProcessIsKilled).
//
// A second copy of an event gave the device to its user, and a record of the device alone was taken for that user's. Amplitude
// drops the copy before it looks whose device that is; another user may have come in between (TestSecondCopyTakesNoDevice).
//
// A clock of the Collector that was set back made each record late until it had caught up
// (TestClockOfTheCollectorIsSetBack).
//
// # The path of a record, with the file of each step
//
//	Reserve   reserve.go, decide.go   a batch sees itself (batch.go)
//	Accept    reserve.go, way.go      what is on its way (shard.go)
//	Settle    settle.go               a receipt; former.go: of what was on its way when the last process ended
//	kept      table.go                bounded tables without pointers; keep.go, rows.go, journal.go: on a storage extension
//	shared    remote.go, redis.go     with other replicas
package dedup // import "github.com/otelcol-amplitude/otelcol-amplitude/processor/amplitudeexperimentprocessor/internal/dedup"
