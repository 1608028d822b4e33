// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package event // import "github.com/otelcol-amplitude/otelcol-amplitude/exporter/amplitudeexporter/internal/event"

import (
	"cmp"
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/amplitude"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/pattern"
)

// member is an attribute of the record being encoded.
type member struct {
	*key
	value pcommon.Value
}

// Settings configure an encoder.
type Settings struct {
	// Allowed are patterns of the event names to send.
	Allowed []string
	// MinIDLength is the minimum length of a user or device id, in UTF-16 code units.
	MinIDLength int
	// PartnerID is added to events that have none; it may be empty.
	PartnerID string
	// Version is the version of the Collector, for the field library.
	Version string
}

// Encoder writes log records as Amplitude events. It reuses its memory, and must be used from one goroutine at a time.
type Encoder struct {
	allowed     pattern.List
	minIDLength int
	// library and partner are the JSON of these fields for events that have none; partner may be empty.
	library string
	partner string

	// Lost counts the values that were left out since it was last cleared.
	Lost Losses

	keys       keyTable
	names      nameSets
	properties []member
	user       []member
	group      []member
	groups     []member
	fields     []member
	// of the record being encoded
	seen      uint64
	userID    pcommon.Value
	deviceID  pcommon.Value
	insertID  pcommon.Value
	sessionID pcommon.Value
	eventJSON pcommon.Value

	// The next event name is usually the same as the last; opening is the JSON of an event up to it.
	lastName   string
	lastReason Reason
	opening    []byte
	// The next time is often within the same second as the last; second is the JSON of the field without its milliseconds.
	lastSecond uint64
	second     []byte
}

// NewEncoder returns an encoder with these settings.
func NewEncoder(s Settings) *Encoder {
	e := &Encoder{
		allowed:     pattern.NewList(s.Allowed),
		minIDLength: s.MinIDLength,
		library:     string(appendText([]byte(fieldLibrary.key), "otelcol-amplitude/"+s.Version)),
	}
	if s.PartnerID != "" {
		e.partner = string(appendText([]byte(fieldPartnerID.key), s.PartnerID))
	}
	return e
}

// Encode appends the record as the JSON of an event. If the record cannot be one, it returns dst with the same content,
// perhaps in a larger array, and the reason.
func (e *Encoder) Encode(dst []byte, record plog.LogRecord) (out []byte, user, device Identity, failed Failure) {
	name := record.EventName()
	if name != e.lastName || name == "" {
		e.lastName, e.lastReason = name, e.checkName(name)
		if e.lastReason == 0 {
			e.opening = appendText(append(e.opening[:0], `{"event_type":`...), name)
		}
	}
	if e.lastReason != 0 {
		return dst, 0, 0, Failure{Reason: e.lastReason}
	}
	if failed = e.sort(record.Attributes()); failed.Reason != 0 {
		return dst, 0, 0, failed
	}
	if out, user, device, failed = e.write(dst, record); failed.Reason != 0 {
		return out[:len(dst)], 0, 0, failed
	}
	return out, user, device, Failure{}
}

func (e *Encoder) checkName(name string) Reason {
	if name == "" {
		return ReasonNotAnEvent
	}
	if !e.allowed.Match(name) {
		return ReasonNotAllowed
	}
	if strings.TrimSpace(name) == "" {
		return ReasonBlankEventType
	}
	if _, reserved := amplitude.ReservedEventTypes[name]; reserved {
		return ReasonReservedEventType
	}
	return 0
}

// maxKept is the longest list that an idle encoder keeps: one huge record must not hold memory forever, nor make Forget slow.
const maxKept = 4096

// Forget releases the records of a batch, so that a pooled encoder does not keep them alive.
func (e *Encoder) Forget() {
	e.empty()
	for _, list := range [...]*[]member{&e.properties, &e.user, &e.group, &e.groups, &e.fields} {
		if cap(*list) > maxKept {
			*list = nil
		}
		clear((*list)[:cap(*list)])
	}
	if cap(e.names.names) > maxKept {
		e.names = nameSets{}
	}
	e.keys.shrink()
}

// empty makes room for the next record.
func (e *Encoder) empty() {
	e.properties, e.user, e.group, e.groups, e.fields = e.properties[:0], e.user[:0], e.group[:0], e.groups[:0], e.fields[:0]
	e.seen = 0
	e.userID, e.deviceID, e.insertID, e.sessionID = pcommon.Value{}, pcommon.Value{}, pcommon.Value{}, pcommon.Value{}
	e.eventJSON = pcommon.Value{}
}

