// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudeexperimentprocessor // import "github.com/otelcol-amplitude/otelcol-amplitude/processor/amplitudeexperimentprocessor"

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
func (in *interpreter) assignment(s *scratch, g *gathered, f *facts) {
	f.outcome = outcomeAssignment
	start := len(s.flags)
	var left leftOut
	if g.found(fieldVariants) {
		for key, value := range g.slots[fieldVariants].value.Map().All() {
			left.note(in.addFlag(s, f, key, value, g.inRecord(fieldVariants)))
		}
	} else {
		for _, entry := range g.flat {
			if entry.field == fieldFlatVariant && !slices.Contains(in.cfg.Evaluation.Variant, entry.name) {
				left.note(in.addFlag(s, f, flatFlagKey(entry.name, amplitude.SuffixVariant), entry.value, true))
			}
		}
		addFlatDetails(s.flags[start:], g.flat)
	}
	f.environment = g.text(fieldEnvironment)
	found := sortFlags(s.flags[start:])
	s.flags = s.flags[:start+len(found)]
	f.flags = span{int32(start), int32(len(s.flags))}
	switch {
	case len(found) > 0:
	case left.any:
		f.rejected(left.reason)
	default:
		f.skipped(skipNoFlags)
		f.trace.rule("flags", "skipped", "no attribute tells a flag")
	}
}

// leftOut remembers why the first flag that could not be told was left out.
type leftOut struct {
	any    bool
	reason rejectReason
}

func (l *leftOut) note(reason rejectReason, ok bool) {
	if !ok && !l.any {
		l.any, l.reason = true, reason
	}
}

// flatFlagKey takes the flag key out of an attribute name such as "[Experiment] my-flag.variant".
func flatFlagKey(name, suffix string) string {
	return strings.TrimPrefix(strings.TrimSuffix(name, suffix), amplitude.ExperimentPrefix)
}

// addFlag appends one flag of an assignment. One that cannot be told is left out, with the reason, and counted: its
// neighbours are not lost with it.
func (in *interpreter) addFlag(s *scratch, f *facts, key string, value pcommon.Value, movable bool) (why rejectReason, ok bool) {
	key = validText(key)
	switch {
	case strings.TrimSpace(key) == "":
		return s.leaveOut(f, rejectNoFlagKey, key), false
	case tooLong(key, maxFlagKey):
		return s.leaveOut(f, rejectLongFlagKey, key), false
	}
	one := flagResult{key: key}
	var m flagMetadata
	text, state := "", variantMissing
	if value.Type() == pcommon.ValueTypeMap {
		entry := value.Map()
		name, hasKey := entry.Get(variantKey)
		if hasKey {
			text, state = variantText(name, false)
		}
		if state != variantUsable {
			if content, ok := entry.Get(variantValue); ok {
				if t, st := variantText(content, true); st != variantMissing {
					text, state, name = t, st, content
				}
			}
		}
		one.variant = textRef{text: text, value: name, movable: movable && state == variantUsable}
		if content, ok := entry.Get(variantMetadata); ok && content.Type() == pcommon.ValueTypeMap {
			m = readMetadata(content.Map())
		}
	} else {
		text, state = variantText(value, false)
		one.variant = textRef{text: text, value: value, movable: movable && state == variantUsable}
	}
	if state == variantBad {
		return s.leaveOut(f, rejectBadVariant, key), false
	}
	one.unassigned, one.rule = in.isUnassigned(sourceAssignment, text, &m)
	one.noProperty = m.noProperty
	one.details = m.details
	if text == "" {
		one.variant = textRef{text: offVariant}
	}
	s.flags = append(s.flags, one)
	return 0, true
}

// addFlatDetails gives each flag the details that a flat attribute tells.
func addFlatDetails(flags []flagResult, flat []flatEntry) {
	for _, entry := range flat {
		if entry.field != fieldFlatDetails || entry.value.Type() != pcommon.ValueTypeStr {
			continue
		}
		key := flatFlagKey(entry.name, amplitude.SuffixDetails)
		for i := range flags {
			if flags[i].key == key {
				flags[i].details = amplitude.Truncate(validText(entry.value.Str()), amplitude.MaxStringLength)
			}
		}
	}
}

// sortFlags sorts flags by key and leaves one of each: the first that was given.
func sortFlags(flags []flagResult) []flagResult {
	byKey := func(a, b flagResult) int { return strings.Compare(a.key, b.key) }
	if !slices.IsSortedFunc(flags, byKey) {
		slices.SortStableFunc(flags, byKey)
	}
	return slices.CompactFunc(flags, func(a, b flagResult) bool { return a.key == b.key })
}

// eventParts splits the flags of an assignment so that no event has more properties than Amplitude's
// SDKs put in one. Each part is an assignment of its own flags, complete in itself.
func eventParts(flags []flagResult, reserved int, yield func(start, end int)) {
	start, used := 0, reserved
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
