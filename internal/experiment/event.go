// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package experiment // import "github.com/otelcol-amplitude/otelcol-amplitude/internal/experiment"

import (
	"github.com/zeebo/xxh3"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/amplitude"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/experiment/explain"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/steps"
)

// Event is one outgoing event, from its key to its insert_id: what a record tells, or some flags of a large
// assignment.
type Event struct {
	*parsedRecord
	Groups []Group
	// Flags are the flags that the event tells, sorted by key; an exposure tells one.
	Flags []Flag

	// Subject says who was evaluated for what: ids, groups, flag keys and experiment key, as a hash.
	Subject [16]byte
	// Result is a hash of what came out: the variants, and what becomes of the user properties.
	Result uint64
	// Window is the number of the day, or other window, of the event's own time.
	Window int32

	// Verdict is given by the caller between Read and Write.
	Verdict Verdict
	// Told is the explanation of the event, or nil: the caller adds why it gave its verdict.
	Told *explain.Event

	// kind and the facts are those of the record, or of one flag of an evaluation's result.
	kind recordKind
	exposureFacts

	key                  xxh3.Uint128
	insertID, identifyID string
	// setsProperties: the configuration lets the event set properties. onlyProperties: the record is no event of its own.
	setsProperties, onlyProperties bool
}

// Verdict is what the caller's memory of what was sent says about an event, beside what it says of its flags. The zero
// value lets it go out.
type Verdict struct {
	// Repeat: the same went out already. The event is not written.
	Repeat bool
	// Identify: a $identify with the operations of the flags that are to be repaired goes out right behind the event, or
	// in its place.
	Identify bool
	// IdentifyNumber tells the $identify apart from all others that IdentifySource, a random number, counts.
	IdentifySource, IdentifyNumber uint64
	// Late: the event must not touch the user's properties, because something newer of them is known.
	Late bool
	// Changed: a property had another value before. Old: the event is too old to set one, or is from before a login.
	Changed, Old bool
	// Flapping is a flag whose property changes too often and stays as it is, "" if there is none.
	Flapping string
}

// SetsProperty tells whether the event sets or unsets the user property of a flag.
func (e *Event) SetsProperty(flag *Flag) bool {
	return !flag.NoProperty && !e.skipsProperties && (e.shaped || e.setsProperties)
}

// Key is the hash of subject and result together, which insert_id holds.
func (e *Event) Key() xxh3.Uint128 { return e.key }

// IsOutcome tells that the event is an outcome: it counts each time it comes, and Amplitude alone drops the second of an insert_id.
func (e *Event) IsOutcome() bool { return e.kind == kindOutcome }

// OnlyProperties tells that the record is no event of its own: it only sets user properties, as a $identify.
func (e *Event) OnlyProperties() bool { return e.onlyProperties }

// Exposes tells that the event says which variant of one flag a person met, or that it is in none.
func (e *Event) Exposes() bool {
	return e.kind == kindExposure || e.kind == kindEvaluation || e.kind == kindIdentify
}

// Run is the experiment key that an exposure tells, "" if it tells none.
func (e *Event) Run() string { return e.exposureFacts.ExperimentKey }

// Assigns tells that the event says which variants a person was assigned to.
func (e *Event) Assigns() bool { return e.kind == kindAssignment }

// InsertID and IdentifyID are the insert_ids of what Write has written, "" for nothing.
func (e *Event) InsertID() string   { return e.insertID }
func (e *Event) IdentifyID() string { return e.identifyID }

// makeEvents makes the events of all records that were read, with their keys.
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

// subjectLimit bounds how many records of one subject are taken of a batch. It counts only where a batch has more records.
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

// allows tells whether the events of one more record may go on.
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

// splitFlags splits the flags of an assignment so that no event has more properties than Amplitude's
// SDKs put in one. Each part is an assignment of its own flags, complete in itself.
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
