// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package featureflageventsconnector // import "github.com/otelcol-amplitude/otelcol-amplitude/connector/featureflageventsconnector"

import (
	"context"

	"go.opentelemetry.io/collector/connector"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/otelcol-amplitude/otelcol-amplitude/connector/featureflageventsconnector/internal/metadata"
)

// labelConnector identifies the instance of the connector.
const labelConnector = "connector"

// telemetry reports what was found, with reusable attribute sets.
type telemetry struct {
	builder  *metadata.TelemetryBuilder
	all      []metric.AddOption
	accepted [numSources][]metric.AddOption
	refused  [numSources][]metric.AddOption
	skipped  [numSkipReasons][]metric.AddOption
	leftOut  [numCopyLimits][]metric.AddOption
}

func newTelemetry(set connector.Settings) (*telemetry, error) {
	builder, err := metadata.NewTelemetryBuilder(set.TelemetrySettings)
	if err != nil {
		return nil, err
	}
	labels := func(more ...attribute.KeyValue) []metric.AddOption {
		more = append(more, attribute.String(labelConnector, set.ID.String()))
		return []metric.AddOption{metric.WithAttributeSet(attribute.NewSet(more...))}
	}
	t := &telemetry{builder: builder, all: labels()}
	for of, name := range [numSources]string{sourceSpanEvent: "span_event", sourceSpan: "span"} {
		by := func(outcome string) []metric.AddOption {
			return labels(attribute.String("source", name), attribute.String("outcome", outcome))
		}
		t.accepted[of], t.refused[of] = by("accepted"), by("refused")
	}
	for reason, name := range [numSkipReasons]string{skipIfTrue: "skip_if_true", skipNotInExperiment: "not_in_experiment"} {
		t.skipped[reason] = labels(attribute.String("reason", name))
	}
	for limit, name := range [numCopyLimits]string{limitNotScalar: "not_scalar", limitLong: "long", limitBudget: "max_copied"} {
		t.leftOut[limit] = labels(attribute.String("reason", name))
	}
	return t, nil
}

// done reports one batch of traces. err is the next component's answer to the records.
func (t *telemetry) done(ctx context.Context, found *findings, err error) {
	add(ctx, t.builder.ConnectorFeatureFlagEventsSpans, found.spans, t.all)
	outcome := &t.accepted
	if err != nil {
		outcome = &t.refused
	}
	for of := range found.bySource {
		add(ctx, t.builder.ConnectorFeatureFlagEventsRecords, found.bySource[of], outcome[of])
	}
	for reason := range found.skipped {
		add(ctx, t.builder.ConnectorFeatureFlagEventsSkipped, found.skipped[reason], t.skipped[reason])
	}
	for limit := range found.leftOut {
		add(ctx, t.builder.ConnectorFeatureFlagEventsAttributesLeftOut, found.leftOut[limit], t.leftOut[limit])
	}
	add(ctx, t.builder.ConnectorFeatureFlagEventsContextsWithoutUser, found.withoutUser, t.all)
}

func add(ctx context.Context, counter metric.Int64Counter, n int, labels []metric.AddOption) {
	if n > 0 {
		counter.Add(ctx, int64(n), labels...)
	}
}
