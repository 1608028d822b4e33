// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package receipts // import "github.com/otelcol-amplitude/otelcol-amplitude/internal/amplitude/receipts"

import (
	"slices"
	"sync"
	"sync/atomic"

	"github.com/zeebo/xxh3"
)

// Outcome is what became of a copy at one exporter.
type Outcome uint8

const (
	// Delivered says that Amplitude has it.
	Delivered Outcome = iota
	// Ambiguous says that Amplitude has it, and may have had it long before: an earlier try got no answer.
	Ambiguous
	// NotDelivered says that Amplitude does not have it and will not get this copy: dropped, dead-lettered or lost.
	NotDelivered
)

// Sink takes receipts. It must not block, and is called from any goroutine.
type Sink interface {
	// Settle takes the receipts of one exporter for copies; the tokens are what the Sink gave to [Batch.Add].
	// The slice is used again.
	Settle(tokens []uint64, outcome Outcome)
	// SettleFormer takes the receipt for a copy that nobody claimed, and tells whether the Sink knows of it.
	SettleFormer(key uint64, outcome Outcome) bool
}

// SinkID names a registered Sink.
type SinkID uint32

var (
	register sync.Mutex
	sinks    atomic.Pointer[[]Sink] // by SinkID
)

// Key is what a copy is claimed and settled by: a hash of its insert_id.
func Key(insertID string) uint64 { return xxh3.HashString(insertID) }

// Register makes a Sink known for as long as it wants receipts.
func Register(s Sink) SinkID {
	register.Lock()
	defer register.Unlock()
	var all []Sink
	if known := sinks.Load(); known != nil {
		all = slices.Clone(*known)
	}
	id := slices.Index(all, nil)
	if id < 0 {
		id = len(all)
		all = append(all, nil)
	}
	all[id] = s
	sinks.Store(&all)
	return SinkID(id)
}

// Unregister forgets a Sink. Receipts for its copies are dropped.
func Unregister(id SinkID) {
	register.Lock()
	defer register.Unlock()
	all := slices.Clone(*sinks.Load())
	all[id] = nil
	sinks.Store(&all)
}

func registered() []Sink {
	if all := sinks.Load(); all != nil {
		return *all
	}
	return nil
}
