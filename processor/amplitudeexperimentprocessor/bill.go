// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudeexperimentprocessor // import "github.com/otelcol-amplitude/otelcol-amplitude/processor/amplitudeexperimentprocessor"

import (
	"go.uber.org/zap"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/amplitude"
)

// minutesPerMonth assumes a month of 30 days, as Amplitude's plans do.
const minutesPerMonth = 30 * 24 * 60

// sayOutcomes logs at startup which outcomes are sent, because they cost money, and warns about outcomes that no
// exporter in this Collector lets through. If there are several exporters, the processor cannot tell which of them is
// behind it.
func (i *instance) sayOutcomes() {
	types := i.cfg.Outcomes.EventTypes()
	if len(types) == 0 {
		return
	}
	most := zap.String("at_most_per_month", "no limit: set outcomes::max_per_minute")
	if limit := i.cfg.Outcomes.MaxPerMinute; limit > 0 {
		most = zap.Int("at_most_per_month", limit*minutesPerMonth)
	}
	i.logger.Info("Outcomes are sent; each counts toward the event volume of the Amplitude project",
		zap.Strings("events", types), zap.Int("max_per_minute", i.cfg.Outcomes.MaxPerMinute), most)
	if kept := amplitude.NotExported(types); len(kept) > 0 {
		i.logger.Warn("No amplitude exporter sends these outcomes; they are rejected there as not_allowed",
			zap.Strings("events", kept), zap.String("hint", "add them to `events` of the exporter, in addition to its defaults"))
	}
}
