// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package dedup // import "github.com/otelcol-amplitude/otelcol-amplitude/processor/amplitudeexperimentprocessor/internal/dedup"

import (
	"context"
	"errors"
	"sync"
	"time"

	"go.opentelemetry.io/collector/component"
)

var errMaxEntries = errors.New("max_entries must be positive")

// State remembers what was sent. One State may serve several pipelines.
type State struct {
	set     Settings
	mu      sync.Mutex
	entries map[Key]*entry
	// sent holds the results that were sent in a bucket and are no longer the newest.
	sent     map[sentKey]struct{}
	inFlight map[Key][]pending
	nextID   uint64
}

type entry struct {
	result  uint64
	newest  int64
	touched int64
	bucket  int32
	n       uint32
}

type sentKey struct {
	subject Key
	result  uint64
	bucket  int32
}

type pending struct {
	owner  uint64
	result uint64
	time   int64
	bucket int32
	n      uint32
	late   bool
}

// New makes a State. It keeps nothing and connects to nothing before Start.
func New(set Settings) (*State, error) {
	if set.MaxEntries <= 0 {
		return nil, errMaxEntries
	}
	if set.Forget <= 0 {
		set.Forget = DefaultForget
	}
	if set.Clock == nil {
		set.Clock = time.Now
	}
	return &State{
		set:      set,
		entries:  make(map[Key]*entry),
		sent:     make(map[sentKey]struct{}),
		inFlight: make(map[Key][]pending),
	}, nil
}

// Start loads what was kept. Each pipeline that uses the State calls it once.
func (*State) Start(context.Context, component.Host) error { return nil }

// Shutdown writes what is to be kept. The last of the pipelines that started the State ends it;
// without Start, and a second time, it does nothing.
func (*State) Shutdown(context.Context) error { return nil }

// Reservation is one batch between the decision and the answer of the next component.
// Exactly one of Commit and Release ends it; a second end does nothing.
type Reservation struct {
	state    *State
	id       uint64
	subjects []Key
	sends    []pending
}

// Reserve decides about a batch: verdicts[i] answers records[i], and verdicts must be at least as long.
// The records of one batch see each other, in order. Nothing is remembered before Commit.
func (s *State) Reserve(_ context.Context, records []Record, verdicts []Verdict) *Reservation {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.nextID++
	r := &Reservation{state: s, id: s.nextID}
	now := s.set.Clock().UnixMilli()
	for i := range records {
		verdicts[i] = s.decide(r, &records[i], now)
	}
	return r
}

func (s *State) decide(r *Reservation, rec *Record, now int64) Verdict {
	t := min(rec.Time, now)
	add := func(n uint32, late bool) {
		p := pending{owner: r.id, result: rec.Result, time: t, bucket: rec.Bucket, n: n, late: late}
		s.inFlight[rec.Subject] = append(s.inFlight[rec.Subject], p)
		r.subjects = append(r.subjects, rec.Subject)
		r.sends = append(r.sends, p)
	}
	cur, known := entry{}, false
	if e := s.entries[rec.Subject]; e != nil && now-e.touched < s.set.Forget.Milliseconds() {
		cur, known = *e, true
	}
	_, sent := s.sent[sentKey{rec.Subject, rec.Result, rec.Bucket}]
	own := false
	for _, p := range s.inFlight[rec.Subject] {
		if p.owner != r.id {
			continue
		}
		sent = sent || (p.bucket == rec.Bucket && p.result == rec.Result)
		if !p.late {
			cur, known, own = entry{result: p.result, newest: max(p.time, cur.newest), bucket: p.bucket, n: p.n}, true, true
		}
	}
	if s.set.Mode == UniquePerDay {
		if sent {
			return Verdict{Outcome: Repeat}
		}
		add(0, false)
		return Verdict{Outcome: Send}
	}
	same := known && cur.bucket == rec.Bucket && cur.result == rec.Result
	if same && own {
		return Verdict{Outcome: Repeat}
	}
	if known && !same && t < cur.newest {
		if sent {
			return Verdict{Outcome: Repeat}
		}
		add(0, true)
		return Verdict{Outcome: Late}
	}
	// The numbers that others hold in flight, up to the time of this record.
	n := uint32(0)
	if known && cur.bucket == rec.Bucket {
		n = cur.n + 1
	}
	var last *pending
	exact := false
	for i := range s.inFlight[rec.Subject] {
		p := &s.inFlight[rec.Subject][i]
		if p.owner == r.id || p.late || p.bucket != rec.Bucket || p.n < n || p.time > t || exact {
			continue
		}
		exact = p.time == t && p.result == rec.Result
		if exact || last == nil || p.time > last.time || (p.time == last.time && p.n > last.n) {
			last = p
		}
	}
	if last != nil {
		if last.result == rec.Result {
			n = last.n
		} else {
			n = last.n + 1
		}
	} else if same {
		e := s.entries[rec.Subject]
		e.touched, e.newest = now, max(e.newest, t)
		return Verdict{Outcome: Repeat}
	}
	add(n, false)
	return Verdict{Outcome: Send, Transition: n, Changed: known && cur.result != rec.Result}
}

// Commit remembers what the batch sent. Call it when the next component accepted the batch.
func (r *Reservation) Commit(context.Context) {
	s := r.state
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.set.Clock().UnixMilli()
	for i, p := range r.sends {
		s.merge(r.subjects[i], p, now)
	}
	s.forget(r)
}

// Release forgets the reservations of the batch. Call it when the next component refused the batch.
func (r *Reservation) Release() {
	r.state.mu.Lock()
	defer r.state.mu.Unlock()
	r.state.forget(r)
}

func (s *State) forget(r *Reservation) {
	for _, subject := range r.subjects {
		var kept []pending
		for _, p := range s.inFlight[subject] {
			if p.owner != r.id {
				kept = append(kept, p)
			}
		}
		if s.inFlight[subject] = kept; len(kept) == 0 {
			delete(s.inFlight, subject)
		}
	}
	r.subjects, r.sends = nil, nil
}

func (s *State) merge(subject Key, p pending, now int64) {
	if s.set.Mode == UniquePerDay {
		s.sent[sentKey{subject, p.result, p.bucket}] = struct{}{}
		return
	}
	e := s.entries[subject]
	if e == nil {
		if p.late {
			return
		}
		e = &entry{result: p.result, newest: p.time, bucket: p.bucket, n: p.n}
		s.entries[subject] = e
	}
	e.touched = now
	moves := !p.late && (p.time > e.newest || (p.time == e.newest && (p.bucket != e.bucket || p.n >= e.n)))
	switch {
	case !moves:
		s.sent[sentKey{subject, p.result, p.bucket}] = struct{}{}
	case e.bucket == p.bucket:
		s.sent[sentKey{subject, e.result, e.bucket}] = struct{}{}
		e.result, e.newest, e.n = p.result, p.time, max(e.n, p.n)
	default:
		e.result, e.newest, e.bucket, e.n = p.result, p.time, p.bucket, p.n
	}
	if e.bucket == p.bucket {
		e.n = max(e.n, p.n)
	}
}
