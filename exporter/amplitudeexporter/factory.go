// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudeexporter // import "github.com/otelcol-amplitude/otelcol-amplitude/exporter/amplitudeexporter"

import (
	"context"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/featuregate"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/otelcol-amplitude/otelcol-amplitude/exporter/amplitudeexporter/internal/event"
	"github.com/otelcol-amplitude/otelcol-amplitude/exporter/amplitudeexporter/internal/metadata"
	"github.com/otelcol-amplitude/otelcol-amplitude/exporter/amplitudeexporter/internal/orderedqueue"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/pooling"
)

// NewFactory returns the factory of the exporter amplitude, for logs.
func NewFactory() exporter.Factory {
	return newFactory(systemClock{})
}

func newFactory(c clock) exporter.Factory {
	return exporter.NewFactory(
		metadata.Type,
		createDefaultConfig,
		exporter.WithLogs(func(ctx context.Context, set exporter.Settings, cfg component.Config) (exporter.Logs, error) {
			return createLogs(ctx, set, cfg.(*Config), c)
		}, metadata.LogsStability),
	)
}

func createLogs(ctx context.Context, set exporter.Settings, cfg *Config, c clock) (exporter.Logs, error) {
	if err := pooling.Refuse(featuregate.GlobalRegistry()); err != nil {
		return nil, err
	}
	// A refused key and an outage are logged as errors, also by exporterhelper; their stack traces would not help.
	set.Logger = set.Logger.WithOptions(zap.AddStacktrace(zapcore.DPanicLevel))
	x, err := newExporter(cfg, set, c)
	if err != nil {
		return nil, err
	}
	logs, err := orderedqueue.NewLogs(ctx, set, orderedqueue.Settings{
		Queue:      cfg.QueueConfig,
		Retry:      cfg.RetryConfig,
		Encode:     x.encode,
		Lend:       x.lend,
		Deliver:    x.push,
		Start:      x.start,
		Shutdown:   x.shutdown,
		TooLarge:   x.tooLarge,
		Claim:      x.claim,
		Received:   x.tel.received,
		TooDeep:    func(ctx context.Context, values int) { x.tel.losses(ctx, &event.Losses{event.LossTooDeep: values}) },
		Unreadable: func(err error, size int) { x.unreadable(storeQueue, err, zap.Int("bytes", size)) },
		MaxWait:    cfg.MaxQueueWait,
		Now:        c.Now,
		Oldest:     x.oldest.Store,
		Cut:        x.cut, ShutdownTimeout: cfg.ShutdownTimeout,
		Log: x.log,
	})
	if err != nil {
		return nil, err
	}
	return &lookedAt{Logs: logs, log: set.Logger}, nil
}
