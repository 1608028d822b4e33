// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/config/configoptional"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/processor"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
	tracenoop "go.opentelemetry.io/otel/trace/noop"
	"go.uber.org/zap"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/experiment/explain"
	"github.com/otelcol-amplitude/otelcol-amplitude/processor/amplitudeexperimentprocessor"
)

// explainer is a processor that explains its decisions. It is isolated: it remembers only what it was given, in memory,
// and its output goes nowhere.
type explainer struct {
	processor processor.Logs
	recorder  *explain.Recorder
}

// newExplainer makes an explainer with a valid configuration. now returns the arrival time; nil means the clock.
func newExplainer(ctx context.Context, cfg amplitudeexperimentprocessor.Config, now func() time.Time) (*explainer, error) {
	if now == nil {
		now = time.Now
	}
	cfg.Dedup.StorageID = nil
	cfg.Dedup.Redis = configoptional.None[amplitudeexperimentprocessor.RedisConfig]()
	factory := amplitudeexperimentprocessor.NewFactoryWithOptions(
		amplitudeexperimentprocessor.WithClock(now),
		amplitudeexperimentprocessor.WithRandom(func() uint64 { return 0 }), // make explanations reproducible
	)
	nowhere, err := consumer.NewLogs(func(context.Context, plog.Logs) error { return nil })
	if err != nil {
		return nil, err
	}
	p, err := factory.CreateLogs(ctx, processor.Settings{
		ID:                component.NewID(factory.Type()),
		TelemetrySettings: silent(),
	}, &cfg, nowhere)
	if err != nil {
		return nil, err
	}
	return &explainer{processor: p, recorder: &explain.Recorder{History: explain.NewHistory()}}, p.Start(ctx, noHost{})
}

// silent returns telemetry settings that discard everything.
func silent() component.TelemetrySettings {
	return component.TelemetrySettings{
		Logger:         zap.NewNop(),
		MeterProvider:  metricnoop.NewMeterProvider(),
		TracerProvider: tracenoop.NewTracerProvider(),
		Resource:       pcommon.NewResource(),
	}
}

// explain returns an explanation for each record of a batch, in order. The batch is rewritten.
func (e *explainer) explain(ctx context.Context, ld plog.Logs) ([]*explain.Explanation, error) {
	err := e.processor.ConsumeLogs(explain.NewContext(ctx, e.recorder), ld)
	return e.recorder.Take(), err
}

func (e *explainer) shutdown(ctx context.Context) error { return e.processor.Shutdown(ctx) }

// noHost is a Collector without extensions.
type noHost struct{}

func (noHost) GetExtensions() map[component.ID]component.Component { return nil }
