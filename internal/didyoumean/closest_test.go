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
		"wire":          "", // known already
		"is":            "", // too short to be told from any other
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
