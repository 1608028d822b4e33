// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

// Package tap tells, on demand, what the processors of this process decide about each record, and what becomes of the
// events: the way from the record to Amplitude's answer.
//
// A processor asks [Watched] for each batch. If somebody watches, it opens a [Batch], offers every record to it with
// its outcome, and explains those that a watcher has room for. Then it says what the next component answered. The rest
// of the way is told by the receipts of exporters (package receipts). If nobody watches, that one question is all it costs.
//
// A watcher ([Watch]) is given no more than so many records a second, rare outcomes first, and loses the oldest if it
// does not read; what it is not given is counted. [Handler] serves watchers over HTTP, and masks ids unless it is told
// not to. The counts ([Counts]) are those of the processors since they started, whoever watches.
package tap // import "github.com/otelcol-amplitude/otelcol-amplitude/internal/tap"
