// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudeexporter // import "github.com/otelcol-amplitude/otelcol-amplitude/exporter/amplitudeexporter"

import (
	"context"
	"strconv"
	"sync"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/otelcol-amplitude/otelcol-amplitude/exporter/amplitudeexporter/internal/event"
	"github.com/otelcol-amplitude/otelcol-amplitude/exporter/amplitudeexporter/internal/metadata"
	"github.com/otelcol-amplitude/otelcol-amplitude/exporter/amplitudeexporter/internal/records"
)

// Values of the attribute outcome.
const (
	outcomeDelivered = iota
	outcomeDeadLettered
	outcomeDropped
	outcomeIgnored
	outcomeDryRun
	outcomeThrottled
	outcomeRetried
	outcomeCount
)

var outcomeNames = [outcomeCount]string{"delivered", "dead_lettered", "dropped", "ignored", "dry_run", "throttled", "retried"}

// Values of the attribute store.
const (
	storeQueue       = "sending_queue"
	storeSlowLane    = "slow_lane"
	storeDeadLetters = "dead_letters"
)

// telemetry reports this exporter's metrics, with reusable attribute sets.
type telemetry struct {
	*metadata.TelemetryBuilder
	base     attribute.Set
	all      metric.MeasurementOption
	outcomes [outcomeCount]metric.MeasurementOption
	reasons  [event.ReasonCount]metric.MeasurementOption
	lost     [event.LossCauses]metric.MeasurementOption

	mu       sync.Mutex
	statuses map[string]metric.MeasurementOption
}

func newTelemetry(set component.TelemetrySettings, id component.ID) (*telemetry, error) {
	builder, err := metadata.NewTelemetryBuilder(set)
	if err != nil {
		return nil, err
	}
	t := &telemetry{TelemetryBuilder: builder, statuses: map[string]metric.MeasurementOption{}}
	t.base = attribute.NewSet(attribute.String("exporter", id.String()))
	t.all = metric.WithAttributeSet(t.base)
	for i, name := range outcomeNames {
		t.outcomes[i] = t.with("outcome", name)
	}
	for i, name := range event.ReasonNames {
		t.reasons[i] = t.with("reason", name)
	}
	for i, name := range event.LossNames {
		t.lost[i] = t.with("cause", name)
	}
	return t, nil
}

// with returns an option with one attribute in addition to the exporter's id.
func (t *telemetry) with(key, value string) metric.MeasurementOption {
	return metric.WithAttributeSet(attribute.NewSet(append(t.base.ToSlice(), attribute.String(key, value))...))
}

func (t *telemetry) received(ctx context.Context, n int) {
	t.ExporterAmplitudeReceivedEvents.Add(ctx, int64(n), t.all)
}

func (t *telemetry) events(ctx context.Context, outcome, n int) {
	if n > 0 {
		t.ExporterAmplitudeEvents.Add(ctx, int64(n), t.outcomes[outcome])
	}
}

func (t *telemetry) billable(ctx context.Context, n int) {
	if n > 0 {
		t.ExporterAmplitudeBillableEvents.Add(ctx, int64(n), t.all)
	}
}

func (t *telemetry) undelivered(ctx context.Context, r event.Reason, n int) {
	t.ExporterAmplitudeUndeliveredEvents.Add(ctx, int64(n), t.reasons[r])
}

func (t *telemetry) losses(ctx context.Context, lost *event.Losses) {
	for cause, n := range lost {
		if n > 0 {
			t.ExporterAmplitudeDroppedValues.Add(ctx, int64(n), t.lost[cause])
		}
	}
}

func (t *telemetry) unexpected(ctx context.Context, kind string) {
	t.ExporterAmplitudeUnexpectedAnswers.Add(ctx, 1, t.with("kind", kind))
}

// late records how long ago answered events happened and arrived: for events that arrived together, only the oldest,
// because a measurement for each event would cost a tenth of its encoding and sending.
func (t *telemetry) late(now time.Time, b *batch, indexes []int32) {
	ctx := context.Background()
	for len(indexes) > 0 {
		arrived, oldest := b.events[indexes[0]].Arrived, pcommon.Timestamp(0)
		for len(indexes) > 0 && b.events[indexes[0]].Arrived == arrived {
			happened := b.events[indexes[0]].happened
			if happened != 0 && (oldest == 0 || happened < oldest) {
				oldest = happened
			}
			indexes = indexes[1:]
		}
		if oldest != 0 {
			t.ExporterAmplitudeEventLateness.Record(ctx, max(0, now.Sub(oldest.AsTime()).Seconds()), t.all)
		}
		if arrived != 0 {
			t.ExporterAmplitudeArrivalLateness.Record(ctx, max(0, now.Sub(records.ArrivedAt(arrived)).Seconds()), t.all)
		}
	}
}

// request counts one request and its result.
func (t *telemetry) request(ctx context.Context, res *response, events, size int, took time.Duration) {
	option := t.status(res.word())
	t.ExporterAmplitudeRequests.Add(ctx, 1, option)
	t.ExporterAmplitudeRequestDuration.Record(ctx, took.Seconds(), option)
	t.ExporterAmplitudeRequestSize.Record(ctx, int64(size), t.all)
	t.ExporterAmplitudeRequestEvents.Record(ctx, int64(events), t.all)
}

// word returns the answer as named in metrics.
func (r *response) word() string {
	switch {
	case r.keyRefused():
		return "invalid_api_key"
	case r.err != nil && isTimeout(r.err):
		return "timeout"
	case r.err != nil:
		return "network_error"
	default:
		return strconv.Itoa(r.status)
	}
}

func (t *telemetry) status(word string) metric.MeasurementOption {
	t.mu.Lock()
	defer t.mu.Unlock()
	option, known := t.statuses[word]
	if !known {
		option = t.with("status", word)
		t.statuses[word] = option
	}
	return option
}
