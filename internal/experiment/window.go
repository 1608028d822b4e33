// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package experiment // import "github.com/otelcol-amplitude/otelcol-amplitude/internal/experiment"

import (
	"fmt"
	"time"
	_ "time/tzdata" // a container image may lack time zone data

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/amplitude"
)

const (
	// WindowDay is the name of the window that is a day.
	WindowDay = "day"
	// MinWindow is the shortest of the other windows.
	MinWindow = time.Minute
	// MaxWindow is the longest window: Amplitude forgets an insert_id after seven days.
	MaxWindow = amplitude.DedupeWindow

	secondsPerDay   = 24 * 60 * 60
	millisPerSecond = 1000
	millisPerDay    = secondsPerDay * millisPerSecond
)

// Window numbers the time windows, by default days, in which an equal result is a repeat.
type Window struct {
	// zone is nil for UTC days and for windows of a fixed length.
	zone *time.Location
	// length is the length of a window in milliseconds.
	length int64
	// isDay: the window is a day.
	isDay bool
}

// NewWindow parses `window` ("day" or a duration) and `time_zone` (an IANA name).
func NewWindow(window, timeZone string) (*Window, error) {
	zone, err := time.LoadLocation(timeZone)
	if err != nil || timeZone == "" || timeZone == "Local" {
		return nil, fmt.Errorf("`time_zone` must be the name of a time zone such as UTC or Europe/Berlin (got %q)", timeZone)
	}
	if window == WindowDay {
		if zone == time.UTC {
			zone = nil
		}
		return &Window{zone: zone, length: millisPerDay, isDay: true}, nil
	}
	length, err := time.ParseDuration(window)
	if err != nil || length < MinWindow || length > MaxWindow {
		return nil, fmt.Errorf("`window` must be %s or a duration between %s and %s (got %q)", WindowDay, MinWindow, MaxWindow, window)
	}
	return &Window{length: length.Milliseconds()}, nil
}

// Number returns the number of the window of an event time in milliseconds since the Unix epoch. A day is numbered by
// its local date: 0 is 1 January 1970, regardless of the time zone.
func (w *Window) Number(ms int64) int32 {
	switch {
	case w.zone == nil && w.isDay: // the usual one: a division by a constant is a multiplication
		return int32(floorDiv(ms, millisPerDay))
	case w.zone == nil:
		return int32(floorDiv(ms, w.length))
	}
	seconds := floorDiv(ms, millisPerSecond)
	_, offset := time.Unix(seconds, 0).In(w.zone).Zone()
	return int32(floorDiv(seconds+int64(offset), secondsPerDay))
}

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}
