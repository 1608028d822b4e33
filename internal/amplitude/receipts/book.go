// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package receipts // import "github.com/otelcol-amplitude/otelcol-amplitude/internal/amplitude/receipts"

import (
	"context"
	"slices"
	"sync"

	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/amplitude"
)

const (
	slabSize = 256
	minHeads = 16
	// keptClaims bounds the memory that is retained when nothing is claimed.
	keptClaims = 1 << 14
)

// Book holds the claims of one exporter, 24 bytes each, in chains by key. Its size follows what is in flight.
type Book struct {
	mu    sync.Mutex
	slabs []*[slabSize]claim
	heads []uint32 // number of the newest claim of a chain, from 1
	used  uint32
	free  uint32
	live  int
	// sinks are the Sinks that wait for this Book to be closed.
	sinks []SinkID
	// opened is true after Open, which was called with kept.
	opened, kept bool
}

// Open registers a running exporter. kept means that the next process delivers what this one leaves behind.
func (k *Book) Open(kept bool) {
	k.mu.Lock()
	k.opened, k.kept = true, kept
	k.mu.Unlock()
	register.Lock()
	defer register.Unlock()
	running[kept]++
}

type claim struct {
	key, token uint64 // a claim with key 0 is on the free list
	sink       SinkID // with the mark unanswered
	next       uint32 // claim of the chain
}

// unanswered marks the claim of an event that was sent without an answer.
const unanswered SinkID = 1 << 31

// Claimed are the claims of one ConsumeLogs call, to be undone if it fails.
type Claimed struct {
	open *handle
	keys []claimedKey
}

type claimedKey struct {
	key   uint64
	place int
}

// Claim notes that the exporter takes the events of logs that the context's processor registered. Call it before the
// exporter can settle any of them.
func (k *Book) Claim(ctx context.Context, logs plog.Logs) Claimed {
	open, _ := ctx.Value(contextKey{}).(*handle)
	if open == nil {
		return Claimed{}
	}
	b := open.batch
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.open != open {
		return Claimed{}
	}
	claimed := Claimed{open: open, keys: make([]claimedKey, 0, len(b.copies))}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.keep(b.sink)
	at := 0
	for _, resource := range logs.ResourceLogs().All() {
		for _, scope := range resource.ScopeLogs().All() {
			records := scope.LogRecords()
			for i := range records.Len() {
				id, ok := records.At(i).Attributes().Get(amplitude.AttrInsertID)
				if !ok {
					continue
				}
				key := Key(id.Str())
				place := b.find(key, at)
				if place < 0 {
					continue
				}
				at = place + 1
				c := &b.copies[place]
				c.claims++
				k.add(claim{key: key, token: c.token, sink: b.sink})
				claimed.keys = append(claimed.keys, claimedKey{key, place})
			}
		}
	}
	return claimed
}

