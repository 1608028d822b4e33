// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudeexporter // import "github.com/otelcol-amplitude/otelcol-amplitude/exporter/amplitudeexporter"

import "time"

// clock is the clock of the slow lane and of the project's pause.
type clock interface {
	Now() time.Time
	// At returns a channel that receives once the clock shows t, and a function to call when nobody waits for it
	// anymore. It takes a time, not a duration, because the clock may move between planning and waiting.
	At(t time.Time) (moment <-chan time.Time, stop func())
}

type systemClock struct{}

func (systemClock) Now() time.Time { return time.Now() }

func (systemClock) At(t time.Time) (moment <-chan time.Time, stop func()) {
	timer := time.NewTimer(time.Until(t))
	return timer.C, func() { timer.Stop() }
}
