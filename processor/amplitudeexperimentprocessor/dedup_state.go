// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudeexperimentprocessor // import "github.com/otelcol-amplitude/otelcol-amplitude/processor/amplitudeexperimentprocessor"

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/processor"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/otelcol-amplitude/otelcol-amplitude/processor/amplitudeexperimentprocessor/internal/dedup"
	"github.com/otelcol-amplitude/otelcol-amplitude/processor/amplitudeexperimentprocessor/internal/metadata"
)

// dedupStates holds the state of each configuration: a processor that stands in two pipelines is two
// instances with one configuration, and what one of them sent is a repeat for the other.
type dedupStates struct {
	mu     sync.Mutex
	states map[*DedupConfig]*dedupState
}

// dedupState is a state with its metrics and the number of instances between Start and Shutdown.
type dedupState struct {
	*dedup.State
	telemetry *metadata.TelemetryBuilder
	component attribute.KeyValue
	users     int
}

// deduplicator is the de-duplication of one instance of the processor.
type deduplicator struct {
	*bucketer
	states  *dedupStates
	cfg     *DedupConfig
	shared  *dedupState // nil if de-duplication is not enabled
	started bool
}

// deduplicator returns the de-duplication of a further instance with this configuration.
func (s *dedupStates) deduplicator(cfg *DedupConfig, set processor.Settings, now func() time.Time) (*deduplicator, error) {
	buckets, err := newBucketer(cfg.Window, cfg.TimeZone)
	if err != nil {
		return nil, err
	}
	d := &deduplicator{bucketer: buckets, states: s, cfg: cfg}
	if !cfg.Enabled {
		return d, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if d.shared = s.states[cfg]; d.shared == nil {
		if d.shared, err = newDedupState(cfg, set, now); err != nil {
			return nil, err
		}
		if s.states == nil {
			s.states = make(map[*DedupConfig]*dedupState)
		}
		s.states[cfg] = d.shared
	}
	return d, nil
}

func newDedupState(cfg *DedupConfig, set processor.Settings, now func() time.Time) (*dedupState, error) {
	settings := cfg.settings(set)
	settings.Clock = now
	if cfg.Redis.HasValue() {
		var err error
		if settings.Redis, err = cfg.Redis.Get().settings(); err != nil {
			return nil, fmt.Errorf("dedup::redis: %w", err)
		}
	}
	state, err := dedup.New(settings)
	if err != nil {
		return nil, err
	}
	telemetry, err := metadata.NewTelemetryBuilder(set.TelemetrySettings)
	if err != nil {
		return nil, err
	}
	return &dedupState{State: state, telemetry: telemetry, component: attribute.String("processor", set.ID.String())}, nil
}

// settings translates the section for the state, all but Redis.
func (cfg *DedupConfig) settings(set processor.Settings) dedup.Settings {
	settings := dedup.Settings{
		MaxEntries: cfg.MaxEntries,
		Owner:      set.ID,
		Storage:    cfg.StorageID,
		Scope:      cfg.Window + " " + cfg.TimeZone,
		Logger:     set.Logger,
	}
	if cfg.Mode == dedupModeUniquePerDay {
		settings.Mode = dedup.UniquePerDay
	}
	return settings
}

// settings translates the section for the state.
func (cfg *RedisConfig) settings() (*dedup.RedisSettings, error) {
	options := redis.UniversalOptions{
		Addrs:            cfg.addresses(),
		IsClusterMode:    cfg.isCluster(),
		MasterName:       cfg.MasterName,
		SentinelUsername: cfg.SentinelUsername,
		SentinelPassword: string(cfg.SentinelPassword),
		Username:         cfg.Username,
		Password:         string(cfg.Password),
		DB:               cfg.DB,
	}
	if cfg.TLS.HasValue() {
		var err error
		if options.TLSConfig, err = cfg.TLS.Get().LoadTLSConfig(context.Background()); err != nil {
			return nil, fmt.Errorf("tls: %w", err)
		}
	}
	return &dedup.RedisSettings{Options: options, KeyPrefix: cfg.KeyPrefix, Timeout: cfg.Timeout}, nil
}

// Start reads back what was kept; the first instance with this configuration does the work.
func (d *deduplicator) Start(ctx context.Context, host component.Host) error {
	if d.shared == nil || d.started {
		return nil
	}
	d.states.mu.Lock()
	defer d.states.mu.Unlock()
	if err := d.shared.Start(ctx, host); err != nil {
		return err
	}
	d.started = true
	d.shared.users++
	if d.shared.users > 1 {
		return nil
	}
	return d.shared.observe()
}

// Shutdown writes what is to be kept; the last instance with this configuration does the work.
// Without Start, and once more afterwards, it does nothing.
func (d *deduplicator) Shutdown(ctx context.Context) error {
	if !d.started {
		return nil
	}
	d.started = false
	d.states.mu.Lock()
	defer d.states.mu.Unlock()
	d.shared.users--
	if d.shared.users == 0 {
		delete(d.states.states, d.cfg)
		d.shared.telemetry.Shutdown()
	}
	return d.shared.Shutdown(ctx)
}

// reserve decides about a batch; see [dedup.State.Reserve]. If de-duplication is not enabled
// everything is sent, and there is no reservation: ending it does nothing.
func (d *deduplicator) reserve(ctx context.Context, records []dedup.Record, verdicts []dedup.Verdict) *dedup.Reservation {
	if d.shared == nil {
		clear(verdicts[:len(records)])
		return nil
	}
	return d.shared.Reserve(ctx, records, verdicts)
}

// observe publishes the counts of the state, once however many instances share it.
func (s *dedupState) observe() error {
	labels := metric.WithAttributeSet(attribute.NewSet(s.component))
	reason := func(name string) metric.MeasurementOption {
		return metric.WithAttributeSet(attribute.NewSet(s.component, attribute.String("reason", name)))
	}
	maxEntries, age := reason("max_entries"), reason("age")
	register := func(
		register func(metric.Int64Callback) error, read func(dedup.Stats, metric.Int64Observer),
	) error {
		return register(func(_ context.Context, observer metric.Int64Observer) error {
			read(s.Stats(), observer)
			return nil
		})
	}
	return errors.Join(
		register(s.telemetry.RegisterProcessorAmplitudeExperimentDedupEntriesCallback, func(stats dedup.Stats, o metric.Int64Observer) {
			o.Observe(stats.Entries, labels)
		}),
		register(s.telemetry.RegisterProcessorAmplitudeExperimentDedupEvictionsCallback, func(stats dedup.Stats, o metric.Int64Observer) {
			o.Observe(stats.Evicted, maxEntries)
			o.Observe(stats.Expired, age)
		}),
		register(s.telemetry.RegisterProcessorAmplitudeExperimentDedupRedisBypassedCallback, func(stats dedup.Stats, o metric.Int64Observer) {
			o.Observe(stats.RedisBypassed, labels)
		}),
		register(s.telemetry.RegisterProcessorAmplitudeExperimentDedupRedisFailuresCallback, func(stats dedup.Stats, o metric.Int64Observer) {
			o.Observe(stats.RedisFailures, labels)
		}),
		register(s.telemetry.RegisterProcessorAmplitudeExperimentDedupStorageFailuresCallback, func(stats dedup.Stats, o metric.Int64Observer) {
			o.Observe(stats.StorageFailures, labels)
		}),
	)
}
