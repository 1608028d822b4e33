// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package receipts // import "github.com/otelcol-amplitude/otelcol-amplitude/internal/amplitude/receipts"

import (
	"context"
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
	// Unknown says that Amplitude will not get this copy, and that it may have it: an earlier try got no answer.
	Unknown
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
	// holders is, by SinkID, how many open Books may still settle something of it; ends is what to do when there is none
	// any more, of the Sinks that hand nothing on any more.
	holders []int
	ends    map[SinkID]func(context.Context)
	// running counts the open Books of exporters whose queue is on disk, and of those whose queue is not.
	running = map[bool]int{}
)

// Exporters is how many exporters run in this process that give receipts, and how many of them lose what is on its way when
// the process ends. The Collector starts exporters before the processors that feed them.
func Exporters() (all, losing int) {
	register.Lock()
	defer register.Unlock()
	return running[true] + running[false], running[false]
}

// Key is what a copy is claimed and settled by: a hash of its insert_id.
func Key(insertID string) uint64 { return max(1, xxh3.HashString(insertID)) } // 0 is none

// Register makes a Sink known until it is retired.
func Register(s Sink) SinkID {
	register.Lock()
	defer register.Unlock()
	all := slices.Clone(registered())
	id := slices.Index(all, nil)
	if id < 0 {
		id = len(all)
		all, holders = append(all, nil), append(holders, 0)
	}
	all[id] = s
	sinks.Store(&all)
	return SinkID(id)
}

// Retire says that a Sink hands nothing on any more. It is forgotten, and Retire returns true, if no exporter can have a receipt
// for it. Otherwise it goes on taking receipts until the last Book that claimed or settled one of its copies is closed: end
// is called then, once, with the context of that.
func Retire(id SinkID, end func(context.Context)) (done bool) {
	register.Lock()
	defer register.Unlock()
	if holders[id] > 0 {
		if ends == nil {
			ends = make(map[SinkID]func(context.Context))
		}
		ends[id] = end
		return false
	}
	forget(id)
	return true
}

// hold keeps a Sink for a Book.
func hold(id SinkID) {
	register.Lock()
	defer register.Unlock()
	holders[id]++
}

// letGo ends hold.
func letGo(ctx context.Context, id SinkID) {
	register.Lock()
	holders[id]--
	end, retired := ends[id]
	last := retired && holders[id] == 0
	if last {
		delete(ends, id)
		forget(id)
	}
	register.Unlock()
	if last {
		end(ctx)
	}
}

// forget makes place for another Sink. The lock is held.
func forget(id SinkID) {
	all := slices.Clone(registered())
	all[id] = nil
	sinks.Store(&all)
}

func registered() []Sink {
	if all := sinks.Load(); all != nil {
		return *all
	}
	return nil
}
