// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package sandbox // import "github.com/otelcol-amplitude/otelcol-amplitude/sandbox"

// ring keeps the newest items within a number and a size.
type ring[T any] struct {
	limit int
	bytes int64
	size  func(T) int64
	items []T // a circle
	head  int // the oldest
	n     int
	used  int64
	gone  uint64 // dropped items
}

func newRing[T any](limit int, bytes int64, size func(T) int64) *ring[T] {
	return &ring[T]{limit: limit, bytes: bytes, size: size}
}

func (r *ring[T]) push(item T) {
	r.used += r.size(item)
	for r.n > 0 && (r.n >= r.limit || r.used > r.bytes) {
		r.drop()
	}
	if r.n == len(r.items) {
		r.grow()
	}
	r.items[(r.head+r.n)%len(r.items)] = item
	r.n++
}

func (r *ring[T]) drop() {
	var zero T
	r.used -= r.size(r.items[r.head])
	r.items[r.head] = zero
	r.head = (r.head + 1) % len(r.items)
	r.n--
	r.gone++
}

func (r *ring[T]) grow() {
	bigger := make([]T, min(max(64, 2*len(r.items)), r.limit))
	for i := range r.n {
		bigger[i] = r.at(i)
	}
	r.items, r.head = bigger, 0
}

// at returns item i, 0 being the oldest.
func (r *ring[T]) at(i int) T { return r.items[(r.head+i)%len(r.items)] }
