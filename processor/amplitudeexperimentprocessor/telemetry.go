// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudeexperimentprocessor // import "github.com/otelcol-amplitude/otelcol-amplitude/processor/amplitudeexperimentprocessor"

import (
	"context"
	"errors"
	"strconv"
	"time"

	"go.opentelemetry.io/collector/pipeline"
	"go.opentelemetry.io/collector/processor"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.uber.org/zap"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/amplitude"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/experiment"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/printable"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/tap"
	"github.com/otelcol-amplitude/otelcol-amplitude/processor/amplitudeexperimentprocessor/internal/dedup"
	"github.com/otelcol-amplitude/otelcol-amplitude/processor/amplitudeexperimentprocessor/internal/metadata"
)

// telemetry reports the processor's metrics, all labeled with the component's id.
type telemetry struct {
	builder *metadata.TelemetryBuilder
	logger  *zap.Logger
	id      attribute.KeyValue
	// counter counts the records for tap clients; uncount ends that.
	counter tap.Counter
	uncount func()

	all      metric.MeasurementOption
	standard metric.MeasurementOption

	outcomes     [experiment.NumOutcomes]metric.MeasurementOption
	skipped      [experiment.NumSkipReasons]metric.MeasurementOption
	refusedBatch metric.MeasurementOption
	// rejected covers the reasons of records, flags and ids.
	rejected   [experiment.NumRejectReasons]metric.MeasurementOption
	suspects   [experiment.NumIDSuspects]metric.MeasurementOption
	nearMisses [experiment.NumNearMisses]metric.MeasurementOption
	claims     [experiment.NumClaims]metric.MeasurementOption
}

// Attribute keys; metadata attributes with a name_override share "reason".
const (
	// outcomeRefused is the outcome of the records of a batch that the next component refused.
	outcomeRefused = tap.OutcomeRefused

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
		logger:   settings.Logger,
		id:       id,
		all:      labels(id),
		standard: labels(id, attribute.String(labelSignal, pipeline.SignalLogs.String())),
	}
	outcome := func(word string) metric.MeasurementOption { return labels(id, attribute.String(labelOutcome, word)) }
	reason := func(word string) metric.MeasurementOption { return labels(id, attribute.String(labelReason, word)) }
	for i := range experiment.NumOutcomes {
		t.outcomes[i] = outcome(i.String())
	}
	t.refusedBatch = outcome(outcomeRefused)
	for i := range experiment.NumSkipReasons {
		t.skipped[i] = reason(i.String())
	}
	for i := range experiment.NumIDSuspects {
		t.suspects[i] = reason(i.String())
	}
	for i := range experiment.NumNearMisses {
		t.nearMisses[i] = reason(i.String())
	}
	for i := range experiment.NumClaims {
		t.claims[i] = reason(i.String())
	}
	for i := range experiment.NumRejectReasons {
		t.rejected[i] = reason(i.String())
	}
	return t, nil
}

func labels(kv ...attribute.KeyValue) metric.MeasurementOption {
	return metric.WithAttributeSet(attribute.NewSet(kv...))
}

// handOver reports a batch that is about to be handed on.
func (t *telemetry) handOver(ctx context.Context, incoming, outgoing int, took time.Duration) {
	t.builder.ProcessorInternalDuration.Record(ctx, took.Seconds(), t.standard)
	t.builder.ProcessorIncomingItems.Add(ctx, int64(incoming), t.standard)
	t.builder.ProcessorOutgoingItems.Add(ctx, int64(outgoing), t.standard)
}

// refused reports a batch that the next component refused: the decisions about its records do not count, because the
// sender still has them.
func (t *telemetry) refused(ctx context.Context, records int) {
	t.builder.ProcessorAmplitudeExperimentRecords.Add(ctx, int64(records), t.refusedBatch)
	t.counter.Refused(records)
}

