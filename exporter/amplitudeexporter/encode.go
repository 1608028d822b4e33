// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudeexporter // import "github.com/otelcol-amplitude/otelcol-amplitude/exporter/amplitudeexporter"

import (
	"encoding/hex"
	"math"
	"strconv"
	"strings"

	"github.com/zeebo/xxh3"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/amplitude"
)

// identity is the hash of a user or device id; 0 means that the event has none. Equal hashes of
// different ids only cost parallelism.
type identity uint64

// deviceSalt keeps a user and a device of the same name apart.
const deviceSalt = 0x9e3779b97f4a7c15

func userIdentity(id string) identity {
	return identity(xxh3.HashString(id) | 1)
}

func deviceIdentity(id string) identity {
	return identity((xxh3.HashString(id) ^ deviceSalt) | 1)
}

// field is a top-level field of an event that an attribute amplitude.<name> carries.
type field struct {
	name string
	kind amplitude.Kind
	// key is the JSON of the name with the comma before it and the colon after it.
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

// The fields with a place of their own in an event.
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

// encoder writes log records as Amplitude events. It keeps the memory it works in; use it from one goroutine.
type encoder struct {
	allowed     patterns
	minIDLength int
	// library and partner are the JSON of these fields for events that bring none; partner may be empty.
	library string
	partner string

	lost losses

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

	// The last event name is most often also the next one.
	lastName    string
	lastVerdict reason
}

func newEncoder(cfg *Config, version string) *encoder {
	e := &encoder{
		allowed:     cfg.Events,
		minIDLength: cfg.MinIDLength,
		library:     string(appendText([]byte(fieldLibrary.key), "otelcol-amplitude/"+version)),
	}
	if cfg.PartnerID != "" {
		e.partner = string(appendText([]byte(fieldPartnerID.key), cfg.PartnerID))
	}
	return e
}

// encode appends the record as the JSON of an event. When the record cannot be one, dst comes back
// unchanged with the reason.
func (e *encoder) encode(dst []byte, record plog.LogRecord) (out []byte, user, device identity, failed verdict) {
	name := record.EventName()
	if name != e.lastName || name == "" {
		e.lastName, e.lastVerdict = name, e.checkName(name)
	}
	if e.lastVerdict != 0 {
		return dst, 0, 0, verdict{reason: e.lastVerdict}
	}
	if failed = e.sort(record.Attributes()); failed.reason != 0 {
		return dst, 0, 0, failed
	}
	if out, user, device, failed = e.write(dst, name, record); failed.reason != 0 {
		return dst, 0, 0, failed
	}
	return out, user, device, verdict{}
}

func (e *encoder) checkName(name string) reason {
	if name == "" {
		return reasonNotAnEvent
	}
	if !e.allowed.match(name) {
		return reasonNotAllowed
	}
	if strings.TrimSpace(name) == "" {
		return reasonBlankEventType
	}
	if _, reserved := amplitude.ReservedEventTypes[name]; reserved {
		return reasonReservedEventType
	}
	return 0
}

// forget lets go of the records of a batch, so that a pooled encoder does not keep them alive.
func (e *encoder) forget() {
	e.empty()
	for _, list := range [...][]member{e.properties, e.user, e.group, e.groups, e.fields} {
		clear(list[:cap(list)])
	}
}

// empty makes room for the next record.
func (e *encoder) empty() {
	e.properties, e.user, e.group, e.groups, e.fields = e.properties[:0], e.user[:0], e.group[:0], e.groups[:0], e.fields[:0]
	e.seen = 0
	e.userID, e.deviceID, e.insertID, e.sessionID = pcommon.Value{}, pcommon.Value{}, pcommon.Value{}, pcommon.Value{}
}

// sort puts each attribute where it belongs in the event.
func (e *encoder) sort(attributes pcommon.Map) verdict {
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
		default:
			return verdict{reason: reasonUnknownField, field: fieldName(strings.TrimPrefix(name, amplitude.AttrPrefix))}
		}
	}
	return verdict{}
}

