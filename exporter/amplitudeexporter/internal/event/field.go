// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package event // import "github.com/otelcol-amplitude/otelcol-amplitude/exporter/amplitudeexporter/internal/event"

import (
	"encoding/hex"
	"math"
	"strconv"
	"strings"

	"github.com/zeebo/xxh3"
	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/amplitude"
)

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

// IsField reports whether an attribute amplitude.<name> carries a top-level field of an event.
func IsField(name string) bool {
	return fields[name] != nil
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
