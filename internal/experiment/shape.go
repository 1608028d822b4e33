// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package experiment // import "github.com/otelcol-amplitude/otelcol-amplitude/internal/experiment"

import (
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/xpdata"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/amplitude"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/pattern"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/steps"
)

// writer writes events into their records as flat events, in place: values that stay move to their new names, the rest
// is removed.
type writer struct {
	set     *Settings
	include pattern.List
	// outcomeProperties is include for outcomes.
	outcomeProperties pattern.List

	tables [numKinds]*fieldTable

	stash   stash
	builder xpdata.MapBuilder
	// kept are the names of the attributes that are sent with the current event.
	kept map[string]struct{}
	// unnested are the names and values of properties from maps.
	unnested       []string
	unnestedValues []pcommon.Value
	along          along
	// extra holds what a record becomes after its first event, until its scope is finished; stay counts the records
	// that stay in the scope.
	extra []extraRecord
	stay  int
	ids   []byte
	// ends are where the insert_ids of each event and its $identify end in ids.
	ends    []int
	nothing pcommon.Value
}

func newWriter(m *Mapper) writer {
	return writer{
		set: m.set, include: m.include, outcomeProperties: m.outcomeProperties, tables: m.tables,
		stash: newStash(), kept: map[string]struct{}{}, nothing: pcommon.NewValueEmpty(),
	}
}

func (w *writer) forget() {
	w.stash.empty()
	w.along = along{}
	w.extra = reuse(w.extra)
	w.ids = reuseText(w.ids)
	w.ends = reuse(w.ends)
}

// write writes an event into a record, and returns how many properties do not fit it.
func (w *writer) write(e *Event, record plog.LogRecord, insertID string) (leftOut int) {
	w.stash.begin(e)
	switch e.kind {
	case kindAssignment:
		return w.assignment(e, record, insertID)
	case kindOutcome:
		return w.outcome(e, record, insertID)
	}
	return w.exposure(e, record, insertID, sink{attributes: record.Attributes()})
}

// exposure writes an exposure, an un-exposure, or its $identify: in place, or to new attributes.
func (w *writer) exposure(e *Event, record plog.LogRecord, insertID string, out sink) (leftOut int) {
	flag := &e.Flags[0]
	identify := e.onlyProperties
	// Amplitude sets the property of a raw exposure, so one that must not set it is sent transformed.
	raw := w.set.Exposure.Wire == WireRaw && !flag.LeftOut && !e.skipsProperties && e.customEvent == ""
	switch {
	case identify:
		w.stash.takeAll(out.attributes)
		writeEnvelope(record, amplitude.EventIdentify, e)
	case e.customEvent != "":
		names := rawNames // as the client writes them: Amplitude does not transform such an event
		names.event = e.customEvent
		leftOut = w.exposureProperties(e, record, out, &names)
	case e.kind == kindImpression && raw:
		leftOut = w.exposureProperties(e, record, out, &rawImpressionNames)
	case e.kind == kindImpression:
		leftOut = w.exposureProperties(e, record, out, &impressionNames)
	case raw:
		leftOut = w.exposureProperties(e, record, out, &rawNames)
	default:
		leftOut = w.exposureProperties(e, record, out, &shapedNames)
	}
	w.fields(e, insertID, out)
	switch {
	case !e.SetsProperty(flag) || flag.LeftOut || (raw && !identify):
	case flag.Unassigned:
		out.put(flag.names.unset).SetStr(amplitude.UnsetValue)
	default:
		out.put(flag.names.set).SetStr(flag.Variant)
	}
	return leftOut
}

// ownProperties is how many event properties an exposure has of its own, at most.
const ownProperties = 4

func (w *writer) exposureProperties(e *Event, record plog.LogRecord, out sink, names *exposureNames) (leftOut int) {
	flag := &e.Flags[0]
	if out.builder == nil {
		leftOut = w.keep(e, out.attributes, ownProperties)
	}
	writeEnvelope(record, names.event, e)
	w.stash.put(stashFlagKey, flag.Key, out.put(names.flagKey))
	if flag.Variant != "" {
		w.stash.put(stashVariant, flag.Variant, out.put(names.variant))
	}
	if e.ExperimentKey != "" {
		w.stash.put(stashExperimentKey, e.ExperimentKey, out.put(names.experimentKey))
	}
	if e.hasMetadata {
		metadata := w.stash.values[stashMetadata]
		removed, ok := limitValue(metadata, 1)
		leftOut += removed
		if ok && metadata.Map().Len() > 0 {
			metadata.MoveTo(out.put(amplitude.RawMetadata))
		}
		w.nothing.MoveTo(metadata)
	}
	return leftOut
}

