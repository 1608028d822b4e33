// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudeexperimentprocessor // import "github.com/otelcol-amplitude/otelcol-amplitude/processor/amplitudeexperimentprocessor"

import (
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/amplitude"
)

// keep removes every attribute but those that the allow-list lets travel as event properties, and
// makes these fit Amplitude's limits. own is how many event properties the event has besides.
func (sh *shaper) keep(s *scratch, e *event, attributes pcommon.Map, own int) {
	if len(sh.include) == 0 {
		s.takeAll(e, attributes)
		return
	}
	clear(s.kept)
	t := sh.tables[e.source]
	goes := func(name string, value pcommon.Value) bool {
		if value.Type() == pcommon.ValueTypeEmpty || !mayTravel(name) || t.isTaken(e.facts, name, value) || !sh.include.Match(name) {
			return true
		}
		if _, twice := s.kept[name]; twice {
			return true
		}
		if own+len(s.kept) >= amplitude.MaxPropertyKeys {
			s.counts.propertiesLeftOut++
			return true
		}
		removed, ok := limitValue(value, 1)
		if s.counts.propertiesLeftOut += removed; !ok {
			return true
		}
		s.kept[name] = struct{}{}
		return false
	}
	attributes.RemoveIf(func(name string, value pcommon.Value) bool {
		if !goes(name, value) {
			return false
		}
		s.hold(e, value)
		return true
	})
	limitKeys(attributes)
}

// mayTravel tells whether an attribute may become an event property at all. Names that mean
// something in an event are ours to write, and error texts hold what users typed.
func mayTravel(name string) bool {
	switch name {
	case "", attrEventName, attrOTelEventName,
		amplitude.RawFlagKey, amplitude.RawVariant, amplitude.RawExperimentKey,
		"error.message", "feature_flag.error.message", "feature_flag.evaluation.error.message":
		return false
	}
	return !strings.HasPrefix(name, amplitude.AttrPrefix) &&
		!strings.HasPrefix(name, amplitude.ExperimentPrefix) &&
		!strings.HasPrefix(name, "exception.")
}
