// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package experiment // import "github.com/otelcol-amplitude/otelcol-amplitude/internal/experiment"

import (
	"go.opentelemetry.io/collector/pdata/pcommon"
)

// The result of an evaluation becomes exposures by the rules of Amplitude's server SDKs: one for each flag, in the
// order of the result, except for flags that assign no variant or ask not to be tracked. Unlike an exposure that an
// application reports itself, none of them removes a user from an experiment.

// flagExposure is the exposure of one flag in the result of an evaluation. Its flag is a copy, because the flag in the
// assignment has its own verdict; it has no key if the flag is a duplicate or left out.
type flagExposure struct {
	flag [1]Flag
	exposureFacts
}

// emitted decides which events the result of an evaluation becomes.
func (p *parser) emitted(r *parsedRecord, flags []Flag) decision {
	if !p.exposes {
		return decision{outcome: Assignment}
	}
	n := 0
	for i := range flags {
		if flags[i].exposure > 0 {
			n++
		}
	}
	r.trace.emits(p.set, n, len(flags))
	switch {
	case p.set.Assignment.Emit == EmitBoth:
		return decision{outcome: Assignment}
	case n == 0:
		return skipped(SkipNoExposure)
	default:
		return decision{outcome: Exposure}
	}
}

// expose makes the exposures of the remaining flags, and decides what becomes of the record.
func (p *parser) expose(r *parsedRecord, decided decision, flags []Flag, groups []Group) decision {
	n := 0
	for i := range flags {
		if flags[i].exposure > 0 {
			p.exposures[flags[i].exposure-1].flag[0] = flags[i]
			n++
		}
	}
	switch {
	case decided.outcome == Exposure && n == 0:
		return rejected(RejectPropertyLimit) // the limit left out all flags with a property
	case !p.repeats(n, r, groups):
		return rejected(RejectInheritedLimit)
	default:
		return decided
	}
}

// repeats charges what all exposures after the first copy from their record to the budget of the batch, and reports
// whether the budget was sufficient.
func (p *parser) repeats(exposures int, r *parsedRecord, groups []Group) bool {
	const twice = 2 // in their fields and in the insert_id
	weight := twice*(len(r.UserID)+len(r.DeviceID)) + r.client.size() + groupsWeight(groups)
	return exposures <= 1 || p.inherits(freeInherited+(exposures-1)*max(0, weight-freeInherited))
}

// exposureCost is approximately how many more bytes an exposure takes than a flag of an assignment.
const exposureCost = 800

// exposuresWeight is what the exposures of an inherited map of flags may take in addition to its assignment.
func (p *parser) exposuresWeight(v *fieldValues) int {
	if !p.exposes {
		return 0
	}
	return exposureCost * v.answers[fieldVariants].value.Map().Len()
}

// addExposures adds the exposures that the result of an evaluation becomes.
func (b *Batch) addExposures(r *parsedRecord) {
	for i := r.exposures.start; i < r.exposures.end; i++ {
		one := &b.parser.exposures[i]
		if one.flag[0].Key != "" {
			b.addEvent(r, kindExposure, one.flag[:], one.exposureFacts)
		}
	}
}

// takeMetadata moves the metadata of a record's exposures out of its attributes before these are removed.
func takeMetadata(events []Event) {
	for i := range events {
		if e := &events[i]; e.hasMetadata && !e.Verdict.Repeat {
			taken := pcommon.NewValueEmpty()
			e.metadata.MoveTo(taken)
			e.metadata = taken
		}
	}
}

// entryExperimentKey reads the experiment key next to the variant, as client SDKs and the evaluation API write it.
func entryExperimentKey(entry pcommon.Value) string {
	if entry.Type() != pcommon.ValueTypeMap {
		return ""
	}
	for _, name := range variantExperimentKeys {
		if value, ok := entry.Map().Get(name); ok {
			if text, ok := experimentKeyText(value); ok {
				return text
			}
		}
	}
	return ""
}
