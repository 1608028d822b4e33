// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package experiment // import "github.com/otelcol-amplitude/otelcol-amplitude/internal/experiment"

import (
	"encoding/binary"
	"slices"

	"github.com/zeebo/xxh3"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/steps"
)

// The first byte of the encoding of a subject. It goes into hashes that must stay the same forever, on every replica
// and in every version.
const (
	subjectExposure   = 'E'
	subjectAssignment = 'A'
	subjectImpression = 'I'
	subjectCustom     = 'C'
	subjectOutcome    = 'O'
)

// What the result of a flag does to its user property; part of an assignment's result.
const (
	propertyUntouched = 0
	propertySet       = 1
	propertyUnset     = 2
)

// encoder writes strings with a length prefix, so that no two lists of strings have the same encoding.
type encoder []byte

// text and count return the extended encoder, so that a chain of calls stays in registers.
func (e encoder) text(s string) encoder { return append(e.count(len(s)), s...) }

func (e encoder) count(n int) encoder {
	if n < oneByte {
		return append(e, byte(n))
	}
	return binary.AppendUvarint(e, uint64(n))
}

// oneByte is the first number whose varint needs a second byte.
const oneByte = 0x80

// who appends the person of an event.
func (e encoder) who(kind byte, who *Identity, groups []Group) encoder {
	e = append(e[:0], kind)
	e = e.text(who.UserID)
	e = e.text(who.DeviceID)
	e = e.count(len(groups))
	for i := range groups {
		e = e.text(groups[i].Type)
		values := groups[i].Values
		if !slices.IsSorted(values) {
			values = slices.Sorted(slices.Values(values))
		}
		e = e.count(len(values))
		for _, value := range values {
			e = e.text(value)
		}
	}
	return e
}

// hash computes the key of an event, and returns the memory that it used.
func (e *Event) hash(memory encoder, setsProperties bool) encoder {
	var text encoder
	var subject int
	switch e.kind {
	case kindAssignment:
		text, subject = e.encodeAssignment(memory, setsProperties)
	case kindOutcome:
		text, subject = e.encodeOutcome(memory)
	default:
		text, subject = e.encodeExposure(memory)
	}
	steps.Add(len(text) / bytesPerStep)
	e.key = xxh3.Hash128(text)
	e.Subject = xxh3.Hash128(text[:subject]).Bytes()
	e.Result = e.key.Lo
	return text
}

// bytesPerStep is how much text is written and hashed in the time of one comparison.
const bytesPerStep = 16

// encodeExposure encodes an exposure. Subject, up to the returned length: kind, ids, groups, flag key, experiment key.
// Result: the variant, or that there is none.
func (e *Event) encodeExposure(to encoder) (text encoder, subject int) {
	flag := &e.Flags[0]
	kind := byte(subjectExposure)
	switch {
	case e.kind == kindImpression:
		kind = subjectImpression
	case e.customEvent != "":
		kind = subjectCustom
	}
	to = to.who(kind, &e.Identity, e.Groups)
	to = to.count(1)
	to = to.text(flag.Key)
	to = to.text(e.ExperimentKey)
	if e.customEvent != "" {
		to = to.text(e.customEvent)
	}
	if e.kind == kindImpression {
		to = binary.AppendVarint(to, e.Time) // each one counts; only the same record is a repeat
	}
	subject = len(to)
	if flag.Unassigned {
		return append(to, propertyUnset), subject
	}
	to = append(to, propertySet)
	return to.text(flag.Variant), subject
}

// encodeAssignment encodes an assignment. Subject: kind, ids, groups, the sorted flag keys. Result: the variant of
// each flag and what becomes of its user property.
func (e *Event) encodeAssignment(to encoder, setsProperties bool) (text encoder, subject int) {
	to = to.who(subjectAssignment, &e.Identity, e.Groups)
	to = to.count(len(e.Flags))
	for i := range e.Flags {
		to = to.text(e.Flags[i].Key)
	}
	to = to.text("")
	subject = len(to)
	for i := range e.Flags {
		flag := &e.Flags[i]
		to = to.text(flag.Variant)
		switch {
		case flag.NoProperty || e.skipsProperties || !setsProperties:
			to = append(to, propertyUntouched)
		case flag.Unassigned:
			to = append(to, propertyUnset)
		default:
			to = append(to, propertySet)
		}
	}
	return to, subject
}
