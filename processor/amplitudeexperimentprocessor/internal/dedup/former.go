// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package dedup // import "github.com/otelcol-amplitude/otelcol-amplitude/processor/amplitudeexperimentprocessor/internal/dedup"

import (
	"sync"
	"sync/atomic"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/amplitude/receipts"
)

// former is what was on its way when the previous process ended. It may still arrive, if the queue was on disk, or
// have arrived, or be lost. So it makes no record a repeat, but an event that is in it is not certainly new, either.
type former struct {
	count atomic.Int64
	mu    sync.Mutex
	rows  map[uint64][]formerCopy // by the key of the copy, in order
	facts map[ID]int
	// until is the event time in ms up to which earlier processes may have sent events that were not recorded; 0 for
	// none.
	until atomic.Int64
}

type formerCopy struct {
	number       uint64 // its row number in the journal
	user, device ID
	fact         uint64
	day          uint16
	time         int64
	single       bool
	ahead        bool
	moves        []Flag
}

func homeOf(user, device ID) ID {
	if user != (ID{}) {
		return user
	}
	return device
}

// certain reports whether an unknown event was definitely never sent.
func (f *former) certain(fact ID, t int64) bool {
	if t < f.until.Load() {
		return false
	}
	if f.count.Load() == 0 {
		return true
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.facts[fact] == 0
}

func (f *former) reset() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.rows, f.facts = nil, nil
	f.count.Store(0)
}

func (f *former) add(key uint64, c formerCopy) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.rows == nil {
		f.rows, f.facts = make(map[uint64][]formerCopy), make(map[ID]int)
	}
	f.rows[key] = append(f.rows[key], c)
	if c.fact != 0 {
		f.facts[ID{homeOf(c.user, c.device).Hi, c.fact}]++
	}
	f.count.Add(1)
}

// take removes the first copy with a key.
func (f *former) take(key uint64) (c formerCopy, ok bool) {
	if f.count.Load() == 0 {
		return c, false
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	rows := f.rows[key]
	if len(rows) == 0 {
		return c, false
	}
	c = rows[0]
	if len(rows) == 1 {
		delete(f.rows, key)
	} else {
		f.rows[key] = rows[1:]
	}
	if c.fact != 0 {
		k := ID{homeOf(c.user, c.device).Hi, c.fact}
		if f.facts[k]--; f.facts[k] == 0 {
			delete(f.facts, k)
		}
	}
	f.count.Add(-1)
	return c, true
}

// SettleFormer handles the receipt for a copy that no exporter of this process claimed, which may be from an earlier
// process.
func (l *Ledger) SettleFormer(key uint64, outcome receipts.Outcome) bool {
	c, ok := l.former.take(key)
	if !ok {
		return false
	}
	rc := receipt{
		user: c.user, device: c.device, home: homeOf(c.user, c.device), fact: c.fact, day: c.day, time: c.time,
		single: c.single, ahead: c.ahead, former: true, delivered: outcome == receipts.Delivered || outcome == receipts.Ambiguous, moves: c.moves,
	}
	rc.arrival = l.arrival()
	home := l.shardOf(rc.home)
	who, at, held := l.lockPerson(rc.user, rc.device, home, home)
	l.apply(&rc, &l.shards[home], &l.shards[at], who)
	l.writeDone(c.number)
	held.unlock()
	l.applyOwner(&rc)
	return true
}
