// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package upload // import "github.com/otelcol-amplitude/otelcol-amplitude/receiver/amplitudereceiver/internal/upload"

import (
	"bytes"
	"math"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/amplitude"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/steps"
)

// part is the kind of a member of an event.
type part uint8

const (
	partField part = iota
	partEventType
	partTime
	partUserID
	partDeviceID
	partInsertID
	partIP
	partEventProperties
	partUserProperties
	partGroupProperties
	partGroups
)

// member is a known member of an event.
type member struct {
	part      part
	kind      amplitude.Kind
	name      string
	attribute string
}

// members are the known members of an event by name.
var members = func() map[string]member {
	all := map[string]member{}
	for name, kind := range amplitude.Fields {
		all[name] = member{partField, kind, name, amplitude.AttrPrefix + name}
	}
	for name, p := range map[string]part{
		amplitude.FieldEventType: partEventType, amplitude.FieldTime: partTime, amplitude.FieldUserID: partUserID,
		amplitude.FieldDeviceID: partDeviceID, amplitude.FieldInsertID: partInsertID, "ip": partIP,
		amplitude.FieldEventProperties: partEventProperties, amplitude.FieldUserProperties: partUserProperties,
		amplitude.FieldGroupProperties: partGroupProperties, amplitude.FieldGroups: partGroups,
	} {
		all[name] = member{p, amplitude.KindString, name, amplitude.AttrPrefix + name}
	}
	return all
}()

// latest is the maximum event time in milliseconds: a later one does not fit into the nanoseconds of a record.
const latest = math.MaxInt64 / 1_000_000

// event reads one event into a record.
func (r *Reader) event(record plog.LogRecord) error {
	r.e.attributes.EnsureCapacity(r.e.width)
	if err := r.readMembers(r.eventMember); err != nil {
		return err
	}
	r.finish(record)
	return nil
}

// readMembers reads an object member by member; one is called at each value and has to read it.
func (r *Reader) readMembers(one func(name []byte) error) error {
	if _, err := r.in.ReadToken(); err != nil {
		return err
	}
	for r.in.PeekKind() != endObject {
		name, err := r.in.ReadValue()
		if err != nil {
			return err
		}
		if err := r.count(); err != nil {
			return err
		}
		if err := one(r.unquoted(name)); err != nil {
			return err
		}
	}
	_, err := r.in.ReadToken()
	return err
}

// count counts a value.
func (r *Reader) count() error {
	steps.Add(1)
	if r.values++; r.values > maxValues {
		return errValues
	}
	return nil
}

// unquoted returns the text of a JSON string, valid until the next call.
func (r *Reader) unquoted(value jsontext.Value) []byte {
	if inner := value[1 : len(value)-1]; bytes.IndexByte(inner, '\\') < 0 {
		return inner
	}
	r.scratch, _ = jsontext.AppendUnquote(r.scratch[:0], value) // a lone surrogate is replaced
	return r.scratch
}

// put adds an attribute to the record.
func (r *Reader) put(attribute string) pcommon.Value { return r.e.attributes.AppendEmpty(attribute) }

// invalid notes that a field of the event has a value that Amplitude refuses, and skips it.
func (r *Reader) invalid(field string) error {
	r.problems.add(ReasonInvalidField, field, r.e.index)
	return r.in.SkipValue()
}

// eventMember reads the value of a member.
func (r *Reader) eventMember(name []byte) error {
	m, known := members[string(name)]
	if !known {
		return r.unknown(name)
	}
	if r.in.PeekKind() == null {
		return r.in.SkipValue() // treat it as absent
	}
	switch m.part {
	case partEventType:
		return r.eventType()
	case partTime:
		return r.time()
	case partUserID:
		return r.id(&r.e.user)
	case partDeviceID:
		return r.id(&r.e.device)
	case partEventProperties:
		return r.eventProperties()
	case partUserProperties:
		return r.operations(m.name, familyUser)
	case partGroupProperties:
		return r.operations(m.name, familyGroupProperty)
	case partGroups:
		return r.groups()
	case partInsertID, partIP, partField:
	}
	switch m.kind {
	case amplitude.KindInteger:
		return r.integerField(m)
	case amplitude.KindNumber:
		return r.numberField(m)
	case amplitude.KindBool:
		return r.flagField(m)
	case amplitude.KindObject:
		return r.objectField(m)
	default:
		return r.textField(m)
	}
}

// unknown keeps a member that is not a field for the event JSON.
func (r *Reader) unknown(name []byte) error {
	if r.set.RejectUnknown {
		return r.invalid(amplitude.Truncate(string(name), longestFieldName))
	}
	before := len(r.e.further)
	if before > 0 {
		r.e.further = append(r.e.further, ',')
	}
	r.e.further, _ = jsontext.AppendQuote(r.e.further, name) // the body is UTF-8
	value, err := r.in.ReadValue()
	switch {
	case err != nil:
		return err
	case deeper(value, amplitude.MaxDepth):
		r.e.further = r.e.further[:before]
		r.counts.LeftOut[LeftOutDepth]++
	default:
		r.e.further = append(append(r.e.further, ':'), value...)
		r.counts.Unknown++
	}
	return nil
}

// longestFieldName bounds the names that answers contain.
const longestFieldName = 128

func (r *Reader) eventType() error {
	if r.in.PeekKind() != quoted {
		r.e.hasKind = true
		return r.invalid(amplitude.FieldEventType)
	}
	value, err := r.in.ReadValue()
	if err != nil {
		return err
	}
	r.e.kind, r.e.hasKind = r.names.attribute(familyNested, r.unquoted(value)), true
	if _, reserved := amplitude.ReservedEventTypes[r.e.kind]; reserved || strings.TrimSpace(r.e.kind) == "" {
		r.problems.add(ReasonInvalidField, amplitude.FieldEventType, r.e.index)
	}
	return nil
}

