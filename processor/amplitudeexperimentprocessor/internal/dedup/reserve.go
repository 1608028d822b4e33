// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package dedup // import "github.com/otelcol-amplitude/otelcol-amplitude/processor/amplitudeexperimentprocessor/internal/dedup"

import (
	"context"
)

// Reservation is one batch between the decision and the answer of the next component.
// Exactly one of Commit and Release ends it, and it must not be used afterward.
type Reservation struct {
	state  *State
	number uint64 // tells the batches in flight apart
	now    int64  // arrival of the batch, in ms
	second uint32 // the same in seconds

	held     []held // what is in flight, by shard
	reserved int    // how many of them lie in the shard at hand
	intents  bool

	shards []uint8 // of each record
	order  []int32 // records by shard, otherwise in the order of the batch
	slots  []uint32
	counts [maxShards + 1]int32
	remote remoteBatch
}

type held struct {
	shard uint32
	node  int32
}

// Reserve decides about a batch: verdicts[i] answers records[i], and verdicts must be at least as long.
// The records of one batch see each other, in order. Nothing is remembered before Commit.
//
// ctx bounds only what leaves the process: the look-up in Redis and, for a batch that changes a
// result within its bucket, the note in the journal that must come before the send. Neither failing
// makes a record a repeat.
func (s *State) Reserve(ctx context.Context, records []Record, verdicts []Verdict) *Reservation {
	r, ok := s.idle.Get()
	if !ok {
		r = &Reservation{}
	}
	r.state = s
	r.number = s.batches.Add(1)
	r.now = s.set.Clock().UnixMilli()
	r.second = seconds(r.now)
	verdicts = verdicts[:len(records)]

	if s.remote != nil {
		s.remote.look(ctx, r, records)
	}
	r.sort(records)
	start := int32(0)
	for i := range s.shards {
		end := r.counts[i]
		if end == start {
			continue
		}
		s.reserveShard(r, uint32(i), r.order[start:end], records, verdicts)
		start = end
	}
	if r.intents {
		s.journal.sync(ctx)
	}
	return r
}

// sort groups the records by shard, so that each shard is locked once. counts[i] becomes the end of
// the group of shard i in order.
func (r *Reservation) sort(records []Record) {
	s := r.state
	r.shards = resize(r.shards, len(records))
	r.order = resize(r.order, len(records))
	clear(r.counts[:])
	for i := range records {
		shard := s.shardOf(records[i].Subject.id())
		r.shards[i] = uint8(shard)
		r.counts[shard+1]++
	}
	for i := range maxShards {
		r.counts[i+1] += r.counts[i]
	}
	for i, shard := range r.shards {
		r.order[r.counts[shard]] = int32(i)
		r.counts[shard]++
	}
}

func (s *State) reserveShard(r *Reservation, number uint32, order []int32, records []Record, verdicts []Verdict) {
	sh := &s.shards[number]
	sh.mu.Lock()
	defer sh.mu.Unlock()
	first := len(r.held)
	r.reserved = 0
	s.warm(sh, r, order, records)
	for _, i := range order {
		rec := &records[i]
		k := s.idOf(rec)
		if s.remote != nil {
			s.mergeRemote(sh, r, k, int(i))
		}
		verdicts[i] = s.decide(sh, r, k, rec)
	}
	for i := first; i < len(r.held); i++ {
		r.held[i].shard = number
	}
}

// warm touches what a group needs before it is needed one record after the other, so that the misses
// of the cache overlap: first the home slots in the index, then the entries that they name.
func (s *State) warm(sh *shard, r *Reservation, order []int32, records []Record) {
	t := &sh.table
	if len(t.index) < warmIndex || len(order) < 2 {
		return
	}
	mask := t.mask()
	r.slots = resize(r.slots, len(order))
	for place, i := range order {
		r.slots[place] = t.index[uint32(s.seed.place(s.idOf(&records[i])))&mask] & numberMask
	}
	var sum uint64
	for _, number := range r.slots {
		if number != 0 {
			sum += t.at(number).hi
		}
	}
	sh.warmed = sum
}

// reserve puts a record in flight.
func (s *State) reserve(sh *shard, r *Reservation, n node) {
	n.owner = r.number
	r.held = append(r.held, held{node: sh.flight.add(n, s.seed)})
	r.reserved++
	if n.intent {
		r.intents = true
		sh.intents++
		s.journalIntent(&n, r.second)
	}
}

// Commit remembers what the batch sent. Call it when the next component accepted the batch.
// ctx carries values only: that the sender has gone does not stop the round trip that tells Redis.
// A nil Reservation has nothing to remember.
func (r *Reservation) Commit(ctx context.Context) {
	if r == nil {
		return
	}
	s := r.state
	r.eachShard(func(sh *shard, batch []held) {
		for _, h := range batch {
			n := sh.flight.at(h.node)
			s.commit(sh, n, r.second)
			if s.remote != nil {
				r.remote.commit(n)
			}
		}
		for _, h := range batch {
			s.land(sh, h.node, r.second)
		}
	})
	if s.remote != nil {
		s.remote.push(ctx, r)
	}
	r.end()
}

// Release forgets the reservations of the batch. Call it when the next component refused the batch.
// A nil Reservation has nothing to forget.
func (r *Reservation) Release() {
	if r == nil {
		return
	}
	r.eachShard(func(sh *shard, batch []held) {
		for _, h := range batch {
			r.state.land(sh, h.node, r.second)
		}
	})
	r.end()
}

func (r *Reservation) eachShard(do func(*shard, []held)) {
	for start := 0; start < len(r.held); {
		end := start + 1
		for end < len(r.held) && r.held[end].shard == r.held[start].shard {
			end++
		}
		sh := &r.state.shards[r.held[start].shard]
		sh.mu.Lock()
		do(sh, r.held[start:end])
		sh.mu.Unlock()
		start = end
	}
}

// land takes a record out of flight.
func (s *State) land(sh *shard, number int32, second uint32) {
	n := *sh.flight.at(number)
	sh.flight.remove(number, s.seed)
	if n.intent {
		sh.intents--
		s.journalLanding(sh, n.id, second)
	}
}

func (r *Reservation) end() {
	s := r.state
	r.held = r.held[:0]
	r.intents = false
	r.remote.reset()
	r.state = nil
	s.idle.Put(r)
}

func resize[T any](slice []T, length int) []T {
	if cap(slice) < length {
		return make([]T, length)
	}
	return slice[:length]
}

func seconds(ms int64) uint32 {
	const secondsEnd = 1<<32 - 1
	return uint32(min(max(ms/1000, 0), secondsEnd))
}
