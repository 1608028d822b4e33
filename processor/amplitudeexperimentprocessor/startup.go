// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudeexperimentprocessor // import "github.com/otelcol-amplitude/otelcol-amplitude/processor/amplitudeexperimentprocessor"

import (
	"go.uber.org/zap"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/amplitude"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/amplitude/receipts"
)

// What a processor logs once, when it starts: what its configuration costs, and what it cannot do together with the
// exporters of this Collector. If there are several exporters, the processor cannot tell which of them is behind it, so it
// only warns about what holds for all of them.

// logStartup logs what the configuration of an instance implies.
func (i *instance) logStartup() {
	i.warnAboutShortIDs()
	i.logOutcomes()
}

// warnAboutShortIDs warns if every amplitude exporter in this Collector leaves out ids that this processor accepts: an
// event with a short user id would be sent under its device alone. An exporter that leaves out more than the others logs it
// at the first such id.
func (i *instance) warnAboutShortIDs() {
	shortest, ok := amplitude.ShortestExportedID()
	if !ok || i.cfg.Identity.MinIDLength >= shortest {
		return
	}
	i.logger.Warn("identity::min_id_length is lower than min_id_length of the amplitude exporter: "+
		"the exporter leaves out the ids in between, and an event whose user id is left out is sent under its device alone",
		zap.Int("identity::min_id_length", i.cfg.Identity.MinIDLength),
		zap.Int("min_id_length", shortest),
		zap.String("hint", "give both keys the minimum of the Amplitude project"))
}

// minutesPerMonth assumes a month of 30 days, as Amplitude's plans do.
const minutesPerMonth = 30 * 24 * 60

// logOutcomes logs which outcomes are sent, because they cost money, and warns about those that no exporter sends.
func (i *instance) logOutcomes() {
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
	if unsent := amplitude.NotExported(types); len(unsent) > 0 {
		i.logger.Warn("No amplitude exporter sends these outcomes; they are rejected there as not_allowed",
			zap.Strings("events", unsent), zap.String("hint", "add them to `events` of the exporter, in addition to its defaults"))
	}
}

// warnAboutLosses warns if the memory cannot know, or outlives, what becomes of the events.
func (m *memory) warnAboutLosses(log *zap.Logger) {
	switch exporters, losing := receipts.Exporters(); {
	case exporters == 0:
		log.Warn("No amplitude exporter runs in this Collector: events count as delivered once the next component accepts them, and the repeats of "+
			"an event lost after that are dropped for the rest of the day. If a gateway sends to Amplitude, de-duplicate there instead",
			zap.String("setting", "dedup: {enabled: false}"), zap.String("see", tiersLink))
	case losing > 0 && (m.cfg.StorageID != nil || m.cfg.Redis.HasValue()):
		log.Warn("The de-duplication state survives a crash but the queue is in memory: events lost from the queue in a crash are "+
			"sent again only when the same result is reported again. Keep the queue on disk, too",
			zap.String("setting", "sending_queue::storage of the amplitude exporter"), zap.String("see", survivesLink))
	}
}

const (
	tiersLink    = "https://github.com/otelcol-amplitude/otelcol-amplitude/blob/main/docs/deduplication.md#one-memory-for-each-processor"
	survivesLink = "https://github.com/otelcol-amplitude/otelcol-amplitude/blob/main/docs/deduplication.md#what-survives-what"
)
