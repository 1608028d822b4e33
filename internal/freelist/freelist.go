// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

// Package freelist keeps values for the next use. Unlike a [sync.Pool] it is not emptied by the garbage collector,
// which runs more often than a batch comes: what a value has learned, and the memory it has grown to, stay.
package freelist // import "github.com/otelcol-amplitude/otelcol-amplitude/internal/freelist"

// List holds idle values up to its capacity. It is safe for concurrent use, as is a copy of it.
type List[T any] chan T

// New returns an empty list that holds at most n idle values.
func New[T any](n int) List[T] {
	return make(List[T], n)
}

// Get takes an idle value; without one ok is false, and the caller makes one.
func (l List[T]) Get() (value T, ok bool) {
	select {
	case value = <-l:
		return value, true
	default:
		return value, false
	}
}

// Put keeps a value that nobody uses any more; a full list lets it go. A value that has grown beyond what may be kept
// forever is better not put back.
func (l List[T]) Put(value T) {
	select {
	case l <- value:
	default:
	}
}
