// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

// Package printable makes foreign text safe for one line of a log, an error or an explanation.
package printable // import "github.com/otelcol-amplitude/otelcol-amplitude/internal/printable"

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// MaxBytes is how many bytes of a text are shown.
const MaxBytes = 120

// Cut returns the beginning of a text as valid UTF-8. The result does not retain the rest.
func Cut(text string) string {
	if len(text) <= MaxBytes {
		return strings.Clone(strings.ToValidUTF8(text, "\uFFFD"))
	}
	end := MaxBytes
	for end > MaxBytes-utf8.UTFMax && !utf8.RuneStart(text[end]) {
		end--
	}
	return strings.ToValidUTF8(text[:end], "\uFFFD") + "…"
}

// Text cuts a text and escapes what a terminal or log viewer might interpret, such as control characters and marks that
// change the text direction.
func Text(text string) string { return Escape(Cut(text)) }

// Escape does that for a whole text.
func Escape(text string) string {
	text = strings.ToValidUTF8(text, "\uFFFD")
	if strings.IndexFunc(text, func(r rune) bool { return !strconv.IsPrint(r) }) < 0 {
		return text
	}
	var safe strings.Builder
	for _, r := range text {
		if strconv.IsPrint(r) {
			safe.WriteRune(r)
			continue
		}
		quoted := strconv.QuoteRune(r)
		safe.WriteString(quoted[1 : len(quoted)-1])
	}
	return safe.String()
}

// JSON escapes the same in JSON text, and keeps its line breaks and spaces.
func JSON(text []byte) []byte {
	unfit := func(r rune) bool { return r != '\n' && r != '\t' && !strconv.IsPrint(r) }
	if bytes.IndexFunc(text, unfit) < 0 {
		return text
	}
	safe := make([]byte, 0, len(text)+len(text)/8)
	for _, r := range string(text) {
		if !unfit(r) {
			safe = utf8.AppendRune(safe, r)
			continue
		}
		if r > 0xFFFF {
			high, low := utf16.EncodeRune(r)
			safe = fmt.Appendf(safe, `\u%04x`, high)
			r = low
		}
		safe = fmt.Appendf(safe, `\u%04x`, r)
	}
	return safe
}
