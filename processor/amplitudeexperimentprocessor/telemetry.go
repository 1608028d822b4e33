// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudeexperimentprocessor // import "github.com/otelcol-amplitude/otelcol-amplitude/processor/amplitudeexperimentprocessor"

import (
	"context"
	"time"

	"go.opentelemetry.io/collector/pipeline"
	"go.opentelemetry.io/collector/processor"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/otelcol-amplitude/otelcol-amplitude/processor/amplitudeexperimentprocessor/internal/metadata"
)

// counts is what happened in one batch.
type counts struct {
	outcomes     [numOutcomes]int
	skipped      [numSkipReasons]int
	rejected     [numRejectReasons]int
	flagsLeftOut [numRejectReasons]int
	ids          [numIDProblems]int
	// example holds a flag key of a rejected record per reason, for the explanation; skippedExample of a skipped one.
	example           [numRejectReasons]string
	skippedExample    [numSkipReasons]string
	nearMisses        [numNearMisses]int
	nearExample       [numNearMisses]nearExample
	extraEvents       int
	late              int
	propertiesLeftOut int
	// changed holds a label per change of variant.
	changed []string
}

func (c *counts) reset() {
	changed := reuse(c.changed)
	*c = counts{changed: changed}
}

// leaveOut counts a flag of an assignment that is not told, and returns the reason.
func (s *scratch) leaveOut(f *facts, reason rejectReason, flag string) rejectReason {
	s.counts.flagsLeftOut[reason]++
	s.counts.example[reason] = flag
	f.trace.flagLeftOut(reason, flag)
	return reason
}

// telemetry reports the processor's metrics, all labelled with the component's id.
type telemetry struct {
	builder *metadata.TelemetryBuilder

	all      metric.MeasurementOption
	standard metric.MeasurementOption

	outcomes     [numOutcomes]metric.MeasurementOption
	skipped      [numSkipReasons]metric.MeasurementOption
	rejected     [numRejectReasons]metric.MeasurementOption
	flagsLeftOut [numRejectReasons]metric.MeasurementOption
	ids          [numIDProblems]metric.MeasurementOption
	nearMisses   [numNearMisses]metric.MeasurementOption
}

// Label names; those of the metadata's attributes with a name_override share "reason".
const (
	labelProcessor = "processor"
	labelSignal    = "otel.signal"
	labelOutcome   = "outcome"
	labelReason    = "reason"
	labelFlag      = "flag"
)

func newTelemetry(settings processor.Settings) (*telemetry, error) {
	builder, err := metadata.NewTelemetryBuilder(settings.TelemetrySettings)
	if err != nil {
		return nil, err
	}
	id := attribute.String(labelProcessor, settings.ID.String())
	t := &telemetry{
		builder:  builder,
		all:      labels(id),
		standard: labels(id, attribute.String(labelSignal, pipeline.SignalLogs.String())),
	}
	for i, name := range outcomeNames {
		t.outcomes[i] = labels(id, attribute.String(labelOutcome, name))
	}
	for i, name := range skipNames {
		t.skipped[i] = labels(id, attribute.String(labelReason, name))
	}
	for i, name := range rejectNames {
		t.rejected[i] = labels(id, attribute.String(labelReason, name))
		t.flagsLeftOut[i] = t.rejected[i]
	}
	for i, name := range nearMissNames {
		t.nearMisses[i] = labels(id, attribute.String(labelReason, name))
	}
	for i := idEmpty; i < numIDProblems; i++ {
		t.ids[i] = t.rejected[rejectReasonOfID(i)]
	}
	return t, nil
}

func labels(kv ...attribute.KeyValue) metric.MeasurementOption {
	return metric.WithAttributeSet(attribute.NewSet(kv...))
}

// handOver reports a batch that is about to go on.
func (t *telemetry) handOver(ctx context.Context, incoming, outgoing int, took time.Duration) {
	t.builder.ProcessorInternalDuration.Record(ctx, took.Seconds(), t.standard)
	t.builder.ProcessorIncomingItems.Add(ctx, int64(incoming), t.standard)
	t.builder.ProcessorOutgoingItems.Add(ctx, int64(outgoing), t.standard)
}

// refused reports a batch that the next component refused: what was decided about its records does not
// count, since the sender still has them.
func (t *telemetry) refused(ctx context.Context, records int) {
	t.builder.ProcessorAmplitudeExperimentRecords.Add(ctx, int64(records), t.outcomes[outcomeRefused])
}

// done reports what became of a batch.
func (t *telemetry) done(ctx context.Context, c *counts) {
	addEach(ctx, t.builder.ProcessorAmplitudeExperimentRecords, c.outcomes[:], t.outcomes[:])
	addEach(ctx, t.builder.ProcessorAmplitudeExperimentSkipped, c.skipped[:], t.skipped[:])
	addEach(ctx, t.builder.ProcessorAmplitudeExperimentRejected, c.rejected[:], t.rejected[:])
	addEach(ctx, t.builder.ProcessorAmplitudeExperimentFlagsLeftOut, c.flagsLeftOut[:], t.flagsLeftOut[:])
	addEach(ctx, t.builder.ProcessorAmplitudeExperimentIdsIgnored, c.ids[:], t.ids[:])
	addEach(ctx, t.builder.ProcessorAmplitudeExperimentNearMisses, c.nearMisses[:], t.nearMisses[:])
	add(ctx, t.builder.ProcessorAmplitudeExperimentExtraEvents, c.extraEvents, t.all)
	add(ctx, t.builder.ProcessorAmplitudeExperimentLate, c.late, t.all)
	add(ctx, t.builder.ProcessorAmplitudeExperimentPropertiesLeftOut, c.propertiesLeftOut, t.all)
	for _, flag := range c.changed {
		t.builder.ProcessorAmplitudeExperimentVariantChanges.Add(ctx, 1, t.all, metric.WithAttributes(attribute.String(labelFlag, flag)))
	}
}

func addEach(ctx context.Context, counter metric.Int64Counter, n []int, options []metric.MeasurementOption) {
	for i := range n {
		add(ctx, counter, n[i], options[i])
	}
}

func add(ctx context.Context, counter metric.Int64Counter, n int, option metric.MeasurementOption) {
	if n > 0 {
		counter.Add(ctx, int64(n), option)
	}
}

// flags reports the number of distinct flags.
func (t *telemetry) flags(n int) {
	t.builder.ProcessorAmplitudeExperimentFlags.Record(context.Background(), int64(n), t.all)
}
