// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package receipts // import "github.com/otelcol-amplitude/otelcol-amplitude/internal/amplitude/receipts"

import (
	"context"
	"sync"
)

// Batch is what a processor hands on at once. It is reused for the next batch.
type Batch struct {
	mu     sync.Mutex
	sink   SinkID
	copies []copyOf
	// places finds copies that arrive in a different order.
	places map[uint64]int
	open   *handle
}

type copyOf struct {
	key, token uint64
	claims     int
}

// handle is stored in a context. If it outlives its batch, it finds the batch closed.
type handle struct{ batch *Batch }

type contextKey struct{}

// Begin starts a batch of a Sink.
func (b *Batch) Begin(sink SinkID) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.sink, b.copies, b.places = sink, b.copies[:0], nil
	b.open = &handle{b}
}

// Add registers the next copy, in the order of the records.
func (b *Batch) Add(key, token uint64) { b.copies = append(b.copies, copyOf{key: key, token: token}) }

// Context returns a context that lets exporters claim the copies, until Close.
func (b *Batch) Context(ctx context.Context) context.Context {
	return context.WithValue(ctx, contextKey{}, b.open)
}

// Close stops accepting claims.
func (b *Batch) Close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.open = nil
}

// Claims returns the number of exporters that claimed copy i and did not undo that. It is final after Close.
func (b *Batch) Claims(i int) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	if i >= len(b.copies) {
		return 0
	}
	return b.copies[i].claims
}

// find returns the index of the copy with this key, or -1. at is its index if no record is missing.
func (b *Batch) find(key uint64, at int) int {
	const near = 16
	for i := at; i < min(at+near, len(b.copies)); i++ {
		if b.copies[i].key == key {
			return i
		}
	}
	if b.places == nil {
		b.places = make(map[uint64]int, len(b.copies))
		for i := range b.copies {
			b.places[b.copies[i].key] = i
		}
	}
	if i, ok := b.places[key]; ok {
		return i
	}
	return -1
}
