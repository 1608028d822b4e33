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

func (e *encoder) text(s string) {
	*e = binary.AppendUvarint(*e, uint64(len(s)))
	*e = append(*e, s...)
}

func (e *encoder) count(n int) { *e = binary.AppendUvarint(*e, uint64(n)) }

func (e *encoder) who(kind byte, f *facts, groups []group) {
	*e = append((*e)[:0], kind)
	e.text(f.userID)
	e.text(f.deviceID)
	e.count(len(groups))
	for i := range groups {
		e.text(groups[i].kind)
		values := groups[i].values
		if !slices.IsSorted(values) {
			values = slices.Sorted(slices.Values(values))
		}
		e.count(len(values))
		for _, value := range values {
			e.text(value)
		}
	}
}

// exposureKeys hashes an exposure. Subject: kind, ids, groups, flag key, experiment key. Result: the
// variant, or that there is none.
func (e *encoder) exposureKeys(f *facts, groups []group) keys {
	e.who(kindExposure, f, groups)
	e.count(1)
	e.text(f.flagKey)
	e.text(f.experimentKey)
	subject := len(*e)
	if f.unassigned {
		*e = append(*e, propertyUnset)
	} else {
		*e = append(*e, propertySet)
		e.text(f.variant)
	}
	return e.sum(subject)
}

// assignmentKeys hashes an assignment. Subject: kind, ids, groups, the sorted flag keys. Result: the
// variant of each flag and what becomes of its user property.
func (e *encoder) assignmentKeys(f *facts, groups []group, flags []flagResult, setsProperties bool) keys {
	e.who(kindAssignment, f, groups)
	e.count(len(flags))
	for i := range flags {
		e.text(flags[i].key)
	}
	e.text("")
	subject := len(*e)
	for i := range flags {
		e.text(flags[i].variant.text)
		switch {
		case flags[i].noProperty || !setsProperties:
			*e = append(*e, propertyUntouched)
		case flags[i].unassigned:
			*e = append(*e, propertyUnset)
		default:
			*e = append(*e, propertySet)
		}
	}
	return e.sum(subject)
}

func (e *encoder) sum(subject int) keys {
	whole := *e
	event := xxh3.Hash128(whole)
	return keys{
		subject: xxh3.Hash128(whole[:subject]).Bytes(),
		result:  event.Lo,
		event:   event,
	}
}
