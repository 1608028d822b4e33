// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package featureflageventsconnector

import (
	"context"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/connector/connectortest"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/metric/metricdata/metricdatatest"

	"github.com/otelcol-amplitude/otelcol-amplitude/connector/featureflageventsconnector/internal/metadata"
	"github.com/otelcol-amplitude/otelcol-amplitude/connector/featureflageventsconnector/internal/metadatatest"
)

func TestEventBecomesRecord(t *testing.T) {
	traces, s := newSpan("GET /cart", map[string]any{
		"user.id": "of the span", "session.id": "1700000000000", "http.route": "/cart", "device.id": "of the span",
	})
	s.SetFlags(0x101)
	rs := traces.ResourceSpans().At(0)
	rs.SetSchemaUrl("https://opentelemetry.io/schemas/1.40.0")
	mustSet(rs.Resource().Attributes(), map[string]any{"service.name": "shop", "app.installation.id": "of the resource"})
	mustSet(rs.ScopeSpans().At(0).Scope().Attributes(), map[string]any{"enduser.id": "of the scope", "user.id": "of the scope", "other": "stays"})
	rs.ScopeSpans().At(0).SetSchemaUrl("https://opentelemetry.io/schemas/1.41.0")
	rs.ScopeSpans().At(0).Scope().SetName("cart")
	rs.ScopeSpans().At(0).Scope().SetVersion("2")
	event := addEvent(s, "feature_flag.evaluation", 1_500, map[string]any{
		"feature_flag.key": "checkout", "feature_flag.result.variant": "one-page", "user.id": "of the event", "device.id": nil,
	})
	event.SetDroppedAttributesCount(3)
	addEvent(s, "exception", 1_600, map[string]any{"exception.type": "FLAG_NOT_FOUND"})
	addEvent(s, "Feature_Flag", 1_600, map[string]any{"feature_flag.key": "other case"})

	before := time.Now()
	got := convert(t, nil, traces)
	require.Len(t, got, 1)
	require.Equal(t, 1, got[0].LogRecordCount())
	rl := got[0].ResourceLogs().At(0)
	assert.Equal(t, "https://opentelemetry.io/schemas/1.40.0", rl.SchemaUrl())
	assert.Equal(t, map[string]any{"service.name": "shop", "app.installation.id": "of the resource"}, rl.Resource().Attributes().AsRaw())
	sl := rl.ScopeLogs().At(0)
	assert.Equal(t, "https://opentelemetry.io/schemas/1.41.0", sl.SchemaUrl())
	assert.Equal(t, "cart", sl.Scope().Name())
	assert.Equal(t, "2", sl.Scope().Version())
	record := sl.LogRecords().At(0)
	assert.Equal(t, "feature_flag.evaluation", record.EventName())
	assert.Equal(t, pcommon.Timestamp(1_500), record.Timestamp())
	assert.False(t, record.ObservedTimestamp().AsTime().Before(before))
	assert.Equal(t, pcommon.TraceID{1, 2, 3}, record.TraceID())
	assert.Equal(t, pcommon.SpanID{4, 5, 6}, record.SpanID())
	assert.Equal(t, plog.LogRecordFlags(1), record.Flags(), "only the trace flags mean the same in a log record")
	assert.Equal(t, uint32(3), record.DroppedAttributesCount())
	assert.Equal(t, pcommon.ValueTypeEmpty, record.Body().Type())
	assert.Equal(t, map[string]any{
		"feature_flag.key": "checkout", "feature_flag.result.variant": "one-page",
		"user.id": "of the event", "device.id": "of the span", "session.id": "1700000000000",
		"enduser.id": "of the scope", "app.installation.id": "of the resource",
	}, record.Attributes().AsRaw())
}