// setField notes the value of a field; an empty one counts as absent.
func (e *encoder) setField(k *key, value pcommon.Value) {
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

// fieldName bounds a name that an application chose, for dead letters and logs.
func fieldName(name string) string {
	const longest = 128
	return amplitude.Truncate(name, longest)
}

// write appends the event of the sorted attributes.
func (e *encoder) write(dst []byte, name string, record plog.LogRecord) (out []byte, user, device identity, failed verdict) {
	dst = append(dst, `{"event_type":`...)
	dst = appendText(dst, name)

	if dst, user, failed = e.writeID(dst, fieldUserID, e.userID, userIdentity); failed.reason != 0 {
		return dst, 0, 0, failed
	}
	if dst, device, failed = e.writeID(dst, fieldDeviceID, e.deviceID, deviceIdentity); failed.reason != 0 {
		return dst, 0, 0, failed
	}
	if user == 0 && device == 0 {
		if e.seen&(fieldUserID.bit|fieldDeviceID.bit) == 0 {
			return dst, 0, 0, verdict{reason: reasonNoID}
		}
		return dst, 0, 0, verdict{reason: reasonInvalidID}
	}

	timestamp := record.Timestamp()
	if timestamp == 0 {
		timestamp = record.ObservedTimestamp()
	}
	if timestamp != 0 {
		dst = append(dst, `,"time":`...)
		dst = strconv.AppendUint(dst, uint64(timestamp)/1e6, 10)
	}
	if e.insertID != (pcommon.Value{}) {
		dst = append(dst, fieldInsertID.key...)
		var ok bool
		if dst, ok = appendInsertID(dst, e.insertID); !ok {
			return dst, 0, 0, verdict{reason: reasonInvalidField, field: amplitude.FieldInsertID}
		}
	}
	if e.sessionID != (pcommon.Value{}) {
		dst = append(dst, fieldSessionID.key...)
		var ok bool
		if dst, ok = appendInteger(dst, e.sessionID); !ok {
			return dst, 0, 0, verdict{reason: reasonInvalidField, field: amplitude.FieldSessionID}
		}
	}
	for _, f := range e.fields {
		dst = append(dst, f.field.key...)
		var ok bool
		if dst, ok = e.appendField(dst, f); !ok {
			return dst, 0, 0, verdict{reason: reasonInvalidField, field: f.field.name}
		}
	}
	if e.seen&fieldLibrary.bit == 0 {
		dst = append(dst, e.library...)
	}
	if e.seen&fieldPartnerID.bit == 0 {
		dst = append(dst, e.partner...)
	}
	if len(e.properties) > 0 {
		dst = append(dst, `,"event_properties":{`...)
		dst = e.appendProperties(dst, e.properties, 1)
		dst = append(dst, '}')
	}
	var at string
	if dst, at = e.appendOperations(dst, amplitude.FieldUserProperties, e.user); at != "" {
		return dst, 0, 0, verdict{reason: reasonInvalidField, field: at}
	}
	if dst, at = e.appendOperations(dst, amplitude.FieldGroupProperties, e.group); at != "" {
		return dst, 0, 0, verdict{reason: reasonInvalidField, field: at}
	}
	if dst, at = appendGroups(dst, e.groups); at != "" {
		return dst, 0, 0, verdict{reason: reasonInvalidField, field: at}
	}
	return append(dst, '}'), user, device, verdict{}
}

// writeID writes an id that Amplitude takes. One that it would refuse is left out, since a refused
// id fails the whole request and the other id may do.
func (e *encoder) writeID(dst []byte, f *field, value pcommon.Value, hash func(string) identity) ([]byte, identity, verdict) {
	if value == (pcommon.Value{}) {
		return dst, 0, verdict{}
	}
	var id string
	switch value.Type() {
	case pcommon.ValueTypeStr:
		id = value.Str()
	case pcommon.ValueTypeInt:
		id = strconv.FormatInt(value.Int(), 10)
	default:
		return dst, 0, verdict{reason: reasonInvalidField, field: f.name}
	}
	id, problem := amplitude.CheckID(id, e.minIDLength)
	switch problem {
	case amplitude.IDOK:
	case amplitude.IDEmpty:
		e.lost[lossEmptyID]++
		return dst, 0, verdict{}
	case amplitude.IDPlaceholder:
		e.lost[lossPlaceholderID]++
		return dst, 0, verdict{}
	case amplitude.IDTooShort:
		e.lost[lossShortID]++
		return dst, 0, verdict{}
	default:
		e.lost[lossLongID]++
		return dst, 0, verdict{}
	}
	dst = append(dst, f.key...)
	return appendString(dst, id), hash(id), verdict{}
}

// appendInsertID keeps an id that is longer than what Amplitude keeps distinct, by its hash.
func appendInsertID(dst []byte, value pcommon.Value) ([]byte, bool) {
	switch value.Type() {
	case pcommon.ValueTypeStr:
		id := value.Str()
		if amplitude.UTF16Length(id) <= amplitude.MaxStringLength {
			return appendString(dst, id), true
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

// appendInteger appends a whole number, which may also come as a double or as text.
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
func (e *encoder) appendField(dst []byte, f member) ([]byte, bool) {
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

// appendProperties appends the members of an object whose nesting level is depth.
func (e *encoder) appendProperties(dst []byte, properties []member, depth int) []byte {
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

// appendOperations appends operations on user or group properties, by operator. It returns the name
// of the operation whose value does not fit its operator, or "".
func (e *encoder) appendOperations(dst []byte, family string, operations []member) (out []byte, failed string) {
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
	for i, operator := range amplitude.Operators {
		if used&(1<<i) == 0 {
			continue
		}
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
				return dst[:start], family + "." + operator + "." + fieldName(op.name)
			}
		}
		switch {
		case !opened || operator == amplitude.OpClearAll:
		case dst[len(dst)-1] == '{': // each value was left out
			dst = dst[:before]
			opened = false
		default:
			dst[len(dst)-1] = '}' // instead of the last comma
		}
		firstOperator = firstOperator && !opened
	}
	if firstOperator {
		return dst[:start], ""
	}
	return append(dst, '}'), ""
}

// appendOperand appends one property of an operation and a comma. It reports false when the value cannot be used.
func (e *encoder) appendOperand(dst []byte, operator string, p *member) ([]byte, bool) {
	// Level 1 is the object of operators, level 2 the operator's object.
	const depth = 2
	kind := p.value.Type()
	switch {
	case operator == amplitude.OpUnset:
		dst = append(dst, p.json...)
		return append(dst, `"`+amplitude.UnsetValue+`",`...), true
	case kind == pcommon.ValueTypeEmpty:
		// Amplitude does not say what setting a property to null does; removing one is $unset.
		e.lost[lossNull]++
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
			return dst, amplitude.FieldGroups + "." + fieldName(group.name)
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
