// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

// Package freelist keeps values for reuse. Unlike a [sync.Pool], it is not emptied by the garbage collector, which runs
// more often than batches arrive: what a value has learned, and its grown memory, are kept.
package freelist // import "github.com/otelcol-amplitude/otelcol-amplitude/internal/freelist"

import "runtime"

// List holds idle values up to its capacity. It and its copies are safe for concurrent use.
type List[T any] chan T

// Calls is how many values to keep for calls in progress: each waits for others of its kind, for space in a queue, or for
// an answer, so that more of them are in progress than there are CPUs.
func Calls() int { return 4 * runtime.GOMAXPROCS(0) }

// New returns an empty list that holds at most n idle values.
func New[T any](n int) List[T] {
	return make(List[T], n)
}

// Get returns an idle value; if there is none, ok is false and the caller makes one.
func (l List[T]) Get() (value T, ok bool) {
	select {
	case value = <-l:
		return value, true
	default:
		return value, false
	}
}

// Put keeps a value that is not used anymore; a full list drops it. Do not put back a value that has grown too large to
// be kept forever.
func (l List[T]) Put(value T) {
	select {
	case l <- value:
	default:
	}
}
