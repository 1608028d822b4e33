// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package receipts // import "github.com/otelcol-amplitude/otelcol-amplitude/internal/amplitude/receipts"

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Listener receives every event that an exporter of this process takes, and every receipt, no matter who handed on the
// event. It must not block, and is called from any goroutine.
type Listener interface {
	// Claimed is called before ConsumeLogs of the exporter returns.
	Claimed(key uint64)
	// Answered is called for each request, with its events. The slice is reused.
	Answered(keys []uint64, answer *Answer)
	// Settled is called before the receipt is passed on. why is the reason that a copy was not delivered, if it is
	// known.
	Settled(key uint64, outcome Outcome, why string)
}

// Answer is the answer to one request of an exporter. It is only valid during the call.
type Answer struct {
	// Exporter is the id of the component.
	Exporter string
	// Status is the HTTP status, or invalid_api_key, timeout or network_error, as in metrics.
	Status string
	// Text is Amplitude's own text if it is a documented one, which contains no id.
	Text string
	// Bytes is the size of the body before it is compressed, and Took the time from its first byte to the answer.
	Bytes int
	Took  time.Duration
	// Event returns the JSON of the i-th event of the request.
	Event func(i int) []byte
}

var (
	listening sync.Mutex
	listeners atomic.Pointer[[]Listener]
)

// Listen passes receipts to a Listener until stop is called.
func Listen(l Listener) (stop func()) {
	change := func(how func([]Listener) []Listener) {
		listening.Lock()
		defer listening.Unlock()
		var all []Listener
		if now := listeners.Load(); now != nil {
			all = slices.Clone(*now)
		}
		if all = how(all); len(all) == 0 {
			listeners.Store(nil)
			return
		}
		listeners.Store(&all)
	}
	change(func(all []Listener) []Listener { return append(all, l) })
	return func() {
		change(func(all []Listener) []Listener {
			return slices.DeleteFunc(all, func(one Listener) bool { return one == l })
		})
	}
}

// Listened reports whether there is a Listener.
func Listened() bool { return listeners.Load() != nil }

// NotifyClaimed informs the Listeners about an event that an exporter takes.
func NotifyClaimed(key uint64) {
	if all := listeners.Load(); all != nil {
		for _, l := range *all {
			l.Claimed(key)
		}
	}
}

// NotifyAnswered informs the Listeners about a request.
func NotifyAnswered(keys []uint64, answer *Answer) {
	if all := listeners.Load(); all != nil {
		for _, l := range *all {
			l.Answered(keys, answer)
		}
	}
}

// NotifySettled informs the Listeners about what is going to be settled.
func NotifySettled(key uint64, outcome Outcome, why string) {
	if all := listeners.Load(); all != nil {
		for _, l := range *all {
			l.Settled(key, outcome, why)
		}
	}
}

var (
	opening sync.Mutex
	books   []*Book
)

// TrackPending makes [Pending] search a Book, until stop is called.
func TrackPending(k *Book) (stop func()) {
	opening.Lock()
	defer opening.Unlock()
	books = append(books, k)
	return func() {
		opening.Lock()
		defer opening.Unlock()
		books = slices.DeleteFunc(books, func(one *Book) bool { return one == k })
	}
}

// Pending reports whether an event with this key is claimed by an open Book and not settled.
func Pending(key uint64) bool {
	opening.Lock()
	defer opening.Unlock()
	return slices.ContainsFunc(books, func(k *Book) bool {
		k.mu.Lock()
		defer k.mu.Unlock()
		return k.live > 0 && k.find(key, false) != nil
	})
}
