// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package didyoumean_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/didyoumean"
)

func TestClosest(t *testing.T) {
	candidates := []string{"wire", "unassigned", "event_names", "events", "min_id_length", "max_id_length", "id"}
	for name, want := range map[string]string{
		"wier":          "wire", // two letters swapped are one edit
		"wir":           "wire",
		"WIRE":          "wire",
		"wxyz":          "",
		"unasigned":     "unassigned",
		"un_assigned_":  "unassigned",
		"event_name":    "event_names",
		"event-names":   "event_names",
		"eventnames":    "event_names",
		"event":         "events",
		"Event_Names":   "event_names",
		"mni_id_length": "min_id_length",
		"mx_id_length":  "max_id_length",
		"wire":          "", // already a candidate
		"is":            "", // too short to be distinguished from others
		"":              "",
		"min_id_length" + strings.Repeat("x", 60): "",
	} {
		got, ok := didyoumean.Closest(name, candidates)
		assert.Equal(t, want, got, name)
		assert.Equal(t, want != "", ok, name)
	}
	_, ok := didyoumean.Closest(strings.Repeat("a", 64), []string{strings.Repeat("a", 65), strings.Repeat("b", 64)})
	assert.False(t, ok)
	got, _ := didyoumean.Closest(strings.Repeat("a", 64), []string{strings.Repeat("a", 62) + "bb"})
	assert.Equal(t, strings.Repeat("a", 62)+"bb", got)
	assert.Zero(t, testing.AllocsPerRun(100, func() { didyoumean.Closest("event_nmaes", candidates) }))
}

// FuzzClosest compares with the plain definition of the distance, which looks at every pair of positions.
func FuzzClosest(f *testing.F) {
	for _, pair := range [][2]string{{"wier", "wire"}, {"abcdefgh", "bcdefghi"}, {"exposure", "$exposure"}, {"abcd", "dcba"}, {"", "abcd"}} {
		f.Add(pair[0], pair[1])
	}
	f.Fuzz(func(t *testing.T, name, candidate string) {
		if len(name) > 64 || len(candidate) > 64 {
			t.Skip()
		}
		_, ok := didyoumean.Closest(name, []string{candidate})
		want := name != "" && name != candidate && plainDistance(name, candidate) <= min(3, len(candidate)/4)
		assert.Equal(t, want, ok)
	})
}

func plainDistance(a, b string) int {
	lower := func(c byte) byte {
		if 'A' <= c && c <= 'Z' {
			return c + 'a' - 'A'
		}
		return c
	}
	cells := make([][]int, len(a)+1)
	for i := range cells {
		cells[i] = make([]int, len(b)+1)
		for j := range cells[i] {
			switch {
			case i == 0 || j == 0:
				cells[i][j] = i + j
			case lower(a[i-1]) == lower(b[j-1]):
				cells[i][j] = cells[i-1][j-1]
			default:
				cells[i][j] = 1 + min(cells[i-1][j-1], cells[i-1][j], cells[i][j-1])
			}
			if i > 1 && j > 1 && lower(a[i-1]) == lower(b[j-2]) && lower(a[i-2]) == lower(b[j-1]) {
				cells[i][j] = min(cells[i][j], cells[i-2][j-2]+1)
			}
		}
	}
	return cells[len(a)][len(b)]
}
