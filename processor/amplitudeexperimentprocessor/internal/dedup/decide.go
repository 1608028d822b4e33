// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package dedup // import "github.com/otelcol-amplitude/otelcol-amplitude/processor/amplitudeexperimentprocessor/internal/dedup"

import "sync"

// shard is a part of the state with a lock of its own. A subject, its history and what is in flight
// of it lie in the same shard.
type shard struct {
	mu     sync.Mutex
	table  table
	flight flight
	// intents counts what is in flight and announced in the journal.
	intents int
	// announced are the changes that a crash cut off before they were answered.
	announced announcements
	warmed    uint64   // keeps the compiler from dropping [State.warm]
	_         [64]byte // keeps the locks of neighbors off one cache line
}

// state is what a record is compared with.
type state struct {
	result      uint64
	newest      int64
	bucket      int32
	n           uint32
	known       bool
	unconfirmed bool
	overtaken   bool
}

func (st *state) is(rec *Record) bool {
	return st.known && st.bucket == rec.Bucket && st.result == rec.Result
}

// decide answers one record of the subject k that arrived at now, and reserves what it sends.
func (s *State) decide(sh *shard, r *Reservation, k id, rec *Record) Verdict {
	place := s.seed.place(k)
	e := s.remembered(sh, k, r.second)

	var current state
	if e != nil {
		current = state{
			result: e.result, newest: e.newest, bucket: e.bucket, n: e.n,
			known: true, unconfirmed: e.is(flagUnconfirmed), overtaken: e.is(flagOvertaken),
		}
	}
	committed := current
	// A time is believed up to the arrival. What was believed before stays: the clock may have been set
	// back since, or be another replica's, and a change must not look late for that.
	t := min(rec.Time, max(r.now, current.newest))
	one, ok, older := sh.announced.find(k, rec, t)
	if ok && (rec.Bucket != current.bucket || one.n < current.n) {
		// One of several changes that were on their way together, or that something newer has overtaken
		// since: it gets the number it had, and leaves the state to the last of them.
		if one.arrived {
			return Verdict{Outcome: Repeat}
		}
		s.reserve(sh, r, node{id: k, result: rec.Result, time: t, newest: t, bucket: rec.Bucket, n: one.n, late: true})
		if current.unconfirmed {
			return Verdict{Outcome: Send, Transition: one.n, Changed: true}
		}
		return Verdict{Outcome: Late, Transition: one.n}
	}
	own := s.ownLatest(sh, r, k, place)
	if own != nil {
		current = state{
			result: own.result, newest: max(current.newest, own.newest), bucket: own.bucket, n: own.n, known: true,
		}
		if current.is(rec) {
			own.newest = max(own.newest, t)
			return Verdict{Outcome: Repeat}
		}
	}
	same := current.is(rec)

	// The same result as an unconfirmed change, but from before it: what came between is the newer state.
	older = older && current.unconfirmed
	if current.known && (!same || older) && t < current.newest {
		if (committed.is(rec) && !committed.unconfirmed) || s.wasSent(sh, r, k, place, rec) {
			return Verdict{Outcome: Repeat}
		}
		s.reserve(sh, r, node{id: k, result: rec.Result, time: t, newest: t, bucket: rec.Bucket, late: true})
		return Verdict{Outcome: Late}
	}

	// The number that comes next if nobody else had this subject in flight.
	var n uint32
	if current.known && current.bucket == rec.Bucket {
		n = current.n + 1
	}
	if before := s.lastInFlight(sh, r, k, place, rec, t, n); before != nil {
		n = before.n
		if before.result != rec.Result {
			n++
		}
	} else if same {
		switch {
		case current.overtaken:
			n = current.n + 1 // set the property right again
		case current.unconfirmed:
			n = current.n // the same insert_id as the send that a crash cut off
		default:
			sh.table.touch(e, r.second)
			e.newest = max(e.newest, t)
			return Verdict{Outcome: Repeat}
		}
	}
	s.reserve(sh, r, node{
		id: k, result: rec.Result, time: t, newest: t, bucket: rec.Bucket, n: n,
		// After a crash, A, B, A must not look like A, A: a change is written down before it is sent.
		intent: n > 0 && s.journal != nil,
	})
	return Verdict{Outcome: Send, Transition: n, Changed: current.known && current.result != rec.Result}
}

// remembered returns the committed entry of k, unless it is too old to count.
func (s *State) remembered(sh *shard, k id, second uint32) *entry {
	e := sh.table.find(k)
	if e == nil || e.touched < s.forgetBefore(second) {
		return nil
	}
	return e
}

// ownLatest returns the latest record of k that the batch of r itself sends, or nil.
func (*State) ownLatest(sh *shard, r *Reservation, k id, place uint64) *node {
	for number := sh.flight.first(k, place); number != 0; number = sh.flight.after(number) {
		if n := sh.flight.at(number); n.owner == r.number && !n.late {
			return n
		}
	}
	return nil
}

