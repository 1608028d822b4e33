// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package experiment

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"pgregory.net/rapid"
)

// TestPlainTextNeedsNoRepair: the fast path only accepts what the slow path would not change.
func TestPlainTextNeedsNoRepair(t *testing.T) {
	for _, text := range []string{"a", "user-1", "12345678", "experiment-01 of 2", "~", strings.Repeat("x", 1000)} {
		assert.True(t, isPlain(text), "%q", text)
	}
	rapid.Check(t, func(t *rapid.T) {
		// Mostly ASCII, with other bytes anywhere in an eight-byte word or after the last one.
		raw := rapid.SliceOfN(rapid.SampledFrom([]byte("abcdefgh \t\n\x00\x7f\x80\xc3\xa9\xff")), 0, 40).Draw(t, "text")
		if text := string(raw); isPlain(text) {
			assert.True(t, utf8.ValidString(text), "%q", text)
			assert.Equal(t, text, strings.TrimSpace(text))
			assert.NotEmpty(t, text)
		}
	})
}
