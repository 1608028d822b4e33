// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package experiment // import "github.com/otelcol-amplitude/otelcol-amplitude/internal/experiment"

import (
	"math/bits"
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/steps"
)

// maxMemo bounds how many attribute positions are remembered.
const maxMemo = 64

// memo caches what the attribute name at each position meant: records of one application have their attributes in the
// same order, so one comparison replaces a lookup.
type memo [maxMemo]struct {
	name string
	refs []ref
}

// learn looks up a new name at a position.
func (m *memo) learn(t *fieldTable, position int, name string) []ref {
	m[position].name, m[position].refs = strings.Clone(name), t.lookup(name)
	return m[position].refs
}

// flatEntry is an attribute whose name contains a flag or a group type.
type flatEntry struct {
	field field
	name  string
	value pcommon.Value
}

// fieldValues are the values from the attributes of a record, its scope and its resource.
type fieldValues struct {
	// used: it was read since it was last emptied.
	used bool
	// answered are the fields that have an answer. answers holds these, and ranks where they were found: the level plus
	// the position in the list of names.
	answered fields
	ranks    [numFields]level
	answers  [numFields]answer
	// badVariant: the given variant cannot be one.
	badVariant bool
	// unusable are the fields whose value in a record or its body has a type that they cannot have: maps, amounts, a
	// currency.
	unusable fields
	// idProblem is the first problem with a refused id.
	idProblem RejectReason
	flat      []flatEntry
	// claims are the names of the record's attributes that an application may not set.
	claims []string
	// metadata and groups are read from the maps of these fields: once, even if many records inherit them.
	metadata flagMetadata
	groups   []Group
	// weight is how many bytes every record that inherits these fields may copy, and flagsWeight how many bytes an
	// assignment copies from an inherited map of flags.
	weight, flagsWeight int
}

// nothingInherited is what a resource begins with.
var nothingInherited fieldValues

func (v *fieldValues) found(f field) bool { return v.answered&(1<<f) != 0 }

// inRecord reports whether the answer is in the record itself, so that its value may be moved out.
func (v *fieldValues) inRecord(f field) bool { return v.found(f) && v.ranks[f] < levelScope }

// text returns the answer of a text field, empty if there is none.
func (v *fieldValues) text(f field) string {
	if !v.found(f) {
		return ""
	}
	return v.answers[f].text
}

// misses reports whether a field has no answer because the record gives it with an impossible value.
func (v *fieldValues) misses(f field) bool { return v.unusable&(1<<f) != 0 && !v.found(f) }

// isTrue reports whether a boolean field is present and true.
func (v *fieldValues) isTrue(f field) bool { return v.found(f) && v.answers[f].number == 1 }

// reset starts a record with its inherited values.
func (v *fieldValues) reset(inherited *fieldValues) {
	v.used = true
	v.answered = inherited.answered
	for left := inherited.answered; left != 0; left &= left - 1 {
		f := bits.TrailingZeros64(uint64(left))
		v.ranks[f], v.answers[f] = inherited.ranks[f], inherited.answers[f]
	}
	v.badVariant = inherited.badVariant
	v.metadata, v.groups = inherited.metadata, inherited.groups
	v.weight, v.flagsWeight = inherited.weight, inherited.flagsWeight
	v.idProblem = inherited.idProblem
	v.unusable = inherited.unusable
	v.flat = v.flat[:0]
	v.claims = v.claims[:0]
}

// reader reads the fields of records. It is not safe for concurrent use.
type reader struct {
	ids    idRules
	tables [numKinds]*fieldTable
	memos  [numKinds]memo

	// The fields of the resource, and of the resource and the scope, per kind of record; read when first needed.
	ofResource [numKinds]fieldValues
	ofScope    [numKinds]fieldValues
	readUpTo   [numKinds]level

	resource pcommon.Map
	scope    pcommon.Map

	record fieldValues
	// ignoredIDs counts the ids that were refused.
	ignoredIDs [NumRejectReasons]int
}

func (r *reader) enterResource(attributes pcommon.Map) {
	r.resource = attributes
	for i := range r.readUpTo {
		r.readUpTo[i] = levelNone
	}
}

func (r *reader) enterScope(attributes pcommon.Map) {
	r.scope = attributes
	for i := range r.readUpTo {
		r.readUpTo[i] = max(r.readUpTo[i], levelResource)
	}
}

// inherited returns the fields that the following records inherit from scope and resource.
func (r *reader) inherited(kind recordKind) *fieldValues {
	if r.readUpTo[kind] == levelNone {
		v := &r.ofResource[kind]
		v.reset(&nothingInherited)
		r.read(kind, v, levelResource, r.resource)
		r.readUpTo[kind] = levelResource
	}
	if r.readUpTo[kind] == levelResource {
		v := &r.ofScope[kind]
		v.reset(&r.ofResource[kind])
		r.read(kind, v, levelScope, r.scope)
		v.weigh()
		r.readUpTo[kind] = levelScope
	}
	return &r.ofScope[kind]
}