// wasSent reports whether this very result of k was already sent in its bucket, or is part of the batch.
func (s *State) wasSent(sh *shard, r *Reservation, k id, place uint64, rec *Record) bool {
	if e := s.remembered(sh, k.sent(rec.Bucket, rec.Result), r.second); e != nil {
		sh.table.touch(e, r.second)
		return true
	}
	for number := sh.flight.first(k, place); number != 0; number = sh.flight.after(number) {
		if n := sh.flight.at(number); n.owner == r.number && n.bucket == rec.Bucket && n.result == rec.Result {
			return true
		}
	}
	return false
}

// lastInFlight returns what other batches have in flight of k up to the time of the record and from
// the transition number least on: the very same record if it is there, else the last by time and
// number. A record that equals it takes its number, so that both get one insert_id; another result
// is a transition after it.
func (*State) lastInFlight(sh *shard, r *Reservation, k id, place uint64, rec *Record, t int64, least uint32) *node {
	if sh.flight.live == r.reserved {
		return nil // all of it is ours
	}
	var last *node
	exact := false
	for number := sh.flight.first(k, place); number != 0; number = sh.flight.after(number) {
		n := sh.flight.at(number)
		if n.owner == r.number || n.late || n.bucket != rec.Bucket || n.n < least || n.time > t {
			continue
		}
		switch {
		case n.time == t && n.result == rec.Result:
			if !exact || n.n < last.n {
				last, exact = n, true
			}
		case exact:
		case last == nil || n.time > last.time || (n.time == last.time && n.n > last.n):
			last = n
		}
	}
	return last
}

// commit makes a record that was accepted part of the state of its subject. Of two states the one
// with the newer event time stays; the other is remembered as sent.
func (s *State) commit(sh *shard, n *node, second uint32) {
	e := sh.table.find(n.id)
	if fresh := e == nil || e.touched < s.forgetBefore(second); fresh {
		if n.late {
			s.rememberSent(sh, n.sent(n.bucket, n.result), n.bucket, second)
			return
		}
		if e == nil {
			e = s.insert(sh, n.id, second)
		}
		*e = entry{id: n.id, result: n.result, newest: n.newest, bucket: n.bucket, n: n.n}
		sh.table.touch(e, second)
		sh.announced.arrived(n)
		s.journalState(sh, n, e, second)
		return
	}
	sh.table.touch(e, second)
	sameBucket := e.bucket == n.bucket
	same := sameBucket && e.result == n.result
	renewed := same && n.n > e.n
	moves := !n.late && (n.newest > e.newest || (n.newest == e.newest && (!sameBucket || n.n >= e.n)))
	// What to remember as sent beside the state. A day that is over is left out if it had no change:
	// its replay has the insert_id of the first time, and to write it down would double the memory.
	past, pastBucket := n.result, n.bucket
	// That the result came late does not say that its unconfirmed return arrived.
	remember := !same || (n.late && e.is(flagUnconfirmed))
	if moves {
		past, pastBucket = e.result, e.bucket
		// Whether an unconfirmed one was sent, nobody knows.
		remember = remember && (sameBucket || e.n > 0) && !e.is(flagUnconfirmed)
		if !sameBucket {
			e.n = 0
		}
		e.result, e.bucket, e.newest = n.result, n.bucket, n.newest
	}
	if e.bucket == n.bucket {
		e.n = max(e.n, n.n)
	}
	// An earlier time of the same result (A of A, B, A) says nothing about the change that is unconfirmed.
	if (moves || (same && n.n >= e.n)) && !n.late {
		e.order &^= flagUnconfirmed
	}
	sh.announced.arrived(n)
	switch {
	case renewed || (moves && !same):
		e.order &^= flagOvertaken
	case !same && !n.late && n.owner != 0:
		// Both were in flight, and the older one was accepted last.
		e.order |= flagOvertaken
	}
	s.journalState(sh, n, e, second)
	if remember {
		s.rememberSent(sh, n.sent(pastBucket, past), pastBucket, second)
	}
}

// rememberSent remembers under its own id that a result which is not the state of its subject was sent.
func (s *State) rememberSent(sh *shard, k id, bucket int32, second uint32) {
	e := sh.table.find(k)
	if e == nil {
		e = s.insert(sh, k, second)
		e.bucket = bucket
	}
	sh.table.touch(e, second)
	s.journalEntry(e)
}

// insert makes room for and adds the entry k.
func (s *State) insert(sh *shard, k id, second uint32) *entry {
	if gone := sh.table.expire(s.forgetBefore(second), expiryStep); gone > 0 {
		s.entries.Add(-gone)
		s.expired.Add(gone)
	}
	e := sh.table.insert(k, second)
	if s.entries.Add(1) > int64(s.set.MaxEntries) && sh.table.evict(e) {
		s.entries.Add(-1)
		s.evicted.Add(1)
	}
	return e
}

func (s *State) forgetBefore(second uint32) uint32 {
	return second - min(second, s.forget)
}
