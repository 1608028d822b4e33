// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package event // import "github.com/otelcol-amplitude/otelcol-amplitude/exporter/amplitudeexporter/internal/event"

import (
	"math/bits"
	"strconv"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/amplitude"
)

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
