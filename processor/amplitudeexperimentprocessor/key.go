// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudeexperimentprocessor // import "github.com/otelcol-amplitude/otelcol-amplitude/processor/amplitudeexperimentprocessor"

import (
	"encoding/binary"
	"slices"

	"github.com/zeebo/xxh3"

	"github.com/otelcol-amplitude/otelcol-amplitude/processor/amplitudeexperimentprocessor/internal/dedup"
)

// The kinds of subject: first byte of its encoding. They are written into hashes that must stay the
// same for ever, on every replica and in every version.
const (
	kindExposure   = 'E'
	kindAssignment = 'A'
)

// What the result of a flag does to its user property; part of an assignment's result.
const (
	propertyUntouched = 0
	propertySet       = 1
	propertyUnset     = 2
)

// keys are the hashes of one event.
type keys struct {
	subject dedup.Key
	result  uint64
	// event is the hash of subject and result together: what insert_id holds.
	event xxh3.Uint128
}

// encoder writes texts so that no two lists of texts look the same: each with its length before it.
type encoder []byte

// text and count return what they have added to, so that a chain of them stays in registers.
func (e encoder) text(s string) encoder { return append(e.count(len(s)), s...) }

func (e encoder) count(n int) encoder {
	if n < oneByte {
		return append(e, byte(n))
	}
	return binary.AppendUvarint(e, uint64(n))
}

// oneByte is the first number that a varint takes a second byte for.
const oneByte = 0x80

func (e encoder) who(kind byte, f *facts, groups []group) encoder {
	e = append(e[:0], kind)
	e = e.text(f.userID)
	e = e.text(f.deviceID)
	e = e.count(len(groups))
	for i := range groups {
		e = e.text(groups[i].kind)
		values := groups[i].values
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

// exposureKeys hashes an exposure. Subject: kind, ids, groups, flag key, experiment key. Result: the
// variant, or that there is none.
func (s *scratch) exposureKeys(f *facts, groups []group) keys {
	e := s.encoder.who(kindExposure, f, groups)
	e = e.count(1)
	e = e.text(f.flagKey)
	e = e.text(f.experimentKey)
	subject := len(e)
	if f.unassigned {
		e = append(e, propertyUnset)
	} else {
		e = append(e, propertySet)
		e = e.text(f.variant)
	}
	s.encoder = e
	return e.keys(subject)
}

// assignmentKeys hashes an assignment. Subject: kind, ids, groups, the sorted flag keys. Result: the
// variant of each flag and what becomes of its user property.
func (s *scratch) assignmentKeys(f *facts, groups []group, flags []flagResult, setsProperties bool) keys {
	e := s.encoder.who(kindAssignment, f, groups)
	e = e.count(len(flags))
	for i := range flags {
		e = e.text(flags[i].key)
	}
	e = e.text("")
	subject := len(e)
	for i := range flags {
		e = e.text(flags[i].variant.text)
		switch {
		case flags[i].noProperty || !setsProperties:
			e = append(e, propertyUntouched)
		case flags[i].unassigned:
			e = append(e, propertyUnset)
		default:
			e = append(e, propertySet)
		}
	}
	s.encoder = e
	return e.keys(subject)
}

// keys hashes what was written; the subject is the beginning of it.
func (e encoder) keys(subject int) keys {
	event := xxh3.Hash128(e)
	return keys{
		subject: xxh3.Hash128(e[:subject]).Bytes(),
		result:  event.Lo,
		event:   event,
	}
}
