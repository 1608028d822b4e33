// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package experiment // import "github.com/otelcol-amplitude/otelcol-amplitude/internal/experiment"

import (
	"encoding/json"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/amplitude"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/steps"
)

const (
	// MaxValueVariant is the maximum length, in UTF-16 code units, of a flag's value that is used as its variant; longer
	// values are content.
	MaxValueVariant = 256
	// maxExactFloat is the first integer that a float64 may have rounded.
	maxExactFloat = 1 << 53
)

// validText returns s with each run of invalid UTF-8 replaced by U+FFFD.
func validText(s string) string {
	if isPlain(s) || utf8.ValidString(s) {
		return s
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}

// isPlain reports whether a text needs no repair, as almost all do: ASCII, not blank, no surrounding white space.
func isPlain(s string) bool {
	if len(s) == 0 || s[0] <= ' ' || s[len(s)-1] <= ' ' {
		return false
	}
	for ; len(s) >= wordSize; s = s[wordSize:] {
		if (uint64(s[0])|uint64(s[1])<<8|uint64(s[2])<<16|uint64(s[3])<<24|
			uint64(s[4])<<32|uint64(s[5])<<40|uint64(s[6])<<48|uint64(s[7])<<56)&notASCII != 0 {
			return false
		}
	}
	var left byte
	for i := range len(s) {
		left |= s[i]
	}
	return left < utf8.RuneSelf
}

const (
	wordSize = 8
	notASCII = 0x8080808080808080
)

// scalarText returns a string, number or boolean as text. Integers keep their digits.
func scalarText(value pcommon.Value) (string, bool) {
	switch value.Type() {
	case pcommon.ValueTypeStr:
		return validText(value.Str()), true
	case pcommon.ValueTypeInt:
		return strconv.FormatInt(value.Int(), 10), true
	case pcommon.ValueTypeBool:
		return strconv.FormatBool(value.Bool()), true
	case pcommon.ValueTypeDouble:
		number := value.Double()
		if math.IsNaN(number) || math.IsInf(number, 0) {
			return "", false
		}
		if math.Abs(number) < maxExactFloat {
			return strconv.FormatFloat(number, 'f', -1, 64), true
		}
		return strconv.FormatFloat(number, 'g', -1, 64), true
	default:
		return "", false
	}
}

// boolean reads a boolean, or its text: some loggers and SDKs write all attributes as text.
func boolean(value pcommon.Value) (is, ok bool) {
	switch value.Type() {
	case pcommon.ValueTypeBool:
		return value.Bool(), true
	case pcommon.ValueTypeStr:
		switch text := strings.TrimSpace(value.Str()); {
		case strings.EqualFold(text, "true"):
			return true, true
		case strings.EqualFold(text, "false"):
			return false, true
		}
	}
	return false, false
}

// keyText returns a non-blank string, or the digits of an integer.
func keyText(value pcommon.Value) (string, bool) {
	switch value.Type() {
	case pcommon.ValueTypeStr:
		text := value.Str()
		if isPlain(text) {
			return text, true
		}
		text = validText(text)
		return text, strings.TrimSpace(text) != ""
	case pcommon.ValueTypeInt, pcommon.ValueTypeDouble:
		return wholeNumber(value)
	default:
		return "", false
	}
}

// wholeNumber returns the digits of an integer, or of a double without a fraction.
func wholeNumber(value pcommon.Value) (string, bool) {
	if value.Type() == pcommon.ValueTypeInt {
		return strconv.FormatInt(value.Int(), 10), true
	}
	number := value.Double()
	if number != math.Trunc(number) || math.Abs(number) >= maxExactFloat {
		return "", false
	}
	return strconv.FormatInt(int64(number), 10), true
}

type variantState uint8

const (
	// variantMissing: there is no value, or it is blank.
	variantMissing variantState = iota
	variantUsable
	// variantBad: the value cannot be a variant.
	variantBad
)

// variantText reads a variant. isValue means that it is the flag's value, which is used as the variant only if it is
// short.
func variantText(value pcommon.Value, isValue bool) (string, variantState) {
	var text string
	switch value.Type() {
	case pcommon.ValueTypeEmpty:
		return "", variantMissing
	case pcommon.ValueTypeStr:
		text = value.Str()
	default:
		number, ok := scalarText(value)
		if !ok {
			return "", variantBad
		}
		return number, variantUsable
	}
	steps.Add(len(text) / bytesPerStep)
	limit := amplitude.MaxStringLength
	if isValue {
		limit = MaxValueVariant
	}
	if isPlain(text) && len(text) <= limit && !hasPrintMark(text) && text != jsonNull {
		return text, variantUsable
	}
	return textVariant(validText(text), isValue, limit)
}

// textVariant reads a text that is not obviously a name.
func textVariant(text string, isValue bool, limit int) (string, variantState) {
	if trimmed := strings.TrimSpace(text); enclosed(trimmed, '"', '"') {
		// A JSON string is quoted text.
		var content string
		if json.Unmarshal([]byte(trimmed), &content) == nil {
			text = content
		}
	}
	steps.Add(len(text) * len(printForms) / bytesPerStep)
	switch trimmed := strings.TrimSpace(text); {
	case trimmed == "", isValue && trimmed == jsonNull:
		return "", variantMissing
	case tooLong(text, limit), isObjectPrint(text):
		return "", variantBad
	default:
		return text, variantUsable
	}
}

// jsonNull is the JSON null value.
const jsonNull = "null"

func tooLong(text string, limit int) bool {
	return len(text) > limit && amplitude.UTF16Length(text) > limit
}
