// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package experiment // import "github.com/otelcol-amplitude/otelcol-amplitude/internal/experiment"

import (
	"slices"
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/xpdata"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/amplitude"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/steps"
)

// keep removes every attribute except those that the allow-list sends as event properties, and makes these fit
// Amplitude's limits. own is how many other event properties the event has. It returns how many do not fit.
func (w *writer) keep(e *Event, attributes pcommon.Map, own int) (leftOut int) {
	include := w.include
	if e.kind == kindOutcome {
		include = w.outcomeProperties
	}
	if len(include) == 0 {
		w.stash.takeAll(attributes)
		return 0
	}
	clear(w.kept)
	steps.Add(attributes.Len())
	bad := false
	t := w.tables[e.parsedRecord.kind]
	stays := func(name string, value pcommon.Value) bool {
		if value.Type() == pcommon.ValueTypeEmpty || !mayTravel(name) || slices.Contains(w.set.EventName, name) || t.isTaken(e.parsedRecord, name, value) || !include.Match(name) {
			return false
		}
		if _, twice := w.kept[name]; twice {
			return false
		}
		if own+len(w.kept) >= amplitude.MaxPropertyKeys {
			leftOut++
			return false
		}
		removed, ok := limitValue(value, 1)
		if leftOut += removed; !ok {
			return false
		}
		w.kept[name] = struct{}{}
		bad = bad || limitedKey(name) != name
		return true
	}
	attributes.RemoveIf(func(name string, value pcommon.Value) bool {
		if prefix, opens := t.opens(name, value); opens {
			w.unnest(t, prefix, value.Map(), stays)
			return true
		}
		if stays(name, value) {
			return false
		}
		w.stash.take(value)
		return true
	})
	if bad {
		leftOut += limitKeys(attributes)
		w.renamed(attributes)
	}
	if len(w.unnested) > 0 {
		w.putUnnested(attributes)
	}
	return leftOut
}

// renamed notes the names of the attributes that are sent, some of which were changed.
func (w *writer) renamed(attributes pcommon.Map) {
	clear(w.kept)
	for name := range attributes.All() {
		w.kept[name] = struct{}{}
	}
}

// unnest keeps the allowed entries of a map whose entries have dotted names, each as a property with that name.
func (w *writer) unnest(t *fieldTable, prefix string, m pcommon.Map, stays func(string, pcommon.Value) bool) {
	if strings.Count(prefix, ".") > maxNested {
		return
	}
	steps.Add(m.Len())
	for inner, value := range m.All() {
		name := prefix + inner
		_, opens := t.opens(name, value)
		if opens || (prefix != "" && value.Type() == pcommon.ValueTypeMap) {
			w.unnest(t, name+".", value.Map(), stays)
		} else if stays(name, value) {
			kept := pcommon.NewValueEmpty()
			value.MoveTo(kept)
			w.unnested, w.unnestedValues = append(w.unnested, limitedKey(name)), append(w.unnestedValues, kept)
		}
	}
}

// putUnnested adds the properties from maps all at once, because inserting into a map takes longer the larger it
// is.
func (w *writer) putUnnested(attributes pcommon.Map) {
	var all xpdata.MapBuilder
	all.EnsureCapacity(attributes.Len() + len(w.unnested))
	for name, value := range attributes.All() {
		value.MoveTo(all.AppendEmpty(name))
	}
	for i, name := range w.unnested {
		w.unnestedValues[i].MoveTo(all.AppendEmpty(name))
	}
	all.UnsafeIntoMap(attributes)
	w.unnested, w.unnestedValues = w.unnested[:0], reuse(w.unnestedValues)
}

// mayTravel reports whether an attribute may become an event property at all. Names with a meaning in an event are
// reserved for this package, and error texts contain what users typed.
func mayTravel(name string) bool {
	switch name {
	case "", "event.name", "otel.event.name", fieldEventType, amplitude.FieldUserProperties, amplitude.FieldGroupProperties,
		amplitude.RawFlagKey, amplitude.RawVariant, amplitude.RawExperimentKey,
		"error.message", "feature_flag.error.message", "feature_flag.evaluation.error.message":
		return false
	}
	return !strings.HasPrefix(name, amplitude.AttrPrefix) &&
		!strings.HasPrefix(name, amplitude.ExperimentPrefix) &&
		!strings.HasPrefix(name, "exception.")
}
