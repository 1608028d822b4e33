// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package sandbox // import "github.com/otelcol-amplitude/otelcol-amplitude/sandbox"

import (
	"encoding/json"
	"maps"
	"strconv"
)

// transform turns $exposure into the event that Amplitude stores, cuts long text, and returns the event's
// user_properties with what the exposure adds.
func (up *upload) transform(out *entry, e *event, warn func(string)) map[string]any {
	ops := e.object(fieldUserProperties)
	fields := e.fields
	changed := false
	if len(e.stripped) > 0 {
		fields, changed = maps.Clone(fields), true
		for _, id := range e.stripped {
			delete(fields, id)
			warn(id + " was removed: it is too short")
		}
	}
	if e.cut {
		fields, changed = cutText(fields, up.behavior.StringLimit).(map[string]any), true
		ops, _ = fields[fieldUserProperties].(map[string]any)
		warn("text was cut at " + strconv.Itoa(up.behavior.StringLimit) + " characters")
	}
	if up.behavior.BigNumbers == NumbersFloat64 {
		if rounded, lost := roundNumbers(fields); lost {
			fields, changed = rounded.(map[string]any), true
			ops, _ = fields[fieldUserProperties].(map[string]any)
			warn("numbers beyond 2^53 were rounded")
		}
	}
	if to := up.transforms(e); to != "" {
		setProperty := to == eventExposure || up.behavior.ImpressionProperty == ImpressionSet
		fields, ops = exposure(fields, ops, to, setProperty, warn)
		changed = true
		out.eventType = to
	}
	if changed {
		out.before = out.event
		out.event = string(encode(fields))
	}
	return ops
}

// transformed maps the event types that Amplitude replaces to their replacements.
var transformed = map[string]string{eventRawExposure: eventExposure, eventRawImpression: eventImpression}

// transforms returns the new event type under the current behavior, or "" if it stays the same.
func (up *upload) transforms(e *event) string {
	if e.eventType() == eventRawExposure && up.behavior.RawExposure == RawExposureKeep {
		return ""
	}
	return transformed[e.eventType()]
}

// unsetsOnly reports whether the event is a raw one without a variant that is not stored under the current behavior.
func (up *upload) unsetsOnly(e *event) bool {
	if up.transforms(e) == "" || up.behavior.UnassignedExposure != UnassignedUnset {
		return false
	}
	variant, _ := e.object(fieldEventProperties)[rawVariant].(string)
	return variant == ""
}

// exposure is the transformation of $exposure and $impression.
func exposure(fields, ops map[string]any, eventType string, setProperty bool, warn func(string)) (map[string]any, map[string]any) {
	raw, _ := fields[fieldEventProperties].(map[string]any)
	from, _ := fields[fieldEventType].(string)
	fields = maps.Clone(fields)
	fields[fieldEventType] = eventType
	props := make(map[string]any, len(raw))
	for name, value := range raw {
		switch name {
		case rawFlagKey:
			name = propertyFlagKey
		case rawVariant:
			if value == nil || value == "" {
				continue
			}
			name = propertyVariant
		case rawExperimentKey:
			name = propertyExperimentKey
		}
		props[name] = value
	}
	fields[fieldEventProperties] = props
	if !setProperty {
		return fields, ops
	}
	flag, ok := raw[rawFlagKey].(string)
	if !ok || flag == "" {
		warn(from + " without a flag_key that is a string: no user property changes")
		return fields, ops
	}
	name := experimentPrefix + flag
	merged := make(map[string]any, len(ops)+1)
	maps.Copy(merged, ops)
	op, value := opUnset, any(unsetValue)
	if variant, ok := raw[rawVariant].(string); ok && variant != "" {
		op, value = opSet, variant
	}
	members, _ := merged[op].(map[string]any)
	members = maps.Clone(members)
	if members == nil {
		members = map[string]any{}
	}
	members[name] = value
	merged[op] = members
	fields[fieldUserProperties] = merged
	return fields, merged
}

// roundNumbers passes numbers through float64, as some servers would.
func roundNumbers(v any) (any, bool) {
	switch t := v.(type) {
	case json.Number:
		f, err := t.Float64()
		if i, notInt := t.Int64(); err != nil || notInt != nil || (i < 1<<53 && i > -(1<<53)) {
			return t, false
		}
		return json.Number(strconv.FormatFloat(f, 'f', -1, 64)), true
	case map[string]any:
		out, any := make(map[string]any, len(t)), false
		for k, x := range t {
			y, lost := roundNumbers(x)
			out[k], any = y, any || lost
		}
		return out, any
	case []any:
		out, any := make([]any, len(t)), false
		for i, x := range t {
			y, lost := roundNumbers(x)
			out[i], any = y, any || lost
		}
		return out, any
	default:
		return v, false
	}
}
