// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudeexperimentprocessor // import "github.com/otelcol-amplitude/otelcol-amplitude/processor/amplitudeexperimentprocessor"

import (
	"context"
	"sync"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/featuregate"
	"go.opentelemetry.io/collector/processor"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/pooling"
	"github.com/otelcol-amplitude/otelcol-amplitude/processor/amplitudeexperimentprocessor/internal/metadata"
)

// factory keeps one instance per configuration: a processor that is used in several pipelines
// remembers for all of them what was sent.
type factory struct {
	now func() time.Time

	mu        sync.Mutex
	instances map[component.Config]*instance
	states    dedupStates
}

// FactoryOption changes what the processors of a factory are made of.
type FactoryOption func(*factory)

// WithClock sets the clock that tells when records arrive, instead of [time.Now].
func WithClock(now func() time.Time) FactoryOption {
	return func(f *factory) { f.now = now }
}

// NewFactory returns the factory of the amplitude_experiment processor.
func NewFactory() processor.Factory {
	return NewFactoryWithOptions()
}

// NewFactoryWithOptions returns the factory with options that no configuration has.
func NewFactoryWithOptions(options ...FactoryOption) processor.Factory {
	f := &factory{now: time.Now, instances: map[component.Config]*instance{}}
	for _, option := range options {
		option(f)
	}
	return processor.NewFactory(
		metadata.Type,
		func() component.Config { return createDefaultConfig() },
		processor.WithLogs(f.createLogs, metadata.LogsStability),
	)
}

func (f *factory) createLogs(_ context.Context, set processor.Settings, cfg component.Config, next consumer.Logs) (processor.Logs, error) {
	if err := pooling.Refuse(featuregate.GlobalRegistry()); err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	shared, ok := f.instances[cfg]
	if !ok {
		created, err := newInstance(cfg.(*Config), set, f.now)
		if err != nil {
			return nil, err
		}
		shared = created
		f.instances[cfg] = shared
	}
	dedup, err := f.states.deduplicator(&shared.cfg.Dedup, set, f.now)
	if err != nil {
		return nil, err
	}
	shared.users++
	return &experimentProcessor{instance: shared, dedup: dedup, next: next, forget: func() { f.release(cfg, shared) }}, nil
}

// release forgets an instance when the last of its pipelines has shut down.
func (f *factory) release(cfg component.Config, shared *instance) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if shared.users--; shared.users == 0 {
		delete(f.instances, cfg)
		shared.telemetry.builder.Shutdown()
	}
}
