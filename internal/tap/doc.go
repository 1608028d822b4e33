// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

// Package tap reports, on demand, what the processors of this process decide about each record, and what becomes of its
// events, up to Amplitude's answer.
//
// A processor asks [Watched] for each batch. If someone watches, it opens a [Batch], offers every record to it with its
// outcome, and explains those that a watcher has room for. Then it reports the next component's answer. The receipts of
// exporters (package receipts) provide the rest. If no one watches, that question is the only cost.
//
// A watcher ([Watch]) receives a limited number of records a second, rare outcomes first, and loses the oldest if it
// does not read; what it misses is counted. [Handler] serves watchers over HTTP, and masks ids unless configured
// otherwise. The counts ([Counts]) cover the processors since they started, with or without watchers.
package tap // import "github.com/otelcol-amplitude/otelcol-amplitude/internal/tap"
