// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package diagnostics // import "github.com/otelcol-amplitude/otelcol-amplitude/internal/diagnostics"

import (
	"strings"
	"sync"
	"time"
)

// Exposure is one exposure of a person to a variant.
type Exposure struct {
	Flag string
	// Run is the experiment key, "" if there is none.
	Run string
	// Variant is empty for an un-exposure.
	Variant string
	Person  Person
	// Day numbers the day of the event, as assignments do.
	Day int32
	// Time is when it happened, in milliseconds since the Unix epoch.
	Time int64
	// Late: something newer was known about the person and flag.
	Late bool
}

// run is one run of a flag.
type run struct {
	key      string
	seen     int64 // latest arrival, ms
	told     int64 // latest arrival shared with other replicas, ms
	persons  sample
	variants []string // numbered by their index
	// best is the highest evidence so far.
	best float64
	// From this process and earlier ones with the same storage, not from other replicas.
	exposures, unexposures, late int64
}

// flag holds the counts of one flag.
type flag struct {
	key    string
	shares *Shares

	mu       sync.Mutex
	runs     map[string]*run
	latest   *run   // the last one seen; un-exposures without a run belong to it
	assigned sample // persons, by their newest assignment
	seen     int64  // latest arrival of an assignment, ms
	told     int64  // latest one shared with other replicas, ms

	// changes counts changes for the storage, shared those for other replicas.
	changes, shared uint64
}

func newFlag(key string, shares *Shares) *flag {
	return &flag{key: strings.Clone(key), shares: shares, runs: map[string]*run{}, assigned: newSample()}
}

func (f *flag) newRun(key string) *run {
	r := &run{key: strings.Clone(key), persons: newSample()}
	f.runs[r.key] = r
	return r
}

// alive notes that a run, or the assignments, were seen. Other replicas are informed from time to time even without new
// persons, because for them, what is not seen for too long is over. told is the time that they know.
func (f *flag) alive(told *int64, now int64, forget time.Duration) {
	const parts = 4
	if now-*told >= forget.Milliseconds()/parts {
		*told = now
		f.shared++
	}
}

// meet notes that a person saw a variant.
func (f *flag) meet(r *run, e *Exposure, variant uint8, limit int) {
	met := entry{first: uint32(max(1, e.Time/1000)), day: dayOf(e.Day), tag: f.shares.tagOf(), variant: variant}
	who := e.Person.User
	if who == 0 {
		who, met.marks = e.Person.Device, markDevice
	}
	if who != e.Person.Device && e.Person.Device != 0 {
		if device := r.persons.find(e.Person.Device); device != nil && device.marks&markAlias == 0 {
			was := *device
			device.marks |= markAlias
			f.shared++
			was.marks &^= markDevice
			r.add(who, &was, limit)
		}
	}
	if r.add(who, &met, limit) {
		f.shared++
	}
}

// add notes what is known about a person, by the earlier first variant, and reports whether that changes anything.
func (r *run) add(who uint64, met *entry, limit int) bool {
	if who == 0 {
		return false
	}
	e, added := r.persons.put(who, limit)
	if e == nil {
		return false
	}
	if added {
		*e, e.hash = *met, who
		return true
	}
	before := *e
	e.marks |= met.marks
	if e.variant != met.variant {
		e.marks |= markChanged
	}
	if met.first < e.first {
		e.first, e.variant, e.tag = met.first, met.variant, met.tag
	}
	e.day = max(e.day, met.day)
	return *e != before
}

// dayOf counts days from 1; 0 is none.
func dayOf(day int32) uint32 { return uint32(max(0, day)) + 1 }

// assign notes the day of an assignment, and reports whether that changes anything.
func (f *flag) assign(who uint64, day uint32, limit int) bool {
	if who == 0 {
		return false
	}
	e, added := f.assigned.put(who, limit)
	if e == nil || (!added && e.day >= day) {
		return false
	}
	e.day = day
	return true
}

// expire removes the runs that were not seen since a time, and returns how many variants they had.
func (f *flag) expire(before int64) (variants int) {
	for key, r := range f.runs {
		if r.seen < before {
			variants += len(r.variants)
			delete(f.runs, key)
		}
	}
	if f.latest != nil && f.latest.seen < before {
		f.latest = nil
	}
	return variants
}
