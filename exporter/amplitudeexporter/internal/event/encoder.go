// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package event // import "github.com/otelcol-amplitude/otelcol-amplitude/exporter/amplitudeexporter/internal/event"

import (
	"cmp"
	"encoding/hex"
	"math"
	"math/bits"
	"strconv"
	"strings"

	"github.com/zeebo/xxh3"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/amplitude"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/pattern"
)

// Identity is the hash of a user or device id; 0 means that the event has none. Hash collisions only cost parallelism.
type Identity uint64

// deviceSalt keeps a user and a device with the same id apart.
const deviceSalt = 0x9e3779b97f4a7c15

// UserIdentity returns the Identity of a user id.
func UserIdentity(id string) Identity {
	return Identity(xxh3.HashString(id) | 1)
}

// DeviceIdentity returns the Identity of a device id.
func DeviceIdentity(id string) Identity {
	return Identity((xxh3.HashString(id) ^ deviceSalt) | 1)
}

// field is a top-level field of an event that an attribute amplitude.<name> carries.
type field struct {
	name string
	kind amplitude.Kind
	// key is the name as JSON, with the preceding comma and the following colon.
	key string
	bit uint64
}

// fields has every field of amplitude.Fields by name.
var fields = makeFields()

func makeFields() map[string]*field {
	all := make(map[string]*field, len(amplitude.Fields))
	for name, kind := range amplitude.Fields {
		all[name] = &field{name: name, kind: kind, key: `,"` + name + `":`, bit: 1 << len(all)}
	}
	return all
}

