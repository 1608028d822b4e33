// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package featureflageventsconnector // import "github.com/otelcol-amplitude/otelcol-amplitude/connector/featureflageventsconnector"

import (
	"context"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// flagConnector hands on the evaluations that it finds in traces. It has no state and no goroutines.
type flagConnector struct {
	component.StartFunc
	component.ShutdownFunc
	finder    *finder
	telemetry *telemetry
	next      consumer.Logs
}

// Capabilities implements [consumer.Traces]: the traces belong to their own pipeline and are not modified.
func (*flagConnector) Capabilities() consumer.Capabilities {
	return consumer.Capabilities{MutatesData: false}
}

// ConsumeTraces implements [consumer.Traces]. Without an evaluation in traces, the next component is not called.
func (c *flagConnector) ConsumeTraces(ctx context.Context, traces ptrace.Traces) error {
	var at place
	if err := c.finder.find(ctx, traces, &at); err != nil {
		return err // nobody waits for the answer: the sender hung up or timed out
	}
	var err error
	if at.found.records() > 0 {
		err = c.next.ConsumeLogs(ctx, at.found.logs)
	}
	c.telemetry.done(ctx, &at.found, err)
	return err
}
