// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package orderedqueue // import "github.com/otelcol-amplitude/otelcol-amplitude/exporter/amplitudeexporter/internal/orderedqueue"

import (
	"maps"
	"sync"
	"sync/atomic"

	"go.opentelemetry.io/collector/exporter/exporterhelper/xexporterhelper"

	"github.com/otelcol-amplitude/otelcol-amplitude/exporter/amplitudeexporter/internal/records"
)

// waiting tracks whether anything waits behind the batch being delivered, with batches, partitions or neither.
type waiting struct {
	// inMemory counts the unfinished records that were taken out of the storage, or are in a queue without one.
	inMemory atomic.Int64
	// onDisk: the storage has requests that were not taken out.
	onDisk atomic.Bool

	mu sync.Mutex
	// first is the arrival time of the earliest record of each batch that is being delivered or waits for its next
	// attempt.
	first map[*Try]int64
}

// behind reports whether there is more than this batch.
func (w *waiting) behind(r *request) bool {
	return w.onDisk.Load() || w.inMemory.Load() > int64(r.items)
}

// delivering notes that a batch is being delivered, and done that it no longer is. Both return the arrival time of the
// earliest record of all such batches, or 0.
func (w *waiting) delivering(r *request) int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.first == nil {
		w.first = map[*Try]int64{}
	}
	w.first[r.try] = r.parts.Arrived()
	return w.earliest()
}

func (w *waiting) done(r *request) int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.first, r.try)
	return w.earliest()
}

func (w *waiting) earliest() int64 { return records.Earliest(maps.Values(w.first)) }

// came counts arrived records.
func (w *waiting) came(records int) { w.inMemory.Add(int64(records)) }

// went counts the finished records of a batch with this many records; left is what has to be retried, or nil.
func (w *waiting) went(records int, left xexporterhelper.Request) {
	if left != nil {
		records -= left.ItemsCount()
	}
	w.inMemory.Add(-int64(records))
}

// index reads the queue's index.
func (w *waiting) index(raw []byte) {
	if q, ok := parseIndex(raw); ok {
		w.onDisk.Store(q.fields[fieldWrite] > q.fields[fieldRead])
	}
}
