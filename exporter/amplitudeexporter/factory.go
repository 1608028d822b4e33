// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudeexporter // import "github.com/otelcol-amplitude/otelcol-amplitude/exporter/amplitudeexporter"

import (
	"context"
	"sync"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/exporter/exporterhelper"
	"go.opentelemetry.io/collector/exporter/exporterhelper/xexporterhelper"
	"go.opentelemetry.io/collector/featuregate"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/otelcol-amplitude/otelcol-amplitude/exporter/amplitudeexporter/internal/metadata"
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
	// A refused key and an outage are logged as errors, by exporterhelper too; where in the code that was helps nobody.
	set.Logger = set.Logger.WithOptions(zap.AddStacktrace(zapcore.DPanicLevel))
	x, err := newExporter(cfg, set, c)
	if err != nil {
		return nil, err
	}
	convert := func(_ context.Context, logs plog.Logs) (xexporterhelper.Request, error) {
		return newQueueRequest(logs, x.order), nil
	}
	consume := func(ctx context.Context, r xexporterhelper.Request) error {
		return x.order.deliver(ctx, r.(*queueRequest), x.push)
	}
	helper, err := xexporterhelper.NewLogsRequest(ctx, set, convert, consume,
		exporterhelper.WithStart(func(ctx context.Context, host component.Host) error {
			if wrapped, ok := host.(*queueHost); ok {
				host = wrapped.Host
			}
			x.keepQueueOrder(ctx, host)
			return x.start(ctx, host)
		}),
		exporterhelper.WithShutdown(x.shutdown),
		exporterhelper.WithCapabilities(consumer.Capabilities{MutatesData: false}),
		// The HTTP client has its own timeout, for each request.
		exporterhelper.WithTimeout(exporterhelper.TimeoutConfig{Timeout: 0}),
		exporterhelper.WithRetry(cfg.RetryConfig),
		xexporterhelper.WithQueueBatch(cfg.QueueConfig, x.queueSettings()),
	)
	if err != nil {
		return nil, err
	}
	return &counting{Logs: helper, x: x}, nil
}

// counting is the exporter with its queue. It counts what the exporter took on, the left side of the
// law that its metrics obey.
type counting struct {
	exporter.Logs
	x *amplitudeExporter

	stop    sync.Once
	stopped error
}

// Start starts the exporter and its queue, whose storage may become full.
func (c *counting) Start(ctx context.Context, host component.Host) error {
	if queue := c.x.cfg.QueueConfig.Get(); queue != nil && queue.StorageID != nil {
		host = &queueHost{Host: host, storageID: *queue.StorageID, log: c.x.log}
	}
	return c.Logs.Start(ctx, host)
}

// Shutdown may be called twice, which the retries of exporterhelper do not bear.
func (c *counting) Shutdown(ctx context.Context) error {
	c.stop.Do(func() { c.stopped = c.Logs.Shutdown(ctx) })
	return c.stopped
}

// ConsumeLogs hands the logs to the queue and counts them if it took them.
func (c *counting) ConsumeLogs(ctx context.Context, logs plog.Logs) error {
	n := logs.LogRecordCount()
	if err := c.Logs.ConsumeLogs(ctx, logs); err != nil {
		return err
	}
	c.x.tel.received(ctx, n)
	return nil
}
