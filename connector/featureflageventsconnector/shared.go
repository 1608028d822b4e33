// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package featureflageventsconnector // import "github.com/otelcol-amplitude/otelcol-amplitude/connector/featureflageventsconnector"

import (
	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/steps"
)

// copyLimit says why an attribute of copy_attributes was not copied.
type copyLimit uint8

const (
	// limitNotScalar is a map, a list or bytes: no id is one, and each record would have a copy of its own.
	limitNotScalar copyLimit = iota
	// limitLong is a text that is longer than any id.
	limitLong
	// limitBudget means that the records of a request copied max_copied_mib already.
	limitBudget
	numCopyLimits
)

const (
	// maxCopiedText is the longest text that is copied, in bytes: an id of Amplitude's has 1,024 characters at most.
	maxCopiedText = 4096
	// freeCopied is how many bytes each record may copy beside the budget.
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

// copyShared copies the attributes of the allow-list that the record does not have itself.
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

// findShared finds what may be copied: of each name the first value that is a scalar.
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

// has tells whether a name is among the attributes, which are few.
func (s *shared) has(name string) bool {
	steps.Add(len(s.attributes))
	for i := range s.attributes {
		if s.attributes[i].name == name {
			return true
		}
	}
	return false
}
