// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package experiment // import "github.com/otelcol-amplitude/otelcol-amplitude/internal/experiment"

import (
	"slices"
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/amplitude"
)

// offVariant is what an assignment says of a flag that has no variant; Amplitude reserves the name.
const offVariant = "off"

// Entries of the map that an SDK's evaluate() gives per flag.
const (
	variantKey      = "key"
	variantValue    = "value"
	variantMetadata = "metadata"
)

// assignment reads what several flags evaluated to: a map of variants, or flat attributes.
func (p *parser) assignment(v *fieldValues, r *parsedRecord) decision {
	first, firstLeftOut := len(p.flags), len(p.leftOut)
	if v.found(fieldVariants) {
		for key, value := range v.answers[fieldVariants].value.Map().All() {
			p.addFlag(key, value, v.inRecord(fieldVariants))
		}
	} else {
		for _, entry := range v.flat {
			if entry.field == fieldFlatVariant && !slices.Contains(p.set.Evaluation.Variant, entry.name) {
				p.addFlag(flatFlagKey(entry.name, amplitude.SuffixVariant), entry.value, true)
			}
		}
	}
	r.environment = v.text(fieldEnvironment)
	p.flags = p.flags[:first+len(sortFlags(p.flags[first:]))]
	if !v.found(fieldVariants) {
		addFlatDetails(p.flags[first:], v.flat)
	}
	if r.reshaped {
		reshapeAll(p.flags[first:], claimedProperties(v.claims))
	}
	switch {
	case len(p.flags) > first:
		return decision{outcome: Assignment}
	case len(p.leftOut) > firstLeftOut:
		return rejected(p.leftOut[firstLeftOut].reason)
	default:
		r.trace.rule("flags", "skipped", "no attribute tells a flag")
		return skipped(SkipNoFlags)
	}
}

// flatFlagKey takes the flag key out of an attribute name such as "[Experiment] my-flag.variant".
func flatFlagKey(name, suffix string) string {
	return strings.TrimPrefix(strings.TrimSuffix(name, suffix), amplitude.ExperimentPrefix)
}

// addFlag appends one flag of an assignment. One that cannot be told is left out, with the reason: its neighbors are
// not lost with it.
func (p *parser) addFlag(key string, value pcommon.Value, movable bool) {
	key = validText(key)
	switch {
	case strings.TrimSpace(key) == "":
		p.leaveOut(RejectNoFlagKey, key)
		return
	case tooLong(key, maxFlagKey):
		p.leaveOut(RejectLongFlagKey, key)
		return
	}
	one := Flag{Key: key, variantValue: value}
	var m flagMetadata
	state := variantMissing
	if value.Type() == pcommon.ValueTypeMap {
		entry := value.Map()
		name, hasKey := entry.Get(variantKey)
		if hasKey {
			one.Variant, state = variantText(name, false)
		}
		if state != variantUsable {
			if content, ok := entry.Get(variantValue); ok {
				if t, st := variantText(content, true); st != variantMissing {
					one.Variant, state, name = t, st, content
				}
			}
		}
		one.variantValue = name
		if content, ok := entry.Get(variantMetadata); ok && content.Type() == pcommon.ValueTypeMap {
			m = readMetadata(content.Map())
		}
	} else {
		one.Variant, state = variantText(value, false)
	}
	if state == variantBad {
		p.leaveOut(RejectBadVariant, key)
		return
	}
	one.movable = movable && state == variantUsable
	one.Unassigned, one.rule = p.isUnassigned(kindAssignment, one.Variant, &m)
	one.NoProperty = m.noProperty
	one.details = m.details
	if one.Variant == "" {
		one.Variant = offVariant
	}
	p.flags = append(p.flags, one)
}

// addFlatDetails gives each of the sorted flags the details that a flat attribute tells, the first of them.
func addFlatDetails(flags []Flag, flat []flatEntry) {
	for _, entry := range flat {
		if entry.field != fieldFlatDetails || entry.value.Type() != pcommon.ValueTypeStr {
			continue
		}
		key := flatFlagKey(entry.name, amplitude.SuffixDetails)
		if i, ok := slices.BinarySearchFunc(flags, key, func(one Flag, key string) int { return strings.Compare(one.Key, key) }); ok {
			if flags[i].details == "" {
				flags[i].details = amplitude.Truncate(validText(entry.value.Str()), amplitude.MaxStringLength)
			}
		}
	}
}

// sortFlags sorts flags by key and leaves one of each: the first that was given.
func sortFlags(flags []Flag) []Flag {
	byKey := func(a, b Flag) int { return strings.Compare(a.Key, b.Key) }
	if !slices.IsSortedFunc(flags, byKey) {
		slices.SortStableFunc(flags, byKey)
	}
	return slices.CompactFunc(flags, func(a, b Flag) bool { return a.Key == b.Key })
}
