// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package event // import "github.com/otelcol-amplitude/otelcol-amplitude/exporter/amplitudeexporter/internal/event"

import (
	"encoding/base64"
	"math"
	"strconv"
	"unicode/utf8"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/amplitude"
)

const (
	hexDigits = "0123456789abcdef"
	// replacement is written for each byte that is not part of valid UTF-8, as encoding/json does.
	replacement = "\ufffd"
	// maxBytesValue is the longest byte value whose base64 text is not truncated.
	maxBytesValue = amplitude.MaxStringLength / 4 * 3
)

// AppendString appends s as a JSON string. Valid UTF-8 is kept.
func AppendString(dst []byte, s string) []byte {
	dst = append(dst, '"')
	if isPlain(s) {
		dst = append(dst, s...)
	} else {
		dst = appendEscaped(dst, s)
	}
	return append(dst, '"')
}

// isPlain reports whether s is ASCII that needs no escapes in JSON. False negatives are possible.
func isPlain(s string) bool {
	n := len(s)
	if n < 8 {
		if n >= 4 {
			return !needsEscape(uint64(load32(s, 0)) | uint64(load32(s, n-4))<<32)
		}
		for i := range n {
			if c := s[i]; c < 0x20 || c >= utf8.RuneSelf || c == '"' || c == '\\' {
				return false
			}
		}
		return true
	}
	for i := 0; i < n-8; i += 8 {
		if needsEscape(load64(s, i)) {
			return false
		}
	}
	// The last eight bytes may overlap with those before.
	return !needsEscape(load64(s, n-8))
}

// appendEscaped appends the inside of the JSON string of s.
func appendEscaped(dst []byte, s string) []byte {
	start := 0
	for i := 0; i < len(s); {
		for i+8 <= len(s) && !needsEscape(load64(s, i)) {
			i += 8
		}
		if i >= len(s) {
			break
		}
		c := s[i]
		if c >= 0x20 && c < utf8.RuneSelf && c != '"' && c != '\\' {
			i++
			continue
		}
		if c >= utf8.RuneSelf {
			r, size := utf8.DecodeRuneInString(s[i:])
			if r == utf8.RuneError && size == 1 {
				dst = append(dst, s[start:i]...)
				dst = append(dst, replacement...)
				i++
				start = i
				continue
			}
			i += size
			continue
		}
		dst = append(dst, s[start:i]...)
		switch c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\n':
			dst = append(dst, '\\', 'n')
		case '\r':
			dst = append(dst, '\\', 'r')
		case '\t':
			dst = append(dst, '\\', 't')
		default:
			dst = append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&0xF])
		}
		i++
		start = i
	}
	return append(dst, s[start:]...)
}

// load64 reads eight bytes of s; the compiler makes one load of it.
func load64(s string, i int) uint64 {
	_ = s[i+7]
	return uint64(s[i]) | uint64(s[i+1])<<8 | uint64(s[i+2])<<16 | uint64(s[i+3])<<24 |
		uint64(s[i+4])<<32 | uint64(s[i+5])<<40 | uint64(s[i+6])<<48 | uint64(s[i+7])<<56
}

// load32 does the same for four bytes.
func load32(s string, i int) uint32 {
	_ = s[i+3]
	return uint32(s[i]) | uint32(s[i+1])<<8 | uint32(s[i+2])<<16 | uint32(s[i+3])<<24
}

// needsEscape reports whether any of eight bytes may be a control character, a quote, a backslash or not ASCII. False
// positives are possible, false negatives are not.
func needsEscape(w uint64) bool {
	const ones, high = 0x0101010101010101, 0x8080808080808080
	return ((w-ones*0x20)|((w^(ones*'"'))-ones)|((w^(ones*'\\'))-ones)|w)&high != 0
}

// appendText appends s as a JSON string, truncated to the length that Amplitude keeps.
func appendText(dst []byte, s string) []byte {
	return AppendString(dst, amplitude.Truncate(s, amplitude.MaxStringLength))
}

