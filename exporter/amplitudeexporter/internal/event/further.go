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

// elsewhere are the members of an event that are no fields: they come from the record itself or from families of attributes.
var elsewhere = map[string]struct{}{
	amplitude.FieldEventType: {}, amplitude.FieldTime: {}, amplitude.FieldEventProperties: {},
	amplitude.FieldUserProperties: {}, amplitude.FieldGroupProperties: {}, amplitude.FieldGroups: {},
}

// appendFurther appends the members of the JSON object that amplitude.event_json holds. It returns what is at fault, or "":
// the text when it is no object, or a member that an attribute of its own has to say.
func appendFurther(dst []byte, value pcommon.Value) (out []byte, failed string) {
	start := len(dst)
	if value.Type() != pcommon.ValueTypeStr || !utf8.ValidString(value.Str()) {
		return dst, amplitude.FieldEventJSON
	}
	// Half a surrogate pair goes on as it came.
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
