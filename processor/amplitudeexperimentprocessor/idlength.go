// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudeexperimentprocessor // import "github.com/otelcol-amplitude/otelcol-amplitude/processor/amplitudeexperimentprocessor"

import (
	"go.uber.org/zap"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/amplitude"
)

// compareIDLength warns if every amplitude exporter in this Collector leaves out ids that this processor accepts: an
// event with a short user id would be sent under its device alone. If there are several exporters, the processor
// cannot tell which of them is behind it; one that leaves out more than the others logs it at the first such id.
func (i *instance) compareIDLength() {
	shortest, ok := amplitude.ShortestExportedID()
	if !ok || i.cfg.Identity.MinIDLength >= shortest {
		return
	}
	i.telemetry.logger.Warn("identity::min_id_length is lower than min_id_length of the amplitude exporter: "+
		"the exporter leaves out the ids in between, and an event whose user id is left out is sent under its device alone",
		zap.Int("identity::min_id_length", i.cfg.Identity.MinIDLength),
		zap.Int("min_id_length", shortest),
		zap.String("hint", "give both keys the minimum of the Amplitude project"))
}
