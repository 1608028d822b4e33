// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package experiment // import "github.com/otelcol-amplitude/otelcol-amplitude/internal/experiment"

import (
	"encoding/json"
	"io"
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/xpdata"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/amplitude"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/steps"
)

const (
	// maxJSONText is the maximum length in bytes of text that is parsed as JSON.
	maxJSONText = 1 << 20
	jsonSpace   = " \t\r\n"
)

// objectOf returns the map in a value, or in its JSON text: loggers that cannot nest write one.
func objectOf(value pcommon.Value) (pcommon.Value, refusal) {
	switch value.Type() {
	case pcommon.ValueTypeMap:
		return value, refusedNot
	case pcommon.ValueTypeEmpty:
		return value, refusedNull
	case pcommon.ValueTypeStr:
		switch text := strings.Trim(value.Str(), jsonSpace); text {
		case "":
			return value, refusedBlank
		case jsonNull:
			return value, refusedNull
		default:
			if object, ok := parseObject(text); ok {
				return object, refusedNot
			}
		}
	}
	return value, refusedNotMap
}

// parseObject parses the text of one JSON object. Integers keep their digits; the first value of a duplicate name wins.
func parseObject(text string) (pcommon.Value, bool) {
	value := pcommon.NewValueEmpty()
	if len(text) > maxJSONText || !strings.HasPrefix(strings.TrimLeft(text, jsonSpace), "{") {
		return value, false
	}
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.UseNumber()
	token, err := decoder.Token()
	if err != nil || !readJSON(decoder, token, value, 0) {
		return value, false
	}
	_, err = decoder.Token()
	return value, err == io.EOF
}

// readJSON reads the value that starts with a token, and returns false if it is invalid or too deep.
func readJSON(decoder *json.Decoder, token json.Token, to pcommon.Value, depth int) bool {
	steps.Add(1)
	switch token := token.(type) {
	case string:
		to.SetStr(token)
	case bool:
		to.SetBool(token)
	case json.Number:
		if whole, err := token.Int64(); err == nil {
			to.SetInt(whole)
		} else if number, err := token.Float64(); err == nil {
			to.SetDouble(number)
		} else {
			return false
		}
	case json.Delim:
		if depth == amplitude.MaxDepth {
			return false
		}
		return readJSONList(decoder, token, to, depth+1)
	}
	return true
}

// readJSONList reads the object or array that has been opened.
func readJSONList(decoder *json.Decoder, opened json.Delim, to pcommon.Value, depth int) bool {
	var ok bool
	if opened == '{' {
		ok = readJSONObject(decoder, to.SetEmptyMap(), depth)
	} else {
		ok = readJSONArray(decoder, to.SetEmptySlice(), depth)
	}
	if !ok {
		return false
	}
	_, err := decoder.Token()
	return err == nil
}

// readJSONObject reads names and values into a map. The first value of a duplicate name wins.
func readJSONObject(decoder *json.Decoder, to pcommon.Map, depth int) bool {
	var builder xpdata.MapBuilder // inserting into a map takes longer the larger it is
	names := map[string]struct{}{}
	for decoder.More() {
		token, err := decoder.Token()
		name, isName := token.(string)
		if err != nil || !isName {
			return false
		}
		element := pcommon.NewValueEmpty()
		if _, twice := names[name]; !twice {
			names[name] = struct{}{}
			element = builder.AppendEmpty(name)
		}
		if token, err = decoder.Token(); err != nil || !readJSON(decoder, token, element, depth) {
			return false
		}
	}
	builder.UnsafeIntoMap(to)
	return true
}

func readJSONArray(decoder *json.Decoder, to pcommon.Slice, depth int) bool {
	for decoder.More() {
		token, err := decoder.Token()
		if err != nil || !readJSON(decoder, token, to.AppendEmpty(), depth) {
			return false
		}
	}
	return true
}
