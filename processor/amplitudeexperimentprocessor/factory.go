// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudeexperimentprocessor // import "github.com/otelcol-amplitude/otelcol-amplitude/processor/amplitudeexperimentprocessor"

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"sync"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/featuregate"
	"go.opentelemetry.io/collector/processor"
	"go.uber.org/zap"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/experiment"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/pooling"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/tap"
	"github.com/otelcol-amplitude/otelcol-amplitude/processor/amplitudeexperimentprocessor/internal/metadata"
)

// factory keeps one instance per configuration, so that a processor used in several pipelines has one memory of what
// was sent.
type factory struct {
	now    func() time.Time
	random func() uint64

	mu        sync.Mutex
	instances map[component.Config]*instance
	memories  map[string]*namedMemory // by dedup.memory
}

// namedMemory is a memory that several processors share.
type namedMemory struct {
	*memory
	owner component.ID
	users int
}

// FactoryOption changes how a factory makes its processors.
type FactoryOption func(*factory)

// WithClock sets the clock that gives the arrival time of records, instead of [time.Now].
func WithClock(now func() time.Time) FactoryOption {
	return func(f *factory) { f.now = now }
}

// WithRandom sets the source of the numbers that make the $identify events of one memory unique, instead of
// [rand.Uint64].
func WithRandom(random func() uint64) FactoryOption {
	return func(f *factory) { f.random = random }
}

// NewFactory returns the factory of the amplitude_experiment processor.
func NewFactory() processor.Factory {
	return NewFactoryWithOptions()
}

// NewFactoryWithOptions returns the factory with options that have no configuration key.
func NewFactoryWithOptions(options ...FactoryOption) processor.Factory {
	f := &factory{now: time.Now, random: rand.Uint64, instances: map[component.Config]*instance{}, memories: map[string]*namedMemory{}}
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
		memory, err := f.memory(&cfg.(*Config).Dedup, set)
		if err != nil {
			return nil, err
		}
		created, err := newInstance(cfg.(*Config), set, memory, f.now)
		if err != nil {
			return nil, err
		}
		shared = created
		f.instances[cfg] = shared
	}
	shared.pipelines++
	return &replays{Logs: &experimentProcessor{instance: shared, factory: f, next: next}, acceptShaped: cfg.(*Config).AcceptShaped}, nil
}

// memory returns the memory of a processor: its own, or the one with the configured name.
func (f *factory) memory(cfg *DedupConfig, set processor.Settings) (*memory, error) {
	if !cfg.Enabled || cfg.Memory == "" {
		return newMemory(cfg, set, f)
	}
	named, ok := f.memories[cfg.Memory]
	if !ok {
		owned := set
		owned.ID = component.NewIDWithName(metadata.Type, "memory_"+cfg.Memory)
		created, err := newMemory(cfg, owned, f)
		if err != nil {
			return nil, err
		}
		named = &namedMemory{memory: created, owner: set.ID}
		f.memories[cfg.Memory] = named
	} else if !reflect.DeepEqual(named.cfg, cfg) {
		return nil, fmt.Errorf("the processors %q and %q share the memory %q (dedup.memory), but their `dedup` sections differ: make them equal",
			named.owner, set.ID, cfg.Memory)
	}
	named.users++
	return named.memory, nil
}

// instance is shared by all pipelines of one configured processor. It starts with the first of them and ends with the
// last.
type instance struct {
	id        component.ID
	name      string // of id, for tap clients
	cfg       *Config
	mapper    *experiment.Mapper
	memory    *memory
	diagnosis *diagnosis // nil if nothing is counted
	telemetry *telemetry
	reasons   *reasonLog
	now       func() time.Time
	logger    *zap.Logger

	// Guarded by the factory: the pipelines that have not shut down, and whether any has started.
	pipelines int
	started   bool
}

func newInstance(cfg *Config, set processor.Settings, memory *memory, now func() time.Time) (*instance, error) {
	telemetry, err := newTelemetry(set)
	if err != nil {
		return nil, err
	}
	settings, err := cfg.mapping(telemetry.flags)
	if err != nil {
		return nil, err
	}
	diagnosis, err := newDiagnosis(cfg, set, now)
	if err != nil {
		return nil, err
	}
	return &instance{
		id: set.ID, name: set.ID.String(),
		cfg: cfg, mapper: experiment.New(settings), memory: memory, diagnosis: diagnosis, telemetry: telemetry,
		reasons: newReasonLog(set.Logger, now), now: now, logger: set.Logger,
	}, nil
}

// start loads the remembered state, if it is kept anywhere; the first pipeline does it for all of them.
func (f *factory) start(ctx context.Context, host component.Host, shared *instance) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if cfg := &shared.cfg.Dedup; cfg.Enabled && cfg.Memory == "" && shared.pipelines > 1 {
		return fmt.Errorf("the processor %q is used in %d pipelines, and what one of them sends would be a repeat for the others: give each "+
			"pipeline its own processor (such as %q), with the same `dedup.memory` if they feed the same Amplitude project",
			shared.id, shared.pipelines, component.NewIDWithName(metadata.Type, "2"))
	}
	if shared.started {
		return nil
	}
	shared.logStartup()
	if err := shared.memory.start(ctx, host, shared.logger); err != nil {
		return err
	}
	if err := shared.diagnosis.start(ctx, host); err != nil {
		return errors.Join(err, shared.memory.shutdown(ctx))
	}
	shared.started = true
	shared.telemetry.uncount = tap.Count(&shared.telemetry.counter)
	return errors.Join(shared.telemetry.observe(shared.memory), shared.telemetry.observeDiagnostics(shared.diagnosis))
}

// release ends an instance when the last of its pipelines has shut down, and writes its state.
func (f *factory) release(ctx context.Context, shared *instance) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if shared.pipelines--; shared.pipelines > 0 {
		return nil
	}
	delete(f.instances, shared.cfg)
	if named, ok := f.memories[shared.cfg.Dedup.Memory]; ok && named.memory == shared.memory {
		if named.users--; named.users == 0 {
			delete(f.memories, shared.cfg.Dedup.Memory)
		}
	}
	shared.telemetry.builder.Shutdown()
	if !shared.started {
		return nil
	}
	shared.telemetry.uncount()
	return errors.Join(shared.diagnosis.shutdown(ctx), shared.memory.shutdown(ctx))
}
