// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package printable_test

import (
	"encoding/json"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/printable"
)

func TestText(t *testing.T) {
	for text, want := range map[string]string{
		"":                             "",
		"checkout flow":                "checkout flow",
		"héllo 日本 😀":                   "héllo 日本 😀",
		"line\nnext\ttab":              `line\nnext\ttab`,
		"\x1b[2Jclear":                 `\x1b[2Jclear`,
		"delete\x7f":                   `delete\x7f`,
		"C1 \u009b31m":                 `C1 \u009b31m`,
		"turned \u202e round":          `turned \u202e round`,
		"zero\u200bwidth \ufeffmark":   `zero\u200bwidth \ufeffmark`,
		"broken \xff\xfe text":         "broken \uFFFD text",
		strings.Repeat("x", 1<<23):     strings.Repeat("x", printable.MaxBytes) + "…",
		strings.Repeat("é", 100):       strings.Repeat("é", printable.MaxBytes/2) + "…",
		"a" + strings.Repeat("日", 100): "a" + strings.Repeat("日", (printable.MaxBytes-1)/3) + "…",
		strings.Repeat("\x80", 200):    "\uFFFD…",
	} {
		assert.Equal(t, want, printable.Text(text))
	}
}

// TestAnyText: what is shown of any text is short, valid and printable.
func TestAnyText(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := string(rapid.SliceOfN(rapid.Byte(), 0, 300).Draw(t, "bytes"))
		shown := printable.Text(text)
		assert.True(t, utf8.ValidString(shown))
		assert.Equal(t, -1, strings.IndexFunc(shown, func(r rune) bool { return !strconv.IsPrint(r) }))
		assert.LessOrEqual(t, len(printable.Cut(text)), 3*printable.MaxBytes+len("…"))

		// JSON stays the same JSON.
		quoted, err := json.Marshal(text)
		require.NoError(t, err)
		safe := printable.JSON(append(quoted, '\n'))
		assert.Equal(t, -1, strings.IndexFunc(string(safe), func(r rune) bool { return r != '\n' && !strconv.IsPrint(r) }))
		var before, after string
		require.NoError(t, json.Unmarshal(quoted, &before))
		require.NoError(t, json.Unmarshal(safe, &after))
		assert.Equal(t, before, after)
	})
}
