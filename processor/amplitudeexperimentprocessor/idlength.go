// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudeexperimentprocessor // import "github.com/otelcol-amplitude/otelcol-amplitude/processor/amplitudeexperimentprocessor"

import (
	"go.uber.org/zap"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/amplitude"
)

// compareIDLength warns if every amplitude exporter of this Collector leaves out ids that this processor takes: the
// event of a short user id would go out under the device alone. Which of several exporters is behind this processor
// cannot be told here; if it is one that leaves out more than the others, it says so at the first id.
func (i *instance) compareIDLength() {
	shortest, ok := amplitude.ShortestExportedID()
	if !ok || i.cfg.Identity.MinIDLength >= shortest {
		return
	}
	i.telemetry.logger.Warn("identity::min_id_length is lower than min_id_length of the amplitude exporter: "+
		"the exporter leaves out the ids in between, and an event whose user id is left out goes out under its device alone",
		zap.Int("identity::min_id_length", i.cfg.Identity.MinIDLength),
		zap.Int("min_id_length", shortest),
		zap.String("hint", "give both keys the minimum of the Amplitude project"))
}
