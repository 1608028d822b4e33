// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudeexperimentprocessor // import "github.com/otelcol-amplitude/otelcol-amplitude/processor/amplitudeexperimentprocessor"

import (
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/xpdata"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/amplitude"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/pattern"
)

// The values that are held while a record is rewritten.
const (
	heldFlagKey = iota
	heldVariant
	heldExperimentKey
	heldUserID
	heldDeviceID
	heldMetadata
	numHeld
)

// shaper writes facts into their record as a flat event, in place: values that stay move to their new
// names, the rest goes.
type shaper struct {
	cfg     *Config
	include pattern.List
	tables  [numSources]*table
}

func newShaper(cfg *Config, tables [numSources]*table) *shaper {
	return &shaper{cfg: cfg, include: pattern.NewList(cfg.EventProperties.Include), tables: tables}
}

// event is one event to be written.
type event struct {
	*facts
	insertID string
	late     bool
	groups   []group
	flags    []flagResult
}

// exposure writes an exposure, an un-exposure, or its $identify.
func (sh *shaper) exposure(s *scratch, record plog.LogRecord, e *event) {
	attributes := record.Attributes()
	s.isHeld = [numHeld]bool{}
	if e.hasMetadata {
		e.metadata.MoveTo(s.held[heldMetadata])
	}
	identify := e.unassigned && sh.cfg.Exposure.Unassigned == unassignedIdentify
	raw := sh.cfg.Exposure.Wire == wireRaw
	switch {
	case identify:
		s.takeAll(e, attributes)
		sh.envelope(record, amplitude.EventIdentify, e)
		if e.experimentKey != "" {
			// Amplitude keeps no properties of an $identify; the next Collector needs it to know the subject.
			s.release(heldExperimentKey, e.experimentKey, attributes.PutEmpty(amplitude.PropertyExperimentKey))
		}
	case raw:
		sh.keep(s, e, attributes, exposureProperties)
		sh.envelope(record, amplitude.EventRawExposure, e)
		sh.exposureProperties(s, e, attributes, amplitude.RawFlagKey, amplitude.RawVariant, amplitude.RawExperimentKey)
	default:
		sh.keep(s, e, attributes, exposureProperties)
		sh.envelope(record, amplitude.EventExposure, e)
		sh.exposureProperties(s, e, attributes, amplitude.PropertyFlagKey, amplitude.PropertyVariant, amplitude.PropertyExperimentKey)
	}
	sh.fields(s, e, sink{attributes: attributes})
	if e.noProperty || !sh.cfg.SetUserProperties || (raw && !identify) {
		return
	}
	if e.unassigned {
		attributes.PutStr(e.names.unset, amplitude.UnsetValue)
	} else {
		attributes.PutStr(e.names.set, e.variant)
	}
}

// exposureProperties is how many event properties an exposure has of its own, at most.
const exposureProperties = 4

func (*shaper) exposureProperties(s *scratch, e *event, attributes pcommon.Map, flagKey, variant, experimentKey string) {
	s.release(heldFlagKey, e.flagKey, attributes.PutEmpty(flagKey))
	if e.variant != "" {
		s.release(heldVariant, e.variant, attributes.PutEmpty(variant))
	}
	if e.experimentKey != "" {
		s.release(heldExperimentKey, e.experimentKey, attributes.PutEmpty(experimentKey))
	}
	if e.hasMetadata {
		removed, ok := limitValue(s.held[heldMetadata], 1)
		s.counts.propertiesLeftOut += removed
		if ok && s.held[heldMetadata].Map().Len() > 0 {
			s.held[heldMetadata].MoveTo(attributes.PutEmpty(amplitude.RawMetadata))
		}
		s.nothing.MoveTo(s.held[heldMetadata])
	}
}

// assignment writes an assignment of e.flags.
func (sh *shaper) assignment(s *scratch, record plog.LogRecord, e *event) {
	attributes := record.Attributes()
	s.isHeld = [numHeld]bool{}
	out := sink{builder: &s.builder}
	s.builder.EnsureCapacity(e.attributes())
	own := len(e.flags)
	// The values of the flags move before the attribute that holds them goes.
	for i := range e.flags {
		one := &e.flags[i]
		to := out.put(one.names.variant)
		if one.variant.movable && isText(one.variant.value, one.variant.text) {
			one.variant.value.MoveTo(to)
		} else {
			to.SetStr(one.variant.text)
		}
		if one.details != "" {
			out.put(one.names.details).SetStr(one.details)
			own++
		}
	}
	if e.environment != "" {
		out.put(amplitude.PropertyEnvironmentName).SetStr(e.environment)
		own++
	}
	sh.keep(s, e, attributes, own)
	for name, value := range attributes.All() {
		value.MoveTo(out.put(name))
	}
	sh.envelope(record, amplitude.EventAssignment, e)
	sh.fields(s, e, out)
	for i := range e.flags {
		one := &e.flags[i]
		switch {
		case one.noProperty || !sh.cfg.SetUserProperties:
		case one.unassigned:
			out.put(one.names.unset).SetStr(amplitude.UnsetValue)
		default:
			out.put(one.names.set).SetStr(one.variant.text)
		}
	}
	s.builder.UnsafeIntoMap(attributes)
}

