// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/connector"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/otelcol-amplitude/otelcol-amplitude/connector/featureflageventsconnector"
)

// spanReader makes log records from spans with the connector feature_flag_events.
type spanReader struct {
	connector connector.Traces
	records   plog.Logs
}

func newSpanReader(ctx context.Context, cfg *featureflageventsconnector.Config) (*spanReader, error) {
	r := &spanReader{}
	keep, err := consumer.NewLogs(func(_ context.Context, ld plog.Logs) error {
		r.records = ld
		return nil
	})
	if err != nil {
		return nil, err
	}
	factory := featureflageventsconnector.NewFactory()
	r.connector, err = factory.CreateTracesToLogs(ctx, connector.Settings{ID: component.NewID(factory.Type()), TelemetrySettings: silent()}, cfg, keep)
	return r, err
}

// read returns the records of the spans of a request, which may be none.
func (r *spanReader) read(ctx context.Context, spans ptrace.Traces) (plog.Logs, error) {
	r.records = plog.NewLogs()
	err := r.connector.ConsumeTraces(ctx, spans)
	return r.records, err
}