// gather reads the fields of a record. The result is valid until the next call.
func (r *reader) gather(kind recordKind, attributes pcommon.Map, body pcommon.Value) *fieldValues {
	v := &r.record
	v.reset(r.inherited(kind))
	r.read(kind, v, levelRecord, attributes)
	if body.Type() == pcommon.ValueTypeMap {
		r.read(kind, v, levelBody, body.Map())
	}
	return v
}

func (r *reader) read(kind recordKind, v *fieldValues, at level, attributes pcommon.Map) {
	t := r.tables[kind]
	known := &r.memos[kind]
	steps.Add(attributes.Len())
	position := -1
	for name, value := range attributes.All() {
		position++
		var refs []ref
		switch {
		case at != levelRecord || position >= maxMemo:
			refs = t.lookup(name)
		case known[position].name == name:
			refs = known[position].refs
		default:
			refs = known.learn(t, position, name)
		}
		for _, to := range refs {
			if !to.bodyOnly || at == levelBody {
				r.consider(t, v, to, at, name, value)
			}
		}
	}
}

// collect gathers what is not chosen by field: flat names, claims, and the content of maps.
func (r *reader) collect(t *fieldTable, v *fieldValues, to ref, at level, name string, value pcommon.Value) {
	switch to.field {
	case fieldClaim:
		if at == levelRecord {
			v.claims = append(v.claims, name)
		}
	case fieldInside, fieldEvent:
		if to.field == fieldEvent && isOpen(to.field, at) {
			unfold(value)
		}
		if value.Type() == pcommon.ValueTypeMap && isOpen(to.field, at) {
			eachInside(to.field, at, name, value.Map(), func(at level, name string, value pcommon.Value) {
				for _, to := range t.lookup(name) {
					if !to.bodyOnly {
						r.consider(t, v, to, at, name, value)
					}
				}
			})
		}
	default:
		if at < levelScope && value.Type() != pcommon.ValueTypeEmpty {
			v.flat = append(v.flat, flatEntry{field: to.field, name: name, value: value})
		}
	}
}

// unfold parses the text of a JSON object into a map, in place: some loggers cannot nest.
func unfold(value pcommon.Value) {
	if value.Type() != pcommon.ValueTypeStr {
		return
	}
	if object, ok := parseObject(value.Str()); ok {
		object.MoveTo(value)
	}
}

// isOpen reports whether names in a map count: the properties of Amplitude's own event only in a record or its body,
// and not nested.
func isOpen(of field, at level) bool {
	return of == fieldInside || at == levelRecord || at == levelBody
}

// eachInside yields the entries of a map, with their dotted names and levels.
func eachInside(of field, at level, name string, m pcommon.Map, yield func(at level, name string, value pcommon.Value)) {
	prefix := name + "."
	if of == fieldEvent {
		prefix, at = "", at|levelInEvent
	} else {
		at |= levelNested
	}
	if strings.Count(prefix, ".") > maxNested {
		return
	}
	steps.Add(m.Len())
	for inner, value := range m.All() {
		yield(at, prefix+inner, value)
	}
}

// consider offers a value to a field, which takes it if it is usable and has priority over its current value.
func (r *reader) consider(t *fieldTable, v *fieldValues, to ref, at level, name string, value pcommon.Value) {
	if to.field >= fieldFlatVariant {
		r.collect(t, v, to, at, name, value)
		return
	}
	rank := at.place(to.place)
	if v.found(to.field) && rank >= v.ranks[to.field] {
		return
	}
	switch why := v.answers[to.field].read(to.field, value, r.ids); {
	case why == refusedNot:
		v.ranks[to.field] = rank
		v.answered |= 1 << to.field
		switch to.field {
		case fieldMetadata:
			v.metadata = readMetadata(v.answers[fieldMetadata].value.Map())
		case fieldGroups:
			v.groups, v.answers[fieldGroups].leftOut = readGroups(v.answers[fieldGroups].value.Map())
		}
	case why >= refusedEmptyID:
		problem := RejectEmptyID + RejectReason(why-refusedEmptyID)
		if v.idProblem == noProblem {
			v.idProblem = problem
		}
		r.ignoredIDs[problem]++
	case why == refusedBadVariant && to.field == fieldVariant:
		v.badVariant = true
	case (why == refusedNotMap || why == refusedNotNumber || why == refusedNotCurrency) && at < levelScope:
		v.unusable |= 1 << to.field
	}
}

func (r *reader) forget() {
	r.resource, r.scope = pcommon.Map{}, pcommon.Map{}
	r.ignoredIDs = [NumRejectReasons]int{}
	r.record.forget()
	for i := range r.readUpTo {
		r.readUpTo[i] = levelNone
		r.ofResource[i].forget()
		r.ofScope[i].forget()
	}
}

// forget empties the values. Most kinds of records are in no batch, and to clear their values each time would cost small
// batches more than what is in them.
func (v *fieldValues) forget() {
	if !v.used {
		return
	}
	v.used = false
	v.answered, v.unusable = 0, 0
	clear(v.answers[:])
	v.metadata, v.groups = flagMetadata{}, nil
	v.flat = reuse(v.flat[:cap(v.flat)])
	v.claims = reuse(v.claims[:cap(v.claims)])
}
