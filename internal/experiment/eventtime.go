// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package experiment // import "github.com/otelcol-amplitude/otelcol-amplitude/internal/experiment"

import (
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
)

const (
	// earliestTime is the start of the year 2000: an earlier event time means a wrong clock or unit.
	earliestTime = 946_684_800_000
	// maxAhead is how far ahead of its arrival an event time is still believed.
	maxAhead = 24 * int64(time.Hour/time.Millisecond)
)

// eventMillis chooses the time of an event in milliseconds since the Unix epoch: its own, else
// when it was observed, else now.
func eventMillis(timestamp, observed pcommon.Timestamp, now int64) int64 {
	for _, candidate := range [...]pcommon.Timestamp{timestamp, observed} {
		if ms, ok := believedMillis(candidate, now); ok {
			return ms
		}
	}
	return now
}

// believedMillis returns a time in milliseconds, and whether it is plausible for an event.
func believedMillis(candidate pcommon.Timestamp, now int64) (int64, bool) {
	ms := int64(uint64(candidate) / uint64(time.Millisecond))
	return ms, ms >= earliestTime && ms <= now+maxAhead
}
