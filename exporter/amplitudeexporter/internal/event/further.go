// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package event // import "github.com/otelcol-amplitude/otelcol-amplitude/exporter/amplitudeexporter/internal/event"

import (
	"bytes"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/amplitude"
)

// elsewhere are the members of an event that are not fields: they come from the record itself or from attribute
// families.
var elsewhere = map[string]struct{}{
	amplitude.FieldEventType: {}, amplitude.FieldTime: {}, amplitude.FieldEventProperties: {},
	amplitude.FieldUserProperties: {}, amplitude.FieldGroupProperties: {}, amplitude.FieldGroups: {},
}

// appendFurther appends the members of the JSON object in amplitude.event_json. It returns what is invalid, or "": the
// text if it is not an object, or a member that must come from its own attribute.
func appendFurther(dst []byte, value pcommon.Value) (out []byte, failed string) {
	start := len(dst)
	if value.Type() != pcommon.ValueTypeStr || !utf8.ValidString(value.Str()) {
		return dst, amplitude.FieldEventJSON
	}
	// A lone surrogate is passed on unchanged.
	in := jsontext.NewDecoder(bytes.NewBufferString(value.Str()), jsontext.AllowInvalidUTF8(true))
	if in.PeekKind() != '{' {
		return dst, amplitude.FieldEventJSON
	}
	_, _ = in.ReadToken() // the brace just seen
	for in.PeekKind() == '"' {
		name, err := in.ReadToken()
		if err != nil {
			return dst[:start], amplitude.FieldEventJSON
		}
		text := name.String()
		if _, own := elsewhere[text]; own || IsField(text) {
			return dst[:start], amplitude.FieldEventJSON + "." + boundName(text)
		}
		member, err := in.ReadValue()
		if err != nil {
			return dst[:start], amplitude.FieldEventJSON
		}
		dst = append(dst, ',')
		dst = AppendString(dst, text)
		dst = append(dst, ':')
		dst = append(dst, member...)
	}
	if token, err := in.ReadToken(); err != nil || token.Kind() != '}' || len(bytes.TrimSpace(in.UnreadBuffer())) > 0 {
		return dst[:start], amplitude.FieldEventJSON
	}
	return dst, ""
}
