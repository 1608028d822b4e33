// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package featureflageventsconnector // import "github.com/otelcol-amplitude/otelcol-amplitude/connector/featureflageventsconnector"

import (
	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/steps"
)

// copyLimit is why an attribute of copy_attributes was not copied.
type copyLimit uint8

const (
	// limitNotScalar is a map, a list or bytes: ids never are, and each record would need its own copy.
	limitNotScalar copyLimit = iota
	// limitLong is text longer than any id.
	limitLong
	// limitBudget means that the records of a request already copied max_copied_mib.
	limitBudget
	numCopyLimits
)

const (
	// maxCopiedText is the maximum length of copied text in bytes: Amplitude's ids have at most 1,024 characters.
	maxCopiedText = 4096
	// freeCopied is how many bytes each record may copy in addition to the budget.
	freeCopied = 256
	bitsPerMiB = 20
)

// shared are the attributes that the records of a span, a scope or a resource may copy from it, found once for all of them.
type shared struct {
	known      bool
	attributes []sharedAttribute
	weight     int
}

type sharedAttribute struct {
	name  string
	value pcommon.Value
}

func (s *shared) forget() {
	s.known, s.attributes, s.weight = false, s.attributes[:0], 0
}

// copyShared copies the allowed attributes that the record does not have itself.
func (f *finder) copyShared(from *shared, attributes, to pcommon.Map, at *place) {
	if !from.known {
		f.findShared(from, attributes, &at.found)
	}
	if len(from.attributes) == 0 {
		return
	}
	if over := from.weight - freeCopied; over > 0 {
		if over > f.copyBudget-at.copied {
			at.found.leftOut[limitBudget] += len(from.attributes)
			return
		}
		at.copied += over
	}
	for i := range from.attributes {
		putIfAbsent(to, from.attributes[i].name, from.attributes[i].value)
	}
}

// findShared finds what may be copied: the first scalar value for each name.
func (f *finder) findShared(s *shared, attributes pcommon.Map, found *findings) {
	s.known = true
	steps.Add(attributes.Len())
	for name, value := range attributes.All() {
		if _, wanted := f.copied[name]; !wanted || s.has(name) {
			continue
		}
		size := 0
		switch value.Type() {
		case pcommon.ValueTypeEmpty:
			continue
		case pcommon.ValueTypeMap, pcommon.ValueTypeSlice, pcommon.ValueTypeBytes:
			found.leftOut[limitNotScalar]++
			continue
		case pcommon.ValueTypeStr:
			if size = len(value.Str()); size > maxCopiedText {
				found.leftOut[limitLong]++
				continue
			}
		}
		s.weight += len(name) + size
		s.attributes = append(s.attributes, sharedAttribute{name, value})
	}
}

// has reports whether a name is among the attributes, of which there are few.
func (s *shared) has(name string) bool {
	steps.Add(len(s.attributes))
	for i := range s.attributes {
		if s.attributes[i].name == name {
			return true
		}
	}
	return false
}
