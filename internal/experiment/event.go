// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package experiment // import "github.com/otelcol-amplitude/otelcol-amplitude/internal/experiment"

import (
	"github.com/zeebo/xxh3"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/amplitude"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/experiment/explain"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/steps"
)

// Event is one outgoing event, from its key to its insert_id: what a record reports, or some flags of a large
// assignment.
type Event struct {
	*parsedRecord
	Groups []Group
	// Flags are the flags of the event, sorted by key; an exposure has one.
	Flags []Flag

	// Subject is a hash of who was evaluated for what: ids, groups, flag keys and experiment key.
	Subject [16]byte
	// Result is a hash of the result: the variants, and what becomes of the user properties.
	Result uint64
	// Window is the number of the day, or other window, of the event's own time.
	Window int32

	// Verdict is set by the caller between Read and Write.
	Verdict Verdict
	// Explanation is the explanation of the event, or nil; the caller adds the reason for its verdict.
	Explanation *explain.Event

	// kind and the facts come from the record, or from one flag of the result of an evaluation.
	kind recordKind
	exposureFacts

	key                  xxh3.Uint128
	insertID, identifyID string
	// setsProperties: the configuration lets the event set properties. onlyProperties: the record only sets user
	// properties and is not an event itself.
	setsProperties, onlyProperties bool
}

// Verdict is the caller's decision about an event, based on what was sent before; flags have their own decisions. The
// zero value sends the event.
type Verdict struct {
	// Repeat: the same was already sent. The event is not written.
	Repeat bool
	// Identify: a $identify with the operations of the flags to repair is sent right after the event, or instead of it.
	Identify bool
	// IdentifyNumber distinguishes the $identify from all others with the same IdentifySource, a random number.
	IdentifySource, IdentifyNumber uint64
	// Late: the event must not touch the user's properties, because newer values are known.
	Late bool
	// Changed: a property had another value before. Old: the event is too old to set a property, or from before a
	// login.
	Changed, Old bool
	// Flapping is a flag whose property changes too often and is left unchanged, or "".
	Flapping string
}

// SetsProperty reports whether the event sets or unsets the user property of a flag.
func (e *Event) SetsProperty(flag *Flag) bool {
	return !flag.NoProperty && !e.skipsProperties && (e.shaped || e.setsProperties)
}

// Key is the hash of subject and result together, which insert_id holds.
func (e *Event) Key() xxh3.Uint128 { return e.key }

// IsOutcome reports whether the event is an outcome: each one counts, and only Amplitude drops a second one with the
// same insert_id.
func (e *Event) IsOutcome() bool { return e.kind == kindOutcome }

// OnlyProperties reports whether the record only sets user properties, as a $identify, and is not an event itself.
func (e *Event) OnlyProperties() bool { return e.onlyProperties }

// Exposes reports whether the event is an exposure to a variant, or an un-exposure.
func (e *Event) Exposes() bool {
	return e.kind == kindExposure || e.kind == kindEvaluation || e.kind == kindIdentify
}

// Run is the experiment key of an exposure, or "".
func (e *Event) Run() string { return e.ExperimentKey }

// Assigns reports whether the event says which variants a person was assigned to.
func (e *Event) Assigns() bool { return e.kind == kindAssignment }

// InsertID is the insert_id of the event that Write has written, or "".
func (e *Event) InsertID() string { return e.insertID }

// IdentifyID is the insert_id of the $identify that Write has written, or "".
func (e *Event) IdentifyID() string { return e.identifyID }

// makeEvents makes the events, with their keys, of all records that were read.
func (b *Batch) makeEvents() {
	p := &b.parser
	limit := newSubjectLimit(p.set.Limits.SubjectRecords, len(b.records))
	for i := range b.records {
		r := &b.records[i]
		if !r.leaves() {
			continue
		}
		first := len(b.events)
		flags := p.flags[r.flags.start:r.flags.end]
		switch {
		case r.kind == kindOutcome:
			b.addEvent(r, kindOutcome, nil, exposureFacts{})
		case r.kind != kindAssignment:
			b.addEvent(r, r.kind, flags, r.exposureFacts)
		case r.outcome != Exposure:
			reserved := 0
			if r.environment != "" {
				reserved = 1
			}
			splitFlags(flags, reserved, func(from, to int) { b.addEvent(r, kindAssignment, flags[from:to], exposureFacts{}) })
		}
		b.addExposures(r)
		if !limit.allows(b.events[first:]) {
			clear(b.events[first:])
			b.events = b.events[:first]
			r.decision = rejected(RejectSubjectLimit)
			r.trace.decided(r, nil, nil)
			continue
		}
		r.events = indexRange{int32(first), int32(len(b.events))}
		r.trace.events(b.events[first:])
	}
}

// subjectLimit bounds how many records of one subject are accepted from a batch. It counts only if a batch has more
// records than that.
type subjectLimit struct {
	most  int32
	taken map[[16]byte]int32
}

func newSubjectLimit(most, records int) subjectLimit {
	limit := subjectLimit{most: int32(most)}
	if records > most {
		limit.taken = make(map[[16]byte]int32, records)
	}
	return limit
}

// allows reports whether the events of another record are within the limit.
func (l *subjectLimit) allows(events []Event) bool {
	if l.taken == nil {
		return true
	}
	steps.Add(len(events))
	for i := range events {
		if l.taken[events[i].Subject] >= l.most {
			return false
		}
	}
	for i := range events {
		l.taken[events[i].Subject]++
	}
	return true
}

func (b *Batch) addEvent(r *parsedRecord, kind recordKind, flags []Flag, facts exposureFacts) {
	p := &b.parser
	b.events = extend(b.events)
	e := &b.events[len(b.events)-1]
	e.parsedRecord, e.kind, e.exposureFacts = r, kind, facts
	e.Groups = p.groups[r.groups.start:r.groups.end]
	e.Flags = flags
	e.Window = p.set.Window.Number(r.Time)
	e.setsProperties = p.set.setsProperties(kind)
	b.encoder = e.hash(b.encoder, e.setsProperties)
	e.onlyProperties = kind == kindIdentify || (len(flags) == 1 && kind != kindAssignment && !r.shaped && flags[0].Unassigned && p.set.Exposure.Unassigned == UnassignedIdentify)
}

// splitFlags splits the flags of an assignment so that no event has more properties than Amplitude's SDKs put in one.
// Each part is a complete assignment of its own flags.
func splitFlags(flags []Flag, reserved int, yield func(start, end int)) {
	start, used := 0, reserved
	steps.Add(len(flags))
	for i := range flags {
		need := 1
		if flags[i].details != "" {
			need++
		}
		if used+need > amplitude.MaxPropertyKeys && i > start {
			yield(start, i)
			start, used = i, reserved
		}
		used += need
	}
	yield(start, len(flags))
}