// sort assigns each attribute to its part of the event.
func (e *Encoder) sort(attributes pcommon.Map) Failure {
	e.empty()
	e.keys.next()
	place := 0
	for name, value := range attributes.All() {
		k, repeated := e.keys.find(place, name)
		place++
		if repeated {
			continue
		}
		switch k.section {
		case sectionProperty:
			e.properties = append(e.properties, member{k, value})
		case sectionField:
			e.setField(k, value)
		case sectionUser:
			e.user = append(e.user, member{k, value})
		case sectionGroup:
			e.group = append(e.group, member{k, value})
		case sectionGroups:
			e.groups = append(e.groups, member{k, value})
		case sectionJSON:
			e.eventJSON = value
		default:
			return Failure{Reason: ReasonUnknownField, Field: boundName(strings.TrimPrefix(name, amplitude.AttrPrefix))}
		}
	}
	return Failure{}
}

// InsertID returns the insert_id of the last encoded record, if it has one; it is empty if it is not a string.
func (e *Encoder) InsertID() (id string, ok bool) {
	if e.insertID == (pcommon.Value{}) {
		return "", false
	}
	return e.insertID.Str(), true
}

// setField notes the value of a field; an empty one counts as absent.
func (e *Encoder) setField(k *key, value pcommon.Value) {
	if value.Type() == pcommon.ValueTypeEmpty {
		return
	}
	e.seen |= k.field.bit
	switch k.field {
	case fieldUserID:
		e.userID = value
	case fieldDeviceID:
		e.deviceID = value
	case fieldInsertID:
		e.insertID = value
	case fieldSessionID:
		e.sessionID = value
	default:
		e.fields = append(e.fields, member{k, value})
	}
}

// boundName truncates a name from an application, for dead letters.
func boundName(name string) string {
	const longest = 128
	return amplitude.Truncate(name, longest)
}

// write appends the event of the sorted attributes.
func (e *Encoder) write(dst []byte, record plog.LogRecord) (out []byte, user, device Identity, failed Failure) {
	dst = append(dst, e.opening...)
	if dst, user, failed = e.writeID(dst, fieldUserID, e.userID, UserIdentity); failed.Reason != 0 {
		return dst, 0, 0, failed
	}
	if dst, device, failed = e.writeID(dst, fieldDeviceID, e.deviceID, DeviceIdentity); failed.Reason != 0 {
		return dst, 0, 0, failed
	}
	if user == 0 && device == 0 {
		if e.seen&(fieldUserID.bit|fieldDeviceID.bit) == 0 {
			return dst, 0, 0, Failure{Reason: ReasonNoID}
		}
		return dst, 0, 0, Failure{Reason: ReasonInvalidID}
	}

	if timestamp := cmp.Or(record.Timestamp(), record.ObservedTimestamp()); timestamp != 0 {
		dst = e.appendTime(dst, uint64(timestamp)/1e6)
	}
	if e.insertID != (pcommon.Value{}) {
		dst = append(dst, fieldInsertID.key...)
		var ok bool
		if dst, ok = appendInsertID(dst, e.insertID); !ok {
			return dst, 0, 0, Failure{Reason: ReasonInvalidField, Field: amplitude.FieldInsertID}
		}
	}
	if e.sessionID != (pcommon.Value{}) {
		dst = append(dst, fieldSessionID.key...)
		var ok bool
		if dst, ok = appendInteger(dst, e.sessionID); !ok {
			return dst, 0, 0, Failure{Reason: ReasonInvalidField, Field: amplitude.FieldSessionID}
		}
	}
	for _, f := range e.fields {
		dst = append(dst, f.field.key...)
		var ok bool
		if dst, ok = e.appendField(dst, f); !ok {
			return dst, 0, 0, Failure{Reason: ReasonInvalidField, Field: f.field.name}
		}
	}
	if e.seen&fieldLibrary.bit == 0 {
		dst = append(dst, e.library...)
	}
	if e.seen&fieldPartnerID.bit == 0 {
		dst = append(dst, e.partner...)
	}
	if e.eventJSON != (pcommon.Value{}) {
		var at string
		if dst, at = appendFurther(dst, e.eventJSON); at != "" {
			return dst, 0, 0, Failure{Reason: ReasonInvalidField, Field: at}
		}
	}
	if len(e.properties) > 0 {
		dst = append(dst, `,"event_properties":{`...)
		dst = e.appendProperties(dst, e.properties, 1)
		dst = append(dst, '}')
	}
	var at string
	if dst, at = e.appendOperations(dst, amplitude.FieldUserProperties, e.user); at != "" {
		return dst, 0, 0, Failure{Reason: ReasonInvalidField, Field: at}
	}
	if dst, at = e.appendOperations(dst, amplitude.FieldGroupProperties, e.group); at != "" {
		return dst, 0, 0, Failure{Reason: ReasonInvalidField, Field: at}
	}
	if dst, at = appendGroups(dst, e.groups); at != "" {
		return dst, 0, 0, Failure{Reason: ReasonInvalidField, Field: at}
	}
	return append(dst, '}'), user, device, Failure{}
}
