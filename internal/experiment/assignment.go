// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package experiment // import "github.com/otelcol-amplitude/otelcol-amplitude/internal/experiment"

import (
	"cmp"
	"slices"
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/amplitude"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/steps"
)

// offVariant is the variant in an assignment for a flag that has none; Amplitude reserves the name.
const offVariant = "off"

// Keys of the map that an SDK's evaluate() returns for each flag.
const (
	variantKey      = "key"
	variantValue    = "value"
	variantMetadata = "metadata"
)

// variantExperimentKeys are the keys for the experiment key of a variant in client SDKs (Variant.expKey), and on
// Amplitude's pages about the evaluation API and about new runs of an experiment.
var variantExperimentKeys = [...]string{"expKey", "experiment_key", "experimentKey"}

// assignment reads the results of several flags: a map of variants, or flat attributes.
func (p *parser) assignment(v *fieldValues, r *parsedRecord) decision {
	first, firstLeftOut := len(p.flags), len(p.leftOut)
	p.maxFlags = first + p.set.Limits.Flags
	if v.found(fieldVariants) {
		if !v.inRecord(fieldVariants) && !p.inherits(v.flagsWeight+p.exposuresWeight(v)) {
			return rejected(RejectInheritedLimit)
		}
		steps.Add(v.answers[fieldVariants].value.Map().Len())
		for key, value := range v.answers[fieldVariants].value.Map().All() {
			p.addFlag(key, value, v.inRecord(fieldVariants))
		}
	} else {
		steps.Add(len(v.flat))
		for _, entry := range v.flat {
			if entry.field == fieldFlatVariant && !slices.Contains(p.set.Evaluation.Variant, entry.name) {
				p.addFlag(flatFlagKey(entry.name, amplitude.SuffixVariant), entry.value, true)
			}
		}
	}
	r.environment = v.text(fieldEnvironment)
	p.flags = p.flags[:first+len(p.sortFlags(p.flags[first:]))]
	if !v.found(fieldVariants) {
		addFlatDetails(p.flags[first:], v.flat)
	}
	if r.reshaped {
		reshapeAll(p.flags[first:], claimedProperties(v.claims), r.propertyClaimed)
	}
	switch {
	case v.misses(fieldVariants):
		return rejected(RejectBadVariants)
	case len(p.flags) > first:
		return p.emitted(r, p.flags[first:])
	case len(p.leftOut) > firstLeftOut:
		return rejected(p.leftOut[firstLeftOut].reason)
	default:
		r.trace.rule("flags", "skipped", "no attribute names a flag")
		return skipped(SkipNoFlags)
	}
}

// flatFlagKey extracts the flag key from an attribute name such as "[Experiment] my-flag.variant".
func flatFlagKey(name, suffix string) string {
	return strings.TrimPrefix(strings.TrimSuffix(name, suffix), amplitude.ExperimentPrefix)
}

// addFlag appends one flag of an assignment. A flag that cannot be sent is left out, with the reason: the other flags
// are kept.
func (p *parser) addFlag(key string, value pcommon.Value, movable bool) {
	key = validText(key)
	switch {
	case strings.TrimSpace(key) == "":
		p.leaveOut(RejectNoFlagKey, key)
		return
	case tooLong(key, maxFlagKey):
		p.leaveOut(RejectLongFlagKey, key)
		return
	case len(p.flags) >= p.maxFlags:
		p.leaveOut(RejectFlagLimit, key)
		return
	}
	one := Flag{Key: key, variantValue: value}
	var m flagMetadata
	var facts exposureFacts
	state := variantMissing
	if value.Type() == pcommon.ValueTypeMap {
		entry := value.Map()
		name, hasKey := entry.Get(variantKey)
		if hasKey {
			one.Variant, state = variantText(name, false)
		}
		one.noKey = state != variantUsable
		if one.noKey {
			if content, ok := entry.Get(variantValue); ok {
				if t, st := variantText(content, true); st != variantMissing {
					one.Variant, state, name = t, st, content
				}
			}
		}
		one.variantValue = name
		if content, ok := entry.Get(variantMetadata); ok {
			object, why := objectOf(content)
			switch why {
			case refusedNot:
				m = readMetadata(object.Map())
				facts.metadata, facts.hasMetadata = object, movable
			case refusedNotMap:
				p.leaveOut(RejectBadMetadata, key)
				return
			}
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
	one.dontTrack = p.exposes && m.dontTrack
	if p.exposes && !one.Unassigned && !one.dontTrack {
		if facts.ExperimentKey = m.experimentKey; facts.ExperimentKey == "" {
			facts.ExperimentKey = entryExperimentKey(value)
		}
		p.exposures = append(p.exposures, flagExposure{exposureFacts: facts})
		one.exposure = int32(len(p.exposures))
	}
	if one.Variant == "" {
		one.Variant = offVariant
	}
	p.flags = append(p.flags, one)
}

// addFlatDetails adds the details from flat attributes to the sorted flags; the first details of a flag win.
func addFlatDetails(flags []Flag, flat []flatEntry) {
	steps.Add(len(flat))
	for _, entry := range flat {
		if entry.field != fieldFlatDetails || entry.value.Type() != pcommon.ValueTypeStr {
			continue
		}
		key := flatFlagKey(entry.name, amplitude.SuffixDetails)
		if i, ok := slices.BinarySearchFunc(flags, key, func(one Flag, key string) int {
			steps.Add(1)
			return strings.Compare(one.Key, key)
		}); ok {
			if flags[i].details == "" {
				flags[i].details = amplitude.Truncate(validText(entry.value.Str()), amplitude.MaxStringLength)
			}
		}
	}
}

// sortFlags sorts flags by key and removes duplicates, keeping the first of each. It sorts indexes, because flags are
// large to move.
func (p *parser) sortFlags(flags []Flag) []Flag {
	steps.Add(len(flags))
	if slices.IsSortedFunc(flags, func(a, b Flag) int { return strings.Compare(a.Key, b.Key) }) {
		return slices.CompactFunc(flags, func(a, b Flag) bool { return a.Key == b.Key })
	}
	places := p.places[:0]
	for i := range flags {
		places = append(places, flagPlace{flags[i].Key, int32(i)})
	}
	slices.SortFunc(places, func(a, b flagPlace) int {
		steps.Add(1)
		return cmp.Or(strings.Compare(a.key, b.key), cmp.Compare(a.place, b.place))
	})
	places = slices.CompactFunc(places, func(a, b flagPlace) bool { return a.key == b.key })
	given := append(p.given[:0], flags...) //nolint:gocritic // scratch memory: see p.given
	for i, from := range places {
		flags[i] = given[from.place]
	}
	clear(flags[len(places):])
	p.places, p.given = reuse(places), reuse(given)
	return flags[:len(places)]
}

// flagPlace is the original position of a flag.
type flagPlace struct {
	key   string
	place int32
}