// assignment writes an assignment.
func (w *writer) assignment(e *Event, record plog.LogRecord, insertID string) (leftOut int) {
	attributes := record.Attributes()
	out := sink{builder: &w.builder}
	w.builder.EnsureCapacity(e.attributes())
	own := len(e.Flags)
	// Move the values of the flags before the attribute that holds them is removed.
	for i := range e.Flags {
		flag := &e.Flags[i]
		to := out.put(flag.names.variant)
		if flag.movable && isText(flag.variantValue, flag.Variant) {
			flag.variantValue.MoveTo(to)
		} else {
			to.SetStr(flag.Variant)
		}
		if flag.details != "" {
			out.put(flag.names.details).SetStr(flag.details)
			own++
		}
	}
	if e.environment != "" {
		out.put(amplitude.PropertyEnvironmentName).SetStr(e.environment)
		own++
	}
	leftOut = w.keep(e, attributes, own)
	steps.Add(attributes.Len() + len(e.Flags))
	for name, value := range attributes.All() {
		value.MoveTo(out.put(name))
	}
	writeEnvelope(record, amplitude.EventAssignment, e)
	w.fields(e, insertID, out)
	for i := range e.Flags {
		flag := &e.Flags[i]
		switch {
		case !e.SetsProperty(flag) || flag.LeftOut:
		case flag.Unassigned:
			out.put(flag.names.unset).SetStr(amplitude.UnsetValue)
		default:
			out.put(flag.names.set).SetStr(flag.Variant)
		}
	}
	w.builder.UnsafeIntoMap(attributes)
	return leftOut
}

// attributes is how many attributes an assignment has, without additional event properties.
func (e *Event) attributes() int {
	const others = 7 // environment, user, device, session, insert_id, skip, ip
	n := 2*len(e.Flags) + len(e.Groups) + others
	for i := range e.Flags {
		if e.Flags[i].details != "" {
			n++
		}
	}
	if e.client != nil {
		n += len(e.client.fields)
	}
	return n
}

// identify writes the $identify that corrects the properties of an event's flags.
func (w *writer) identify(e *Event, record plog.LogRecord) {
	writeEnvelope(record, amplitude.EventIdentify, e)
	out := &w.builder
	if e.UserID != "" {
		out.AppendEmpty(amplitude.AttrUserID).SetStr(e.UserID)
	}
	if e.DeviceID != "" {
		out.AppendEmpty(amplitude.AttrDeviceID).SetStr(e.DeviceID)
	}
	out.AppendEmpty(amplitude.AttrInsertID).SetStr(e.identifyID)
	for i := range e.Flags {
		flag := &e.Flags[i]
		switch {
		case !flag.Repair:
		case flag.Unassigned:
			out.AppendEmpty(unsetExperiment + flag.Key).SetStr(amplitude.UnsetValue)
		default:
			out.AppendEmpty(setExperiment + flag.Key).SetStr(flag.Variant)
		}
	}
	out.UnsafeIntoMap(record.Attributes())
}

// sink receives the attributes of an event, and puts them into a map or appends them to a new one.
type sink struct {
	attributes pcommon.Map
	builder    *xpdata.MapBuilder
}

func (k sink) put(name string) pcommon.Value {
	if k.builder != nil {
		return k.builder.AppendEmpty(name)
	}
	return steps.PutEmpty(k.attributes, name)
}

// writeEnvelope writes everything except the attributes.
func writeEnvelope(record plog.LogRecord, name string, e *Event) {
	record.SetEventName(name)
	record.SetTimestamp(pcommon.Timestamp(uint64(e.Time) * uint64(time.Millisecond)))
	record.SetSeverityNumber(plog.SeverityNumberUnspecified)
	record.SetSeverityText("")
	record.SetFlags(plog.DefaultLogRecordFlags)
	record.SetDroppedAttributesCount(0)
}

// fields writes the fields of the event that are not event properties.
func (w *writer) fields(e *Event, insertID string, out sink) {
	if e.UserID != "" {
		w.stash.put(stashUserID, e.UserID, out.put(amplitude.AttrUserID))
	}
	if e.DeviceID != "" {
		w.stash.put(stashDeviceID, e.DeviceID, out.put(amplitude.AttrDeviceID))
	}
	if e.session != 0 {
		out.put(amplitude.AttrSessionID).SetInt(e.session)
	}
	out.put(amplitude.AttrInsertID).SetStr(insertID)
	if e.Verdict.Late || e.skipsProperties {
		out.put(amplitude.AttrSkipUserPropertiesSync).SetBool(true)
	}
	if e.client != nil {
		for i := range e.client.fields {
			f := &e.client.fields[i]
			if f.text != "" {
				out.put(f.name).SetStr(f.text)
			} else {
				out.put(f.name).SetDouble(f.number)
			}
		}
	}
	if e.ip != "" {
		out.put(attrIP).SetStr(e.ip)
	}
	for i := range e.Groups {
		to := out.put(amplitude.AttrGroupsPrefix + e.Groups[i].Type)
		if values := e.Groups[i].Values; len(values) == 1 {
			to.SetStr(values[0])
		} else {
			list := to.SetEmptySlice()
			list.EnsureCapacity(len(values))
			for _, value := range values {
				list.AppendEmpty().SetStr(value)
			}
		}
	}
}

const attrIP = amplitude.AttrPrefix + "ip"

func isText(value pcommon.Value, text string) bool {
	return value.Type() == pcommon.ValueTypeStr && value.Str() == text
}
