// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

// Package receipts tells a component that hands on events what became of each copy of them.
//
// A processor registers the copies of a batch ([Batch]) and hands the batch on with a context that carries them. Inside
// its ConsumeLogs and with that context, an exporter claims the copies that it takes ([Book.Claim]); later it settles
// each one as delivered or not ([Book.Settle]). Neither requires the other: the processor itself decides about a copy
// that nobody claims, because it goes to another process, to a file, or through a queue that drops the context, and
// what an exporter settles without a claim goes to the Sink that remembers it from an earlier process.
//
// A processor stops before its exporters. Its receipts still arrive until those have stopped ([Retire], [Book.Close]).
//
// Receipts are for copies, not insert_ids: of two copies of one event in flight in one exporter, the first receipt is
// for the first copy.
package receipts // import "github.com/otelcol-amplitude/otelcol-amplitude/internal/amplitude/receipts"
