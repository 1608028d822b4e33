// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudeexperimentprocessor // import "github.com/otelcol-amplitude/otelcol-amplitude/processor/amplitudeexperimentprocessor"

import (
	"fmt"
	"time"
)

const (
	secondsPerDay         = 24 * 60 * 60
	millisecondsPerSecond = 1000
)

// bucketer numbers the windows of time in which an equal result is a repeat.
type bucketer struct {
	// zone is nil for UTC days and for windows of a fixed length.
	zone *time.Location
	// length is the length of a window in milliseconds.
	length int64
}

// newBucketer reads `window` ("day" or a duration) and `time_zone` (an IANA name).
func newBucketer(window, timeZone string) (*bucketer, error) {
	zone, err := time.LoadLocation(timeZone)
	if err != nil || timeZone == "" || timeZone == "Local" {
		return nil, fmt.Errorf("`time_zone` must be the name of a time zone such as UTC or Europe/Berlin (got %q)", timeZone)
	}
	if window == dedupWindowDay {
		if zone == time.UTC {
			zone = nil
		}
		return &bucketer{zone: zone, length: secondsPerDay * millisecondsPerSecond}, nil
	}
	length, err := time.ParseDuration(window)
	if err != nil || length < minDedupWindow || length > maxDedupWindow {
		return nil, fmt.Errorf("`window` must be %s or a duration between %s and %s (got %q)", dedupWindowDay, minDedupWindow, maxDedupWindow, window)
	}
	return &bucketer{length: length.Milliseconds()}, nil
}

// bucket numbers the window that an event time in milliseconds since the Unix epoch belongs to.
// A day is numbered by its local date: 0 is 1 January 1970, whatever the zone.
func (b *bucketer) bucket(ms int64) int32 {
	if b.zone == nil {
		return int32(floorDiv(ms, b.length))
	}
	seconds := floorDiv(ms, millisecondsPerSecond)
	_, offset := time.Unix(seconds, 0).In(b.zone).Zone()
	return int32(floorDiv(seconds+int64(offset), secondsPerDay))
}

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}
