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
	// Delivered means that Amplitude has it.
	Delivered Outcome = iota
	// Ambiguous means that Amplitude has it, and may have had it for longer: an earlier attempt got no answer.
	Ambiguous
	// NotDelivered means that Amplitude does not have it and will not get this copy: it was dropped, dead-lettered or
	// lost.
	NotDelivered
	// Unknown means that Amplitude will not get this copy, but may have it: an earlier attempt got no answer.
	Unknown
)

// Sink receives receipts. It must not block, and is called from any goroutine.
type Sink interface {
	// Settle receives the receipts of one exporter for copies; the tokens are those that the Sink passed to
	// [Batch.Add]. The slice is reused.
	Settle(tokens []uint64, outcome Outcome)
	// SettleFormer receives the receipt for a copy that nobody claimed, and reports whether the Sink knows it.
	SettleFormer(key uint64, outcome Outcome) bool
}

// SinkID identifies a registered Sink.
type SinkID uint32

var (
	register sync.Mutex
	sinks    atomic.Pointer[[]Sink] // by SinkID
	// holders is, by SinkID, the number of open Books that may still settle one of its copies; ends has, for Sinks that
	// hand on nothing else, what to do when there are none left.
	holders []int
	ends    map[SinkID]func(context.Context)
	// running counts the open Books of exporters by whether their queue is on disk.
	running = map[bool]int{}
)

// Exporters returns how many exporters in this process give receipts, and how many of them lose what is in flight when
// the process ends. The Collector starts exporters before the processors that feed them.
func Exporters() (all, losing int) {
	register.Lock()
	defer register.Unlock()
	return running[true] + running[false], running[false]
}

// Key returns the key by which a copy is claimed and settled: a hash of its insert_id.
func Key(insertID string) uint64 { return max(1, xxh3.HashString(insertID)) } // 0 is none

// Register registers a Sink until it is retired.
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

// Retire notes that a Sink hands on nothing else. If no exporter can have a receipt for it, it is removed and Retire
// returns true. Otherwise it receives receipts until the last Book that claimed or settled one of its copies is closed;
// then end is called once, with the context of that call.
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

// forget removes a Sink. The caller holds the lock.
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