// TakeBack undoes claims that are not settled, because the exporter did not take the events after all. Call it before
// ConsumeLogs returns.
func (k *Book) TakeBack(claimed Claimed) {
	if len(claimed.keys) == 0 {
		return
	}
	b := claimed.open.batch
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.open != claimed.open {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, c := range claimed.keys {
		if _, ok := k.take(c.key, true); ok {
			b.copies[c.place].claims--
		}
	}
}

// Unanswered notes that the event was sent and no answer came: if it is delivered later, it may already have arrived
// then.
func (k *Book) Unanswered(key uint64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.live == 0 {
		return
	}
	if link := k.find(key, false); link != nil {
		k.at(*link).sink |= unanswered
	}
}

// Settle reports what became of the event with this key: of its oldest copy, if there are several.
func (k *Book) Settle(key uint64, outcome Outcome) { k.SettleAll([]uint64{key}, outcome) }

// SettleAll reports what became of the events with these keys, in order.
func (k *Book) SettleAll(keys []uint64, outcome Outcome) {
	s := settling.Get().(*settlement)
	defer settling.Put(s)
	for len(keys) > 0 {
		some := keys[:min(len(keys), len(s.claims))]
		keys = keys[len(some):]
		k.mu.Lock()
		for i, key := range some {
			c, ok := k.take(key, false)
			if !ok {
				c = claim{key: key, sink: nobody}
			}
			s.claims[i] = c
		}
		k.mu.Unlock()
		s.passOn(k, s.claims[:len(some)], outcome)
	}
}

// nobody claimed a copy.
const nobody SinkID = unanswered - 1

// settlement is the scratch memory of SettleAll.
type settlement struct {
	claims [256]claim
	tokens [256]uint64
}

var settling = sync.Pool{New: func() any { return new(settlement) }}

// passOn passes on receipts, grouped by Sink and outcome.
func (s *settlement) passOn(k *Book, claims []claim, outcome Outcome) {
	all := registered()
	for len(claims) > 0 {
		of, n := claims[0].sink, 0
		for n < len(claims) && claims[n].sink == of {
			s.tokens[n] = claims[n].token
			n++
		}
		passed := outcome
		if of&unanswered != 0 && of != nobody {
			of &^= unanswered
			passed = unansweredOutcome(outcome)
		}
		switch {
		case of == nobody:
			for i := range claims[:n] {
				k.settleFormer(all, claims[i].key, outcome)
			}
		case all[of] != nil:
			all[of].Settle(s.tokens[:n], passed)
		}
		claims = claims[n:]
	}
}

// unansweredOutcome returns what a receipt means for an event for which an earlier attempt got no answer.
func unansweredOutcome(outcome Outcome) Outcome {
	switch outcome {
	case Delivered:
		return Ambiguous
	case NotDelivered:
		return Unknown
	default:
		return outcome
	}
}

// settleFormer passes on the receipt for a copy that nobody claimed.
func (k *Book) settleFormer(all []Sink, key uint64, outcome Outcome) {
	for id, s := range all {
		if s != nil && s.SettleFormer(key, outcome) {
			k.mu.Lock()
			defer k.mu.Unlock()
			k.keep(SinkID(id))
			return
		}
	}
}

// Close notes that the exporter has stopped and will not settle anything else. What it has not settled is lost, unless
// it is kept for the next process, which then settles it.
func (k *Book) Close(ctx context.Context, kept bool) {
	k.mu.Lock()
	if k.opened {
		k.opened = false
		register.Lock()
		running[k.kept]--
		register.Unlock()
	}
	var left []claim
	for i := uint32(1); i <= k.used && k.live > 0; i++ {
		if c := k.at(i); c.key != 0 {
			left = append(left, *c)
		}
	}
	sinks := k.sinks
	k.slabs, k.heads, k.used, k.free, k.live, k.sinks = nil, nil, 0, 0, 0, nil
	k.mu.Unlock()
	if !kept {
		all := registered()
		for _, c := range left {
			all[c.sink&^unanswered].Settle([]uint64{c.token}, NotDelivered)
		}
	}
	for _, id := range sinks {
		letGo(ctx, id)
	}
}

// keep makes a Sink wait for this Book to be closed. The caller holds the lock.
func (k *Book) keep(id SinkID) {
	if !slices.Contains(k.sinks, id) {
		k.sinks = append(k.sinks, id)
		hold(id)
	}
}

// Claims returns the number of copies that are claimed and not settled.
func (k *Book) Claims() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.live
}

func (k *Book) at(number uint32) *claim {
	number--
	return &k.slabs[number/slabSize][number%slabSize]
}

func (k *Book) head(key uint64) *uint32 { return &k.heads[key&uint64(len(k.heads)-1)] }

func (k *Book) add(c claim) {
	if k.live >= len(k.heads) {
		k.grow()
	}
	number := k.free
	if number != 0 {
		k.free = k.at(number).next
	} else {
		if int(k.used) == len(k.slabs)*slabSize {
			k.slabs = append(k.slabs, new([slabSize]claim))
		}
		k.used++
		number = k.used
	}
	head := k.head(c.key)
	c.next, *head = *head, number
	*k.at(number) = c
	k.live++
}

func (k *Book) grow() {
	old := k.heads
	k.heads = make([]uint32, max(minHeads, 2*len(old)))
	for _, number := range old {
		// Reverse the chain first, so that pushing its claims one by one keeps the newest first.
		var turned uint32
		for number != 0 {
			c := k.at(number)
			c.next, turned, number = turned, number, c.next
		}
		for turned != 0 {
			c := k.at(turned)
			head := k.head(c.key)
			turned, c.next, *head = c.next, *head, turned
		}
	}
}

// find returns the link to the oldest or the newest claim of a key.
func (k *Book) find(key uint64, newest bool) (found *uint32) {
	for link := k.head(key); *link != 0; link = &k.at(*link).next {
		if k.at(*link).key == key {
			found = link
			if newest {
				break
			}
		}
	}
	return found
}

// take removes the oldest or the newest claim of a key.
func (k *Book) take(key uint64, newest bool) (c claim, ok bool) {
	if k.live == 0 {
		return c, false
	}
	found := k.find(key, newest)
	if found == nil {
		return c, false
	}
	number := *found
	c = *k.at(number)
	*found = c.next
	*k.at(number) = claim{next: k.free}
	k.free = number
	k.live--
	if k.live == 0 && k.used > keptClaims {
		k.slabs, k.heads, k.used, k.free = nil, nil, 0, 0
	}
	return c, true
}