// time reads the time of the event. The time zero is stored as one nanosecond, because zero means no time in a record.
func (r *Reader) time() error {
	value, err := r.in.ReadValue()
	if err != nil {
		return err
	}
	ms, whole := wholeNumber(value)
	if !whole || ms < 0 || ms > latest {
		r.problems.add(ReasonInvalidField, amplitude.FieldTime, r.e.index)
		return nil
	}
	ms = min(max(ms+r.gap.Milliseconds(), 0), latest)
	r.e.time = pcommon.Timestamp(max(ms*1_000_000, 1))
	return nil
}

// id reads an id; a number becomes its digits.
func (r *Reader) id(to *id) error {
	switch r.in.PeekKind() {
	case quoted, number:
		value, err := r.in.ReadValue()
		if err != nil {
			return err
		}
		to.present = true
		if value.Kind() == quoted {
			to.text = string(r.unquoted(value))
		} else if n, whole := wholeNumber(value); whole {
			to.text = strconv.FormatInt(n, 10)
		} else {
			to.text = string(value)
		}
		return nil
	default:
		to.invalid = true
		return r.in.SkipValue()
	}
}

// text reads a scalar as text; ok is false for an object, an array and null.
func (r *Reader) text() (text []byte, ok bool, err error) {
	switch r.in.PeekKind() {
	case beginObject, beginArray, null:
		return nil, false, r.in.SkipValue()
	}
	value, err := r.in.ReadValue()
	if err != nil {
		return nil, false, err
	}
	if value.Kind() == quoted {
		return r.unquoted(value), true, nil
	}
	return value, true, nil
}

func (r *Reader) textField(m member) error {
	text, ok, err := r.text()
	switch {
	case err != nil:
		return err
	case !ok:
		r.problems.add(ReasonInvalidField, m.name, r.e.index)
	case m.part == partInsertID && len(text) == 0:
		// treat it as absent
	case m.part == partIP && string(text) == amplitude.RemoteIP:
		if r.call.Remote != "" {
			r.put(m.attribute).SetStr(r.call.Remote)
		}
	default:
		r.put(m.attribute).SetStr(string(text))
	}
	return nil
}

func (r *Reader) integerField(m member) error {
	value, err := r.in.ReadValue()
	if err != nil {
		return err
	}
	n, whole := wholeNumber(value)
	if !whole {
		r.problems.add(ReasonInvalidField, m.name, r.e.index)
		return nil
	}
	r.put(m.attribute).SetInt(n)
	return nil
}

func (r *Reader) numberField(m member) error {
	value, err := r.in.ReadValue()
	if err != nil {
		return err
	}
	if value.Kind() == number {
		if n, ok := integer(value); ok {
			r.put(m.attribute).SetInt(n)
			return nil
		}
		if f, err := strconv.ParseFloat(string(value), 64); err == nil {
			r.put(m.attribute).SetDouble(f)
			return nil
		}
	}
	r.problems.add(ReasonInvalidField, m.name, r.e.index)
	return nil
}

func (r *Reader) flagField(m member) error {
	value, err := r.in.ReadValue()
	if err != nil {
		return err
	}
	switch value.Kind() {
	case isTrue, isFalse:
		r.put(m.attribute).SetBool(value.Kind() == isTrue)
	default:
		r.counts.LeftOut[LeftOutFlag]++
	}
	return nil
}

func (r *Reader) objectField(m member) error {
	if r.in.PeekKind() != beginObject {
		return r.invalid(m.name)
	}
	return r.mapValue(r.put(m.attribute), 1)
}

// finish handles what depends on more than one member, and moves the attributes to the record.
func (r *Reader) finish(record plog.LogRecord) {
	e := &r.e
	if !e.hasKind {
		r.problems.add(ReasonMissingField, amplitude.FieldEventType, e.index)
	}
	user := r.settleID(&e.user, amplitude.FieldUserID, amplitude.AttrUserID)
	device := r.settleID(&e.device, amplitude.FieldDeviceID, amplitude.AttrDeviceID)
	if !user && !device {
		r.problems.add(ReasonMissingField, amplitude.FieldDeviceID, e.index)
	}
	if len(e.further) > 0 {
		r.put(amplitude.AttrEventJSON).SetStr("{" + string(e.further) + "}")
	}
	record.SetEventName(e.kind)
	record.SetTimestamp(e.time)
	record.SetObservedTimestamp(pcommon.NewTimestampFromTime(r.call.Received))
	e.attributes.UnsafeIntoMap(record.Attributes())
	*e = eventState{width: record.Attributes().Len(), further: e.further[:0], operands: e.operands}
}

// settleID writes an id that can be sent. It reports whether the event has one, accepted or refused.
func (r *Reader) settleID(given *id, field, attribute string) bool {
	if given.invalid {
		r.problems.add(ReasonInvalidField, field, r.e.index)
		return true
	}
	if !given.present {
		return false
	}
	text, problem := amplitude.CheckID(given.text, r.minLength)
	switch problem {
	case amplitude.IDOK:
		r.put(attribute).SetStr(text)
	case amplitude.IDEmpty:
		return false
	case amplitude.IDPlaceholder:
		r.problems.add(ReasonInvalidID, field, r.e.index)
	case amplitude.IDTooShort:
		if r.call.Batch {
			r.counts.LeftOut[LeftOutID]++
			return false
		}
		r.problems.add(ReasonIDLength, field, r.e.index)
	case amplitude.IDTooLong:
		r.problems.add(ReasonIDLength, field, r.e.index)
	}
	return true
}

// IsMember reports whether an event of Amplitude's API has a member with this name.
func IsMember(name string) bool {
	_, known := members[name]
	return known
}
