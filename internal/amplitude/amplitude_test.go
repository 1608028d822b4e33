// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitude

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestCheckID(t *testing.T) {
	for _, tc := range []struct {
		name, id string
		min      int
		want     string
		problem  IDProblem
	}{
		{"plain", "user-12345", 5, "user-12345", IDOK},
		{"trimmed", "  user-12345\t\n", 5, "user-12345", IDOK},
		{"case is kept", "USER-Ab", 5, "USER-Ab", IDOK},
		{"exactly the minimum", "12345", 5, "12345", IDOK},
		{"short", "1234", 5, "1234", IDTooShort},
		{"short allowed", "1", 1, "1", IDOK},
		{"blank", " \t ", 1, "", IDEmpty},
		{"empty", "", 1, "", IDEmpty},
		{"length is counted in UTF-16 units: four letters", "юзер", 5, "юзер", IDTooShort},
		{"two emoji are four units", "😀😀", 5, "😀😀", IDTooShort},
		{"three emoji are six units", "😀😀😀", 5, "😀😀😀", IDOK},
		{"placeholder in any case", "Anonymous", 1, "Anonymous", IDPlaceholder},
		{"placeholder after trimming", " null ", 1, "null", IDPlaceholder},
		{"zero", "0", 1, "0", IDPlaceholder},
		{"minus one", "-1", 1, "-1", IDPlaceholder},
		{"all-zero UUID", "00000000-0000-0000-0000-000000000000", 5, "00000000-0000-0000-0000-000000000000", IDPlaceholder},
		{"pair of quotes", `""`, 1, `""`, IDPlaceholder},
		{"contains a placeholder", "anonymous-17", 5, "anonymous-17", IDOK},
		{"at the limit", strings.Repeat("x", 1024), 5, strings.Repeat("x", 1024), IDOK},
		{"over the limit", strings.Repeat("x", 1025), 5, strings.Repeat("x", 1025), IDTooLong},
		{"many bytes, few units", strings.Repeat("語", 1024), 5, strings.Repeat("語", 1024), IDOK},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, problem := CheckID(tc.id, tc.min)
			assert.Equal(t, tc.want, got)
			assert.Equal(t, tc.problem, problem)
		})
	}
}

func TestTruncate(t *testing.T) {
	for _, tc := range []struct {
		name, in string
		limit    int
		want     string
	}{
		{"short", "abc", 5, "abc"},
		{"exact", "abcde", 5, "abcde"},
		{"ascii", "abcdef", 5, "abcde"},
		{"runes are not cut", "ааааа", 3, "ааа"},
		{"a surrogate pair counts as two", "a😀b", 2, "a"},
		{"a pair that fits", "a😀b", 3, "a😀"},
		{"invalid bytes count one each", "\xff\xff\xff", 2, "\xff\xff"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := Truncate(tc.in, tc.limit)
			assert.Equal(t, tc.want, got)
			assert.LessOrEqual(t, UTF16Length(got), tc.limit)
		})
	}
}

func TestOperators(t *testing.T) {
	assert.True(t, IsOperator("$set"))
	assert.False(t, IsOperator("$Set"))
	assert.False(t, IsOperator("set"))
}