func TestTimes(t *testing.T) {
	for _, tc := range []struct {
		name                   string
		event, start, end, got pcommon.Timestamp
	}{
		{"the event's own", 1_500, 1_000, 2_000, 1_500},
		{"else the span's start", 0, 1_000, 2_000, 1_000},
		{"else its end", 0, 0, 2_000, 2_000},
		{"none is known", 0, 0, 0, 0},
		{"invalid values are not checked here", math.MaxUint64, 1_000, 2_000, math.MaxUint64},
	} {
		t.Run(tc.name, func(t *testing.T) {
			traces, s := newSpan("GET /", nil)
			s.SetStartTimestamp(tc.start)
			s.SetEndTimestamp(tc.end)
			addEvent(s, "feature_flag", tc.event, nil)
			assert.Equal(t, tc.got, convertOne(t, nil, traces).Timestamp())
		})
	}
}

// Records keep the order of the traces, and have the resource and scope that they came from.
func TestStructureAndOrder(t *testing.T) {
	traces := ptrace.NewTraces()
	want := []string{}
	for _, resource := range []string{"empty", "a", "b"} {
		rs := traces.ResourceSpans().AppendEmpty()
		rs.Resource().Attributes().PutStr("service.name", resource)
		for _, scope := range []string{"1", "empty", "2"} {
			ss := rs.ScopeSpans().AppendEmpty()
			ss.Scope().SetName(scope)
			for _, name := range []string{"x", "y"} {
				s := ss.Spans().AppendEmpty()
				if resource == "empty" || scope == "empty" {
					continue
				}
				for _, n := range []string{"first", "second"} {
					path := resource + scope + name + n
					want = append(want, path)
					addEvent(s, "feature_flag", 1, map[string]any{"feature_flag.key": path})
				}
			}
		}
	}
	got := convert(t, nil, traces)
	require.Len(t, got, 1)
	keys := []string{}
	for _, rl := range got[0].ResourceLogs().All() {
		service, _ := rl.Resource().Attributes().Get("service.name")
		for _, sl := range rl.ScopeLogs().All() {
			for _, record := range sl.LogRecords().All() {
				key, _ := record.Attributes().Get("feature_flag.key")
				keys = append(keys, key.Str())
				assert.Equal(t, service.Str()+sl.Scope().Name(), key.Str()[:2])
			}
		}
	}
	assert.Equal(t, want, keys)
	assert.Equal(t, 2, got[0].ResourceLogs().Len())
	assert.Equal(t, 2, got[0].ResourceLogs().At(0).ScopeLogs().Len())
}

func TestNothingFoundNothingSent(t *testing.T) {
	traces, s := newSpan("feature_flag.evaluation", map[string]any{"feature_flag.key": "a"})
	addEvent(s, "exception", 1, nil)
	refuses := consumertest.NewErr(errNext)
	c := newConnector(t, connectortest.NewNopSettings(metadata.Type), nil, refuses)
	require.NoError(t, c.ConsumeTraces(t.Context(), traces), "the next component is not called")
	require.NoError(t, c.ConsumeTraces(t.Context(), ptrace.NewTraces()))
}

func TestErrorsPropagate(t *testing.T) {
	c := newConnector(t, connectortest.NewNopSettings(metadata.Type), nil, consumertest.NewErr(errNext))
	require.ErrorIs(t, c.ConsumeTraces(t.Context(), newEvent(map[string]any{"feature_flag.key": "a"})), errNext)
}

func TestLeavesTracesAlone(t *testing.T) {
	c := newConnector(t, connectortest.NewNopSettings(metadata.Type), nil, consumertest.NewNop())
	assert.Equal(t, consumer.Capabilities{MutatesData: false}, c.Capabilities())
	traces := newEvent(map[string]any{
		"feature_flag.key": "a", "feature_flag.provider.name": "LaunchDarkly",
		"feature_flag.context.id": "organization:o:user:u", "feature_flag.result.value": "\"x\"",
	})
	before := ptrace.NewTraces()
	traces.CopyTo(before)
	traces.MarkReadOnly()
	require.NoError(t, c.ConsumeTraces(t.Context(), traces))
	assert.Equal(t, tracesJSON(t, before), tracesJSON(t, traces))
}

