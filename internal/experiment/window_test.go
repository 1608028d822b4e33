// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package experiment

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestWindow(t *testing.T) {
	at := func(text string) int64 {
		moment, err := time.Parse(time.RFC3339, text)
		require.NoError(t, err)
		return moment.UnixMilli()
	}
	day := func(text string) int32 {
		moment, err := time.Parse(time.DateOnly, text)
		require.NoError(t, err)
		return int32(moment.Unix() / secondsPerDay)
	}
	for _, test := range []struct {
		window, zone, at string
		want             int32
	}{
		{"day", "UTC", "1970-01-01T00:00:00Z", 0},
		{"day", "UTC", "1969-12-31T23:59:59Z", -1},
		{"day", "UTC", "2026-01-15T23:59:59.999Z", day("2026-01-15")},
		{"day", "UTC", "2026-01-16T00:00:00Z", day("2026-01-16")},
		// Summer and winter time of one zone, and the two nights of the change.
		{"day", "Europe/Berlin", "2026-01-15T22:59:59Z", day("2026-01-15")},
		{"day", "Europe/Berlin", "2026-01-15T23:00:00Z", day("2026-01-16")},
		{"day", "Europe/Berlin", "2026-07-15T21:59:59Z", day("2026-07-15")},
		{"day", "Europe/Berlin", "2026-07-15T22:00:00Z", day("2026-07-16")},
		{"day", "Europe/Berlin", "2026-03-28T23:00:00Z", day("2026-03-29")},
		{"day", "Europe/Berlin", "2026-03-29T21:59:59Z", day("2026-03-29")},
		{"day", "Europe/Berlin", "2026-03-29T22:00:00Z", day("2026-03-30")},
		{"day", "Europe/Berlin", "2026-10-25T22:59:59Z", day("2026-10-25")},
		{"day", "America/Los_Angeles", "2026-01-16T07:59:59Z", day("2026-01-15")},
		{"day", "Asia/Kolkata", "2026-01-15T18:30:00Z", day("2026-01-16")},
		{"24h", "Europe/Berlin", "2026-01-15T23:59:59Z", day("2026-01-15")},
		{"1h", "UTC", "1970-01-02T01:30:00Z", 25},
		{"1m", "UTC", "1970-01-01T00:59:59.999Z", 59},
	} {
		window, err := NewWindow(test.window, test.zone)
		require.NoError(t, err)
		assert.Equal(t, test.want, window.Number(at(test.at)), "%+v", test)
	}
}