// done reports what became of a batch.
func (t *telemetry) done(ctx context.Context, c *experiment.Counts) {
	t.counter.Add(c)
	addEach(ctx, t.builder.ProcessorAmplitudeExperimentRecords, c.Outcomes[:], t.outcomes[:])
	addEach(ctx, t.builder.ProcessorAmplitudeExperimentSkipped, c.Skipped[:], t.skipped[:])
	addEach(ctx, t.builder.ProcessorAmplitudeExperimentRejected, c.Rejected[:], t.rejected[:])
	addEach(ctx, t.builder.ProcessorAmplitudeExperimentFlagsLeftOut, c.FlagsLeftOut[:], t.rejected[:])
	addEach(ctx, t.builder.ProcessorAmplitudeExperimentIdsIgnored, c.IDsIgnored[:], t.rejected[:])
	addEach(ctx, t.builder.ProcessorAmplitudeExperimentIdsSuspect, c.IDsSuspect[:], t.suspects[:])
	addEach(ctx, t.builder.ProcessorAmplitudeExperimentClaimsStripped, c.Claims.Count[:], t.claims[:])
	addEach(ctx, t.builder.ProcessorAmplitudeExperimentNearMisses, c.NearMisses.Count[:], t.nearMisses[:])
	add(ctx, t.builder.ProcessorAmplitudeExperimentEvaluationsWithoutReason, c.WithoutReason, t.all)
	add(ctx, t.builder.ProcessorAmplitudeExperimentExtraEvents, c.ExtraEvents, t.all)
	add(ctx, t.builder.ProcessorAmplitudeExperimentExtraRepeats, c.ExtraRepeats, t.all)
	add(ctx, t.builder.ProcessorAmplitudeExperimentIdentifies, c.Identifies, t.all)
	add(ctx, t.builder.ProcessorAmplitudeExperimentLate, c.Late, t.all)
	add(ctx, t.builder.ProcessorAmplitudeExperimentGroupsLeftOut, c.GroupsLeftOut, t.all)
	add(ctx, t.builder.ProcessorAmplitudeExperimentPropertiesLeftOut, c.PropertiesLeftOut, t.all)
	for _, flag := range c.Changed {
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

// The numbers of distinct flags that trigger a warning, and how many of them it names.
const (
	warnSoonFlags = amplitude.MaxExperimentProperties * 8 / 10
	warnFlags     = amplitude.MaxExperimentProperties

	unseenFlags = 20
	unseenFor   = 24 * time.Hour
)

// flags reports the number of distinct flags. A warning names the flags that may be ready to retire.
func (t *telemetry) flags(n int, unseen experiment.Unseen) {
	t.builder.ProcessorAmplitudeExperimentFlags.Record(context.Background(), int64(n), t.all)
	if n != warnSoonFlags && n != warnFlags {
		return
	}
	fields := []zap.Field{zap.Int("flags", n), zap.Int("limit", amplitude.MaxExperimentProperties)}
	var longest []string
	for _, flag := range unseen(unseenFlags, unseenFor) {
		longest = append(longest, printable.Text(flag.Flag)+" ("+strconv.Itoa(int(flag.Age/time.Hour))+"h)")
	}
	if longest != nil {
		fields = append(fields, zap.Strings("longest_unseen", longest))
	}
	t.logger.Warn("The number of distinct flags is close to or at the limit on experiment properties of an Amplitude project: "+
		"stop sending flags that are not experiments, retire those that are no longer reported, or set max_experiment_properties", fields...)
}

// observe publishes the counts of the memory.
func (t *telemetry) observe(m *memory) error {
	if m.ledger == nil {
		return nil
	}
	reason := func(name string) metric.MeasurementOption {
		return labels(t.id, attribute.String(labelReason, name))
	}
	maxEntries, age := reason("max_entries"), reason("age")
	register := func(
		register func(metric.Int64Callback) error, read func(dedup.Stats, metric.Int64Observer),
	) error {
		return register(func(_ context.Context, observer metric.Int64Observer) error {
			read(m.ledger.Stats(), observer)
			return nil
		})
	}
	return errors.Join(
		register(t.builder.RegisterProcessorAmplitudeExperimentDedupEntriesCallback, func(stats dedup.Stats, o metric.Int64Observer) {
			o.Observe(stats.Entries, t.all)
		}),
		register(t.builder.RegisterProcessorAmplitudeExperimentDedupEvictionsCallback, func(stats dedup.Stats, o metric.Int64Observer) {
			o.Observe(stats.Evicted, maxEntries)
			o.Observe(stats.Expired, age)
		}),
		register(t.builder.RegisterProcessorAmplitudeExperimentPropertyFlapsCallback, func(stats dedup.Stats, o metric.Int64Observer) {
			o.Observe(stats.Flaps, t.all)
		}),
		register(t.builder.RegisterProcessorAmplitudeExperimentDedupRedisBypassedCallback, func(stats dedup.Stats, o metric.Int64Observer) {
			o.Observe(stats.RedisBypassed, t.all)
		}),
		register(t.builder.RegisterProcessorAmplitudeExperimentDedupRedisFailuresCallback, func(stats dedup.Stats, o metric.Int64Observer) {
			o.Observe(stats.RedisFailures, t.all)
		}),
		register(t.builder.RegisterProcessorAmplitudeExperimentDedupStorageFailuresCallback, func(stats dedup.Stats, o metric.Int64Observer) {
			o.Observe(stats.StorageFailures, t.all)
		}),
	)
}
