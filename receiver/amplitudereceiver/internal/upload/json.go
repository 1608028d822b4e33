// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package upload // import "github.com/otelcol-amplitude/otelcol-amplitude/receiver/amplitudereceiver/internal/upload"

import (
	"bytes"
	"math"
	"slices"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/steps"
)

// Kinds of tokens; jsontext has names for them only in versions that require Go 1.26.
const (
	nothing     jsontext.Kind = 0
	beginObject jsontext.Kind = '{'
	endObject   jsontext.Kind = '}'
	beginArray  jsontext.Kind = '['
	endArray    jsontext.Kind = ']'
	quoted      jsontext.Kind = '"'
	number      jsontext.Kind = '0'
	null        jsontext.Kind = 'n'
	isTrue      jsontext.Kind = 't'
	isFalse     jsontext.Kind = 'f'
)

// smallDigits is how many digits always fit into an int64.
const smallDigits = 18

// integer parses a JSON number written as an integer that fits into an int64.
func integer(text []byte) (n int64, ok bool) {
	digits := text
	if len(digits) > 0 && digits[0] == '-' {
		digits = digits[1:]
	}
	if len(digits) == 0 || len(digits) > smallDigits {
		n, err := strconv.ParseInt(string(text), 10, 64)
		return n, err == nil
	}
	for _, c := range digits {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int64(c-'0')
	}
	if len(digits) != len(text) {
		n = -n
	}
	return n, true
}

// wholeNumber parses a JSON number with an integer value, in any notation.
func wholeNumber(text jsontext.Value) (n int64, ok bool) {
	if text.Kind() != number {
		return 0, false
	}
	if n, ok = integer(text); ok {
		return n, true
	}
	const exact = 1 << 53
	f, err := strconv.ParseFloat(string(text), 64)
	if err != nil || math.Trunc(f) != f || math.Abs(f) > exact {
		return 0, false
	}
	return int64(f), true
}

// deeper reports whether a JSON value is nested more deeply than the limit.
func deeper(value jsontext.Value, limit int) bool {
	if kind := value.Kind(); kind != beginObject && kind != beginArray {
		return false
	}
	steps.Add(len(value))
	level := 0
	for i := 0; i < len(value); i++ {
		switch value[i] {
		case '{', '[':
			if level++; level > limit {
				return true
			}
		case '}', ']':
			level--
		case '"':
			for i++; value[i] != '"'; i++ { // the value is valid
				if value[i] == '\\' {
					i++
				}
			}
		}
	}
	return false
}

// span is a part of a text.
type span struct{ from, to int64 }

// object is an object being read: where its members begin, and the last one of each name.
type object struct {
	starts []int64
	last   map[string]int
}

// lastNames returns valid JSON without duplicate members, keeping the last of each name.
func lastNames(text []byte) []byte {
	in := jsontext.NewDecoder(bytes.NewBuffer(text), lenient...)
	var open []object
	var gone []span
	for in.PeekKind() != nothing {
		steps.Add(1)
		switch kind := in.PeekKind(); kind {
		case beginObject, beginArray:
			_, _ = in.ReadToken() // the text is valid
			open = append(open, object{})
		case endObject, endArray:
			_, _ = in.ReadToken()
			open = open[:len(open)-1]
		default:
			value, _ := in.ReadValue()
			outer, length := in.StackIndex(in.StackDepth())
			if outer != beginObject || length%2 == 0 {
				continue // not a name
			}
			o := &open[len(open)-1]
			o.starts = append(o.starts, in.InputOffset()-int64(len(value)))
			if o.last == nil {
				o.last = map[string]int{}
			}
			name := textOf(value)
			if before, twice := o.last[name]; twice {
				// It ends, with its comma, where the next one begins.
				gone = append(gone, span{o.starts[before], o.starts[before+1]})
			}
			o.last[name] = len(o.starts) - 1
		}
	}
	slices.SortFunc(gone, func(a, b span) int { return int(a.from - b.from) })
	steps.Add(len(text) + len(gone))
	out, from := make([]byte, 0, len(text)), int64(0)
	for _, s := range gone {
		if s.from > from {
			out = append(out, text[from:s.from]...)
		}
		from = max(from, s.to)
	}
	return append(out, text[from:]...)
}
