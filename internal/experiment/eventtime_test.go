// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package experiment

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"go.opentelemetry.io/collector/pdata/pcommon"
)

func TestEventTime(t *testing.T) {
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	ns := pcommon.NewTimestampFromTime
	for _, tc := range []struct {
		name                string
		timestamp, observed pcommon.Timestamp
		want                time.Time
	}{
		{"its own", ns(now.Add(-time.Hour)), ns(now), now.Add(-time.Hour)},
		{"cut to milliseconds", ns(now.Add(-time.Hour + 999*time.Microsecond)), 0, now.Add(-time.Hour)},
		{"observed", 0, ns(now.Add(-time.Minute)), now.Add(-time.Minute)},
		{"neither", 0, 0, now},
		{"seconds for nanoseconds", 1_768_478_400, ns(now.Add(-time.Minute)), now.Add(-time.Minute)},
		{"before 2000", ns(time.Date(1999, 12, 31, 23, 59, 59, 0, time.UTC)), ns(now), now},
		{"a day ahead", ns(now.Add(24 * time.Hour)), ns(now), now.Add(24 * time.Hour)},
		{"over a day ahead", ns(now.Add(24*time.Hour + time.Millisecond)), ns(now.Add(-time.Second)), now.Add(-time.Second)},
		{"both wrong", math.MaxUint64, 1, now},
	} {
		t.Run(tc.name, func(t *testing.T) {
			assert.Equal(t, tc.want.UnixMilli(), eventMillis(tc.timestamp, tc.observed, now.UnixMilli()))
		})
	}
}
