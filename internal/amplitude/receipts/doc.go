// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

// Package receipts tells a component that hands events on what became of each copy of them.
//
// A processor registers the copies of a batch ([Batch]) and hands the batch on with a context that knows them. An exporter
// claims, inside its ConsumeLogs and with that context, the copies that it takes ([Book.Claim]); later it settles each, as
// delivered or not ([Book.Settle]). Neither needs the other: a copy that nobody claims, because it goes to another process,
// to a file, or through a queue that breaks the context, is the processor's to judge, and what an exporter settles
// without a claim goes to whoever remembers it from a former life of the process.
//
// A processor stops before its exporters. Its receipts still arrive until those have stopped ([Retire], [Book.Close]).
//
// Settled is a copy, not an insert_id: of two copies of one event on their way in one exporter, the first receipt is for
// the first.
package receipts // import "github.com/otelcol-amplitude/otelcol-amplitude/internal/amplitude/receipts"
