// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudeexperimentprocessor // import "github.com/otelcol-amplitude/otelcol-amplitude/processor/amplitudeexperimentprocessor"

import (
	"go.uber.org/zap"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/amplitude"
)

// minutesPerMonth are those of 30 days, by which Amplitude's plans count.
const minutesPerMonth = 30 * 24 * 60

// sayOutcomes says at the start which outcomes are sent, since they cost, and warns of those that no exporter of this Collector lets
// leave. Which of several exporters is behind this processor cannot be told here.
func (i *instance) sayOutcomes() {
	types := i.cfg.Outcomes.EventTypes()
	if len(types) == 0 {
		return
	}
	most := zap.String("at_most_per_month", "no limit: set outcomes::max_per_minute")
	if limit := i.cfg.Outcomes.MaxPerMinute; limit > 0 {
		most = zap.Int("at_most_per_month", limit*minutesPerMonth)
	}
	i.logger.Info("outcomes are sent: each counts toward the event volume of the Amplitude project",
		zap.Strings("events", types), zap.Int("max_per_minute", i.cfg.Outcomes.MaxPerMinute), most)
	if kept := amplitude.NotExported(types); len(kept) > 0 {
		i.logger.Warn("no exporter amplitude lets these outcomes leave: they end there as not_allowed",
			zap.Strings("events", kept), zap.String("hint", "add them to `events` of the exporter, beside what it lists by default"))
	}
}