// The fields with a fixed place in an event.
var (
	fieldUserID    = fields[amplitude.FieldUserID]
	fieldDeviceID  = fields[amplitude.FieldDeviceID]
	fieldInsertID  = fields[amplitude.FieldInsertID]
	fieldSessionID = fields[amplitude.FieldSessionID]
	fieldLibrary   = fields[amplitude.FieldLibrary]
	fieldPartnerID = fields[amplitude.FieldPartnerID]
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

// IsField reports whether an attribute amplitude.<name> carries a top-level field of an event.
func IsField(name string) bool {
	return fields[name] != nil
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

// appendTime appends the field time, in milliseconds.
func (e *Encoder) appendTime(dst []byte, millis uint64) []byte {
	const field = `,"time":`
	second, rest := millis/1000, millis%1000
	if second == 0 {
		return strconv.AppendUint(append(dst, field...), rest, 10)
	}
	if second != e.lastSecond {
		e.lastSecond = second
		e.second = strconv.AppendUint(append(e.second[:0], field...), second, 10)
	}
	return append(append(dst, e.second...), '0'+byte(rest/100), '0'+byte(rest/10%10), '0'+byte(rest%10))
}

// writeID writes an id that Amplitude accepts. One that it would refuse is left out, because a refused id fails the
// whole request, and the other id may suffice.
func (e *Encoder) writeID(dst []byte, f *field, value pcommon.Value, hash func(string) Identity) ([]byte, Identity, Failure) {
	if value == (pcommon.Value{}) {
		return dst, 0, Failure{}
	}
	var id string
	switch value.Type() {
	case pcommon.ValueTypeStr:
		id = value.Str()
	case pcommon.ValueTypeInt:
		id = strconv.FormatInt(value.Int(), 10)
	default:
		return dst, 0, Failure{Reason: ReasonInvalidField, Field: f.name}
	}
	id, problem := amplitude.CheckID(id, e.minIDLength)
	switch problem {
	case amplitude.IDOK:
	case amplitude.IDEmpty:
		e.Lost[LossEmptyID]++
		return dst, 0, Failure{}
	case amplitude.IDPlaceholder:
		e.Lost[LossPlaceholderID]++
		return dst, 0, Failure{}
	case amplitude.IDTooShort:
		e.Lost[LossShortID]++
		return dst, 0, Failure{}
	default:
		e.Lost[LossLongID]++
		return dst, 0, Failure{}
	}
	dst = append(dst, f.key...)
	return AppendString(dst, id), hash(id), Failure{}
}

// appendInsertID replaces an id that is too long for Amplitude to distinguish by its hash.
func appendInsertID(dst []byte, value pcommon.Value) ([]byte, bool) {
	switch value.Type() {
	case pcommon.ValueTypeStr:
		id := value.Str()
		// There are at least as many bytes as UTF-16 code units.
		if len(id) <= amplitude.MaxStringLength || amplitude.UTF16Length(id) <= amplitude.MaxStringLength {
			return AppendString(dst, id), true
		}
		sum := xxh3.HashString128(id).Bytes()
		dst = append(dst, '"')
		dst = hex.AppendEncode(dst, sum[:])
		return append(dst, '"'), true
	case pcommon.ValueTypeInt:
		return appendQuotedInt(dst, value.Int()), true
	default:
		return dst, false
	}
}

func appendQuotedInt(dst []byte, n int64) []byte {
	dst = append(dst, '"')
	dst = strconv.AppendInt(dst, n, 10)
	return append(dst, '"')
}

// appendInteger appends an integer, which may also be a double or text.
func appendInteger(dst []byte, value pcommon.Value) ([]byte, bool) {
	switch value.Type() {
	case pcommon.ValueTypeInt:
		return strconv.AppendInt(dst, value.Int(), 10), true
	case pcommon.ValueTypeDouble:
		const exact = 1 << 53
		f := value.Double()
		if math.Trunc(f) != f || math.Abs(f) > exact {
			return dst, false
		}
		return strconv.AppendInt(dst, int64(f), 10), true
	case pcommon.ValueTypeStr:
		n, err := strconv.ParseInt(strings.TrimSpace(value.Str()), 10, 64)
		if err != nil {
			return dst, false
		}
		return strconv.AppendInt(dst, n, 10), true
	default:
		return dst, false
	}
}

// appendField appends the value of a field in the type that Amplitude wants.
func (e *Encoder) appendField(dst []byte, f member) ([]byte, bool) {
	switch f.field.kind {
	case amplitude.KindString, amplitude.KindID:
		switch f.value.Type() {
		case pcommon.ValueTypeStr:
			return appendText(dst, f.value.Str()), true
		case pcommon.ValueTypeInt:
			return appendQuotedInt(dst, f.value.Int()), true
		}
	case amplitude.KindInteger:
		return appendInteger(dst, f.value)
	case amplitude.KindNumber:
		switch f.value.Type() {
		case pcommon.ValueTypeInt:
			return strconv.AppendInt(dst, f.value.Int(), 10), true
		case pcommon.ValueTypeDouble:
			if isFinite(f.value.Double()) {
				return appendFloat(dst, f.value.Double()), true
			}
		}
	case amplitude.KindBool:
		switch f.value.Type() {
		case pcommon.ValueTypeBool:
			return strconv.AppendBool(dst, f.value.Bool()), true
		case pcommon.ValueTypeStr:
			if s := f.value.Str(); s == "true" || s == "false" {
				return append(dst, s...), true
			}
		}
	case amplitude.KindObject:
		if f.value.Type() == pcommon.ValueTypeMap {
			return e.appendMap(dst, f.value.Map(), 1), true
		}
	}
	return dst, false
}

// appendProperties appends the members of an object with nesting level depth.
func (e *Encoder) appendProperties(dst []byte, properties []member, depth int) []byte {
	first := true
	for i := range properties {
		p := &properties[i]
		before := len(dst)
		if !first {
			dst = append(dst, ',')
		}
		dst = append(dst, p.json...)
		var ok bool
		if dst, ok = e.appendValue(dst, p.value, depth); !ok {
			dst = dst[:before]
			continue
		}
		first = false
	}
	return dst
}

// appendOperations appends operations on user or group properties, by operator. It returns the name of the first
// operation whose value does not fit its operator, or "".
func (e *Encoder) appendOperations(dst []byte, family string, operations []member) (out []byte, failed string) {
	if len(operations) == 0 {
		return dst, ""
	}
	var used uint32
	for i := range operations {
		used |= 1 << operations[i].operator
	}
	start := len(dst)
	dst = append(dst, ',', '"')
	dst = append(dst, family...)
	dst = append(dst, '"', ':', '{')
	firstOperator := true
	for ; used != 0; used &= used - 1 {
		i := bits.TrailingZeros32(used)
		operator := amplitude.Operators[i]
		opened := false
		before := len(dst)
		for j := range operations {
			op := &operations[j]
			if int(op.operator) != i {
				continue
			}
			if !opened {
				if !firstOperator {
					dst = append(dst, ',')
				}
				dst = append(dst, '"')
				dst = append(dst, operator...)
				dst = append(dst, '"', ':')
				opened = true
				if operator == amplitude.OpClearAll {
					dst = append(dst, '"', '-', '"')
					break
				}
				dst = append(dst, '{')
			}
			var ok bool
			if dst, ok = e.appendOperand(dst, operator, op); !ok {
				return dst[:start], family + "." + operator + "." + boundName(op.name)
			}
		}
		switch {
		case !opened || operator == amplitude.OpClearAll:
		case dst[len(dst)-1] == '{': // each value was left out
			dst = dst[:before]
			opened = false
		default:
			dst[len(dst)-1] = '}' // replaces the last comma
		}
		firstOperator = firstOperator && !opened
	}
	if firstOperator {
		return dst[:start], ""
	}
	return append(dst, '}'), ""
}

// appendOperand appends one property of an operation and a comma. It returns false if the value cannot be used.
func (e *Encoder) appendOperand(dst []byte, operator string, p *member) ([]byte, bool) {
	// Level 1 is the object of operators, level 2 the operator's object.
	const depth = 2
	kind := p.value.Type()
	switch {
	case operator == amplitude.OpUnset:
		dst = append(dst, p.json...)
		return append(dst, `"`+amplitude.UnsetValue+`",`...), true
	case kind == pcommon.ValueTypeEmpty:
		// Amplitude does not document what setting a property to null does; $unset removes one.
		e.Lost[LossNull]++
		return dst, true
	case operator == amplitude.OpAdd && kind != pcommon.ValueTypeInt && kind != pcommon.ValueTypeDouble:
		return dst, false
	}
	before := len(dst)
	dst = append(dst, p.json...)
	dst, ok := e.appendValue(dst, p.value, depth)
	if !ok {
		return dst[:before], true
	}
	return append(dst, ','), true
}

// appendGroups appends the groups of an event: each type has one value or a list of values.
func appendGroups(dst []byte, groups []member) (out []byte, failed string) {
	if len(groups) == 0 {
		return dst, ""
	}
	dst = append(dst, `,"groups":{`...)
	for i, group := range groups {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, group.json...)
		ok := false
		if group.value.Type() == pcommon.ValueTypeSlice {
			values := group.value.Slice()
			ok = values.Len() > 0
			dst = append(dst, '[')
			for j := 0; j < values.Len() && ok; j++ {
				if j > 0 {
					dst = append(dst, ',')
				}
				dst, ok = appendGroupValue(dst, values.At(j))
			}
			dst = append(dst, ']')
		} else {
			dst, ok = appendGroupValue(dst, group.value)
		}
		if !ok {
			return dst, amplitude.FieldGroups + "." + boundName(group.name)
		}
	}
	return append(dst, '}'), ""
}

func appendGroupValue(dst []byte, value pcommon.Value) ([]byte, bool) {
	switch value.Type() {
	case pcommon.ValueTypeStr:
		return appendText(dst, value.Str()), true
	case pcommon.ValueTypeInt:
		return appendQuotedInt(dst, value.Int()), true
	case pcommon.ValueTypeBool:
		dst = append(dst, '"')
		dst = strconv.AppendBool(dst, value.Bool())
		return append(dst, '"'), true
	default:
		return dst, false
	}
}