// appendFloat appends f in the shortest form that parses as f, like encoding/json. f must be finite.
func appendFloat(dst []byte, f float64) []byte {
	format := byte('f')
	if a := math.Abs(f); a != 0 && (a < 1e-6 || a >= 1e21) {
		format = 'e'
	}
	dst = strconv.AppendFloat(dst, f, format, -1, 64)
	if format == 'e' {
		// e-09 to e-9
		if n := len(dst); n >= 4 && dst[n-4] == 'e' && dst[n-3] == '-' && dst[n-2] == '0' {
			dst[n-2] = dst[n-1]
			dst = dst[:n-1]
		}
	}
	return dst
}

// isFinite reports whether JSON can represent f.
func isFinite(f float64) bool {
	return !math.IsNaN(f) && !math.IsInf(f, 0)
}

// Losses counts values left out of events, by cause.
type Losses [LossCauses]int

// Causes of losses.
const (
	LossNotFinite = iota
	LossTooDeep
	LossNull
	LossEmptyID
	LossPlaceholderID
	LossShortID
	LossLongID
	LossCauses
)

// appendValue appends v as JSON. depth is the nesting level of the container of v. It returns false, with dst
// unchanged, for a value that JSON or Amplitude cannot represent.
func (e *Encoder) appendValue(dst []byte, v pcommon.Value, depth int) ([]byte, bool) {
	switch v.Type() {
	case pcommon.ValueTypeStr:
		return appendText(dst, v.Str()), true
	case pcommon.ValueTypeBool:
		return strconv.AppendBool(dst, v.Bool()), true
	case pcommon.ValueTypeInt:
		return strconv.AppendInt(dst, v.Int(), 10), true
	case pcommon.ValueTypeDouble:
		if !isFinite(v.Double()) {
			e.Lost[LossNotFinite]++
			return dst, false
		}
		return appendFloat(dst, v.Double()), true
	case pcommon.ValueTypeBytes:
		return appendBase64(dst, v.Bytes()), true
	case pcommon.ValueTypeMap:
		if depth >= amplitude.MaxDepth {
			e.Lost[LossTooDeep]++
			return dst, false
		}
		return e.appendMap(dst, v.Map(), depth+1), true
	case pcommon.ValueTypeSlice:
		if depth >= amplitude.MaxDepth {
			e.Lost[LossTooDeep]++
			return dst, false
		}
		return e.appendSlice(dst, v.Slice(), depth+1), true
	default:
		return append(dst, "null"...), true
	}
}

// appendMap appends m, whose own nesting level is depth. The first value of a duplicate key wins.
func (e *Encoder) appendMap(dst []byte, m pcommon.Map, depth int) []byte {
	level := e.names.open()
	dst = append(dst, '{')
	first := true
	for key, value := range m.All() {
		if !e.names.add(level, key) {
			continue
		}
		before := len(dst)
		if !first {
			dst = append(dst, ',')
		}
		dst = AppendString(dst, key)
		dst = append(dst, ':')
		var ok bool
		if dst, ok = e.appendValue(dst, value, depth); !ok {
			dst = dst[:before]
			continue
		}
		first = false
	}
	e.names.close(level)
	return append(dst, '}')
}

func (e *Encoder) appendSlice(dst []byte, s pcommon.Slice, depth int) []byte {
	dst = append(dst, '[')
	first := true
	for _, value := range s.All() {
		before := len(dst)
		if !first {
			dst = append(dst, ',')
		}
		var ok bool
		if dst, ok = e.appendValue(dst, value, depth); !ok {
			dst = dst[:before]
			continue
		}
		first = false
	}
	return append(dst, ']')
}

// appendBase64 appends bytes as base64 text that Amplitude does not truncate.
func appendBase64(dst []byte, b pcommon.ByteSlice) []byte {
	raw := b.AsRaw()
	if len(raw) > maxBytesValue {
		raw = raw[:maxBytesValue]
	}
	dst = append(dst, '"')
	dst = base64.StdEncoding.AppendEncode(dst, raw)
	return append(dst, '"')
}

// LossNames are the causes of losses in metrics.
var LossNames = [LossCauses]string{"not_finite", "too_deep", "null", "empty_id", "placeholder_id", "short_id", "long_id"}