func tracesJSON(t *testing.T, traces ptrace.Traces) string {
	t.Helper()
	body, err := (&ptrace.JSONMarshaler{}).MarshalTraces(traces)
	require.NoError(t, err)
	return string(body)
}

func TestShutdownWithoutStartAndTwice(t *testing.T) {
	c, err := NewFactory().CreateTracesToLogs(t.Context(), connectortest.NewNopSettings(metadata.Type),
		NewFactory().CreateDefaultConfig(), consumertest.NewNop())
	require.NoError(t, err)
	require.NoError(t, c.Shutdown(t.Context()))
	require.NoError(t, c.Shutdown(t.Context()))
}

func TestMetrics(t *testing.T) {
	telemetry := componenttest.NewTelemetry()
	t.Cleanup(func() { require.NoError(t, telemetry.Shutdown(context.Background())) })
	set := metadatatest.NewSettings(telemetry)
	set.ID = component.MustNewIDWithName(metadata.Type.String(), "shop")
	conf := map[string]any{
		"spans":        []any{map[string]any{"names": []any{"flag"}, "skip_if_true": []any{"default"}}},
		"launchdarkly": map[string]any{"only_in_experiment": true},
	}
	traces, s := newSpan("flag", nil) // a span and an event
	addEvent(s, "feature_flag", 1, nil)
	second := traces.ResourceSpans().At(0).ScopeSpans().At(0).Spans().AppendEmpty()
	second.SetName("flag")
	mustSet(second.Attributes(), map[string]any{"default": true})
	addEvent(second, "feature_flag", 1, map[string]any{ // skipped: not in an experiment
		"feature_flag.provider.name": "LaunchDarkly", "feature_flag.context.id": "u",
	})
	addEvent(second, "feature_flag", 1, map[string]any{ // no user in the context
		"feature_flag.provider.name": "LaunchDarkly", "feature_flag.context.id": "organization:o",
		"feature_flag.result.reason.inExperiment": true,
	})
	traces.ResourceSpans().At(0).ScopeSpans().At(0).Spans().AppendEmpty()

	accepts := newConnector(t, set, conf, consumertest.NewNop())
	require.NoError(t, accepts.ConsumeTraces(t.Context(), traces))
	refuses := newConnector(t, set, conf, consumertest.NewErr(errNext))
	require.ErrorIs(t, refuses.ConsumeTraces(t.Context(), traces), errNext)

	point := func(n int64, labels ...string) metricdata.DataPoint[int64] {
		attributes := []attribute.KeyValue{attribute.String("connector", "feature_flag_events/shop")}
		for i := 0; i < len(labels); i += 2 {
			attributes = append(attributes, attribute.String(labels[i], labels[i+1]))
		}
		return metricdata.DataPoint[int64]{Attributes: attribute.NewSet(attributes...), Value: n}
	}
	ignore := metricdatatest.IgnoreTimestamp()
	metadatatest.AssertEqualConnectorFeatureFlagEventsSpans(t, telemetry, []metricdata.DataPoint[int64]{point(6)}, ignore)
	metadatatest.AssertEqualConnectorFeatureFlagEventsRecords(t, telemetry, []metricdata.DataPoint[int64]{
		point(2, "source", "span_event", "outcome", "accepted"), point(1, "source", "span", "outcome", "accepted"),
		point(2, "source", "span_event", "outcome", "refused"), point(1, "source", "span", "outcome", "refused"),
	}, ignore)
	metadatatest.AssertEqualConnectorFeatureFlagEventsSkipped(t, telemetry, []metricdata.DataPoint[int64]{
		point(2, "reason", "skip_if_true"), point(2, "reason", "not_in_experiment"),
	}, ignore)
	metadatatest.AssertEqualConnectorFeatureFlagEventsContextsWithoutUser(t, telemetry, []metricdata.DataPoint[int64]{point(2)}, ignore)
}
