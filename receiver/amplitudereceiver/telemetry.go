// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudereceiver // import "github.com/otelcol-amplitude/otelcol-amplitude/receiver/amplitudereceiver"

import (
	"context"
	"strconv"
	"time"

	"go.opentelemetry.io/collector/receiver"
	"go.opentelemetry.io/collector/receiver/receiverhelper"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.uber.org/zap"
	"golang.org/x/time/rate"

	"github.com/otelcol-amplitude/otelcol-amplitude/receiver/amplitudereceiver/internal/metadata"
	"github.com/otelcol-amplitude/otelcol-amplitude/receiver/amplitudereceiver/internal/upload"
)

// format and transport are the attributes of the core's receiver metrics.
const (
	format    = "amplitude"
	transport = "http"
)

// logEvery is the minimum time between two log lines of one kind.
const logEvery = time.Minute

// telemetry reports this receiver's metrics.
type telemetry struct {
	*metadata.TelemetryBuilder
	report   *receiverhelper.ObsReport
	log      *zap.Logger
	base     attribute.Set
	all      metric.MeasurementOption
	leftOut  [upload.NumLeftOut]metric.MeasurementOption
	refusals [upload.NumReasons]metric.MeasurementOption
	next     map[bool]metric.MeasurementOption // by whether it is permanent

	invalid, full rate.Sometimes
}

func newTelemetry(set receiver.Settings) (*telemetry, error) {
	builder, err := metadata.NewTelemetryBuilder(set.TelemetrySettings)
	if err != nil {
		return nil, err
	}
	report, err := receiverhelper.NewObsReport(receiverhelper.ObsReportSettings{ReceiverID: set.ID, Transport: transport, ReceiverCreateSettings: set})
	if err != nil {
		return nil, err
	}
	t := &telemetry{
		TelemetryBuilder: builder, report: report, log: set.Logger,
		base:    attribute.NewSet(attribute.String("receiver", set.ID.String())),
		invalid: rate.Sometimes{Interval: logEvery}, full: rate.Sometimes{Interval: logEvery},
	}
	t.all = metric.WithAttributeSet(t.base)
	for i, name := range upload.LeftOutNames {
		t.leftOut[i] = t.with(attribute.String("reason", name))
	}
	for i, name := range upload.ReasonNames {
		t.refusals[i] = t.with(attribute.String("reason", name))
	}
	t.next = map[bool]metric.MeasurementOption{
		false: t.with(attribute.String("reason", "next")), true: t.with(attribute.String("reason", "next_permanent")),
	}
	return t, nil
}

// with returns the option with more attributes in addition to the receiver's id.
func (t *telemetry) with(more ...attribute.KeyValue) metric.MeasurementOption {
	return metric.WithAttributeSet(attribute.NewSet(append(t.base.ToSlice(), more...)...))
}

func (t *telemetry) answered(ctx context.Context, e endpoint, status int) {
	t.ReceiverAmplitudeRequests.Add(ctx, 1, t.with(attribute.String("endpoint", endpointNames[e]), attribute.String("status", strconv.Itoa(status))))
}

// accepted counts observations about accepted events.
func (t *telemetry) accepted(ctx context.Context, counts *upload.Counts) {
	for why, n := range counts.LeftOut {
		if n > 0 {
			t.ReceiverAmplitudeLeftOutValues.Add(ctx, int64(n), t.leftOut[why])
		}
	}
	if counts.Unknown > 0 {
		t.ReceiverAmplitudeUnknownFields.Add(ctx, int64(counts.Unknown), t.all)
	}
}

// refused counts and logs what was wrong, without the sender's words. Unknown paths are not logged, because health
// checks request them.
func (t *telemetry) refused(ctx context.Context, r *upload.Refusal, size int) {
	t.ReceiverAmplitudeRefusals.Add(ctx, 1, t.refusals[r.Reason])
	if r.Reason == upload.ReasonInvalidPath {
		return
	}
	t.invalid.Do(func() {
		fields := make([]string, 0, len(r.Fields))
		for field := range r.Fields {
			if upload.IsMember(field) {
				fields = append(fields, field)
			}
		}
		t.log.Warn("Refused a request; its response says why. Logged at most once a minute: receiver_amplitude_refusals counts all",
			zap.String("reason", upload.ReasonNames[r.Reason]), zap.String("missing", r.MissingMember), zap.Strings("fields", fields),
			zap.Int("events", r.Events), zap.Int("bytes", size))
	})
}

// refusedByNext counts and logs the next component's answer.
func (t *telemetry) refusedByNext(ctx context.Context, err error, permanent bool) {
	t.ReceiverAmplitudeRefusals.Add(ctx, 1, t.next[permanent])
	t.full.Do(func() {
		if permanent {
			t.log.Error("The pipeline permanently refuses events, and clients drop them: look at the components after this receiver", zap.Error(err))
			return
		}
		t.log.Warn("The pipeline cannot accept events now; clients retry a limited number of times", zap.Error(err))
	})
}
