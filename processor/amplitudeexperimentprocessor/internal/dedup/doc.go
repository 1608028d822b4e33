// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

// Package dedup remembers what Amplitude holds, and decides by that which events are new and which user properties have to
// be set right.
//
// Two things are remembered, in the [Ledger]. Facts: an event goes out once per subject, result and day. Properties: what
// Amplitude was last told of each person's property for each flag, in the order of delivery, and the newest event time met.
// A record whose event went out already, while the property is another one or may be, sets the property by a $identify.
//
// What becomes of a batch is decided by [Ledger.Reserve]; [Reservation.Accept] puts it on its way, in front of the
// ledger, where it makes its repeats repeats; the receipt of its exporter (package receipts) makes it part of the ledger, or
// takes it away as if it had never been. What nobody claims counts as delivered.
//
// The path of a record, with the file of each step:
//
//	Reserve   reserve.go, decide.go   a batch sees itself (batch.go)
//	Accept    reserve.go, way.go      what is on its way, as nodes in front of the properties (shard.go)
//	Settle    settle.go               a receipt; former.go: of what was on its way when the last process ended
//	kept      table.go                bounded tables without pointers; keep.go, rows.go, journal.go: on a storage extension
//	shared    remote.go, redis.go     with other replicas
//
// reference_test.go is the same set of rules in its plainest form, with a model Amplitude and a random world; the tests
// play it and the ledger side by side.
package dedup // import "github.com/otelcol-amplitude/otelcol-amplitude/processor/amplitudeexperimentprocessor/internal/dedup"
