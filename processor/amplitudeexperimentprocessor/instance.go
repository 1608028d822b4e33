// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudeexperimentprocessor // import "github.com/otelcol-amplitude/otelcol-amplitude/processor/amplitudeexperimentprocessor"

import (
	"sync"
	"time"

	"go.opentelemetry.io/collector/processor"
)

// instance is what all pipelines of one configured processor share.
type instance struct {
	cfg         *Config
	interpreter *interpreter
	shaper      *shaper
	telemetry   *telemetry
	explainer   *explainer
	scratch     *scratchPool
	now         func() time.Time
	// comparedIDLength is used up by the warning about the exporter's min_id_length.
	comparedIDLength sync.Once
	// users counts the pipelines; the factory guards it.
	users int
}

func newInstance(cfg *Config, set processor.Settings, now func() time.Time) (*instance, error) {
	telemetry, err := newTelemetry(set)
	if err != nil {
		return nil, err
	}
	i := &instance{cfg: cfg, telemetry: telemetry, now: now}
	i.interpreter = newInterpreter(cfg, newFlagRegistry(cfg, set.Logger, telemetry.flags))
	i.shaper = newShaper(cfg, i.interpreter.tables)
	i.explainer = newExplainer(set.Logger, now)
	i.scratch = newScratchPool(i.interpreter)
	return i, nil
}