// attributes is how many attributes an assignment has, without those that travel along.
func (e *event) attributes() int {
	const others = 7 // environment, user, device, session, insert_id, skip, ip
	n := 2*len(e.flags) + len(e.groups) + others
	for i := range e.flags {
		if e.flags[i].details != "" {
			n++
		}
	}
	if e.client != nil {
		n += len(e.client.fields)
	}
	return n
}

// another writes a further event of the assignment that first was written into, with the properties
// that travel along.
func (sh *shaper) another(s *scratch, first plog.LogRecord, e *event) plog.LogRecord {
	record := plog.NewLogRecord()
	record.SetObservedTimestamp(first.ObservedTimestamp())
	record.SetTraceID(first.TraceID())
	record.SetSpanID(first.SpanID())
	for name, value := range first.Attributes().All() {
		if _, travels := s.kept[name]; travels {
			value.CopyTo(record.Attributes().PutEmpty(name))
		}
	}
	sh.assignment(s, record, e)
	return record
}

// sink takes the attributes of an event: put into a map, or appended to a new one.
type sink struct {
	attributes pcommon.Map
	builder    *xpdata.MapBuilder
}

func (k sink) put(name string) pcommon.Value {
	if k.builder != nil {
		return k.builder.AppendEmpty(name)
	}
	return k.attributes.PutEmpty(name)
}

// envelope writes what stands outside the attributes.
func (*shaper) envelope(record plog.LogRecord, name string, e *event) {
	record.SetEventName(name)
	record.SetTimestamp(pcommon.Timestamp(uint64(e.time) * uint64(time.Millisecond)))
	record.SetSeverityNumber(plog.SeverityNumberUnspecified)
	record.SetSeverityText("")
	record.SetFlags(plog.DefaultLogRecordFlags)
	record.SetDroppedAttributesCount(0)
}

// fields writes the fields of the event that are no event properties.
func (*shaper) fields(s *scratch, e *event, out sink) {
	if e.userID != "" {
		s.release(heldUserID, e.userID, out.put(amplitude.AttrUserID))
	}
	if e.deviceID != "" {
		s.release(heldDeviceID, e.deviceID, out.put(amplitude.AttrDeviceID))
	}
	if e.session != 0 {
		out.put(amplitude.AttrSessionID).SetInt(e.session)
	}
	out.put(amplitude.AttrInsertID).SetStr(e.insertID)
	if e.late {
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
	for i := range e.groups {
		to := out.put(amplitude.AttrGroupsPrefix + e.groups[i].kind)
		if values := e.groups[i].values; len(values) == 1 {
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

// hold keeps a text of the event whose attribute is about to go, so that it can be moved to its new name
// instead of being copied.
func (s *scratch) hold(e *event, value pcommon.Value) {
	if value.Type() != pcommon.ValueTypeStr {
		return
	}
	var place int
	switch text := value.Str(); {
	case text == "":
		return
	case text == e.userID && !s.isHeld[heldUserID]:
		place = heldUserID
	case text == e.flagKey && !s.isHeld[heldFlagKey]:
		place = heldFlagKey
	case text == e.variant && !s.isHeld[heldVariant]:
		place = heldVariant
	case text == e.deviceID && !s.isHeld[heldDeviceID]:
		place = heldDeviceID
	case text == e.experimentKey && !s.isHeld[heldExperimentKey]:
		place = heldExperimentKey
	default:
		return
	}
	value.MoveTo(s.held[place])
	s.isHeld[place] = true
}

// takeAll empties the attributes of a record, but for the texts that its event holds.
func (s *scratch) takeAll(e *event, attributes pcommon.Map) {
	attributes.RemoveIf(func(_ string, value pcommon.Value) bool {
		s.hold(e, value)
		return true
	})
}

// release gives a held text to an attribute of the event, or writes it there.
func (s *scratch) release(place int, text string, to pcommon.Value) {
	if s.isHeld[place] {
		s.held[place].MoveTo(to)
		s.isHeld[place] = false
		return
	}
	to.SetStr(text)
}

func isText(value pcommon.Value, text string) bool {
	return value.Type() == pcommon.ValueTypeStr && value.Str() == text
}
