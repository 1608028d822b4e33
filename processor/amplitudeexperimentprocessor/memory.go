// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudeexperimentprocessor // import "github.com/otelcol-amplitude/otelcol-amplitude/processor/amplitudeexperimentprocessor"

import (
	"context"
	"fmt"
	"sync/atomic"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/processor"
	"go.uber.org/zap"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/experiment"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/experiment/explain"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/freelist"
	"github.com/otelcol-amplitude/otelcol-amplitude/processor/amplitudeexperimentprocessor/internal/dedup"
)

// memory decides about events by what Amplitude holds. Without de-duplication every event is sent.
type memory struct {
	cfg    *DedupConfig
	ledger *dedup.Ledger // nil if de-duplication is not enabled
	idle   freelist.List[*reservation]

	// source and identifies make each $identify unique.
	source     uint64
	identifies atomic.Uint64
}

func newMemory(cfg *DedupConfig, set processor.Settings, f *factory) (*memory, error) {
	m := &memory{
		cfg: cfg, source: f.random(), idle: freelist.New[*reservation](freelist.Calls()),
	}
	if !cfg.Enabled {
		return m, nil
	}
	settings := cfg.settings(set)
	settings.Clock = f.now
	if cfg.Redis.HasValue() {
		var err error
		if settings.Redis, err = cfg.Redis.Get().settings(); err != nil {
			return nil, fmt.Errorf("dedup::redis: %w", err)
		}
	}
	var err error
	m.ledger, err = dedup.New(settings)
	return m, err
}

func (m *memory) start(ctx context.Context, host component.Host, log *zap.Logger) error {
	if m.ledger == nil {
		return nil
	}
	m.warnAboutLosses(log)
	return m.ledger.Start(ctx, host)
}

func (m *memory) shutdown(ctx context.Context) error {
	if m.ledger == nil {
		return nil
	}
	return m.ledger.Shutdown(ctx)
}

// reserve decides about each event of a batch; see [dedup.Ledger.Reserve]. The recorder may be nil. watched asks for
// the details of repeats.
func (m *memory) reserve(ctx context.Context, events []experiment.Event, recorder *explain.Recorder, watched bool) *reservation {
	var r *reservation
	if m.ledger != nil {
		var ok bool
		if r, ok = m.idle.Get(); !ok {
			r = &reservation{memory: m}
		}
		r.decide(ctx, events, watched)
	}
	if recorder != nil {
		for i := range events {
			m.explain(&events[i], recorder.History)
		}
	}
	return r
}
