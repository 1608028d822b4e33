// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package featureflageventsconnector

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/connector/connectortest"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/xpdata"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/metric/metricdata/metricdatatest"

	"github.com/otelcol-amplitude/otelcol-amplitude/connector/featureflageventsconnector/internal/metadata"
	"github.com/otelcol-amplitude/otelcol-amplitude/connector/featureflageventsconnector/internal/metadatatest"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/steps"
)

// fill puts n attributes into a map without checking for duplicates.
func fill(m pcommon.Map, n int, name func(i int) string, text string) {
	var b xpdata.MapBuilder
	for i := range n {
		b.AppendEmpty(name(i)).SetStr(text)
	}
	b.UnsafeIntoMap(m)
}

func numbered(format string) func(int) string {
	return func(i int) string { return fmt.Sprintf(format, i) }
}

// events makes a span with n events that name a flag.
func events(n int, span func(ptrace.Span)) ptrace.Traces {
	traces, s := newSpan("request", nil)
	span(s)
	for range n {
		e := s.Events().AppendEmpty()
		e.SetName("feature_flag")
		e.Attributes().PutStr("feature_flag.key", "f")
	}
	return traces
}

var hostileTraces = []struct {
	name   string
	config map[string]any
	n      int
	make   func(n int) ptrace.Traces
}{
	{"a map as the user of a span with many events", nil, 500, func(n int) ptrace.Traces {
		return events(n, func(s ptrace.Span) { fill(s.Attributes().PutEmptyMap("user.id"), n, numbered("k%06d"), "v") })
	}},
	{"bytes as the user of a span with many events", nil, 500, func(n int) ptrace.Traces {
		return events(n, func(s ptrace.Span) { s.Attributes().PutEmptyBytes("user.id").FromRaw(make([]byte, 50*n)) })
	}},
	{"a list as the user of a resource", nil, 500, func(n int) ptrace.Traces {
		traces := events(n, func(ptrace.Span) {})
		list := traces.ResourceSpans().At(0).Resource().Attributes().PutEmptySlice("user.id")
		for range n {
			list.AppendEmpty().SetStr("x")
		}
		return traces
	}},
	{"many attributes of a span with many events", nil, 500, func(n int) ptrace.Traces {
		return events(n, func(s ptrace.Span) { fill(s.Attributes(), n, numbered("k%06d"), "v") })
	}},
	{"the user many times on a span with many events", nil, 500, func(n int) ptrace.Traces {
		return events(n, func(s ptrace.Span) { fill(s.Attributes(), n, func(int) string { return "user.id" }, "user-12345") })
	}},
	{"many attributes of a resource with many spans", nil, 500, func(n int) ptrace.Traces {
		traces := ptrace.NewTraces()
		resource := traces.ResourceSpans().AppendEmpty()
		fill(resource.Resource().Attributes(), n, numbered("k%06d"), "v")
		spans := resource.ScopeSpans().AppendEmpty().Spans()
		for range n {
			e := spans.AppendEmpty().Events().AppendEmpty()
			e.SetName("feature_flag")
		}
		return traces
	}},
	{"many attributes of a span that is an evaluation", map[string]any{"spans": []any{map[string]any{"names": []any{"request"}, "attributes": map[string]any{"flag": "feature_flag.key"}}}}, 500, func(n int) ptrace.Traces {
		traces, s := newSpan("request", nil)
		fill(s.Attributes(), n, numbered("k%06d"), "v")
		return traces
	}},
	{"one renamed attribute many times", map[string]any{"spans": []any{map[string]any{"names": []any{"request"}, "attributes": map[string]any{"flag": "feature_flag.key"}}}}, 500, func(n int) ptrace.Traces {
		traces, s := newSpan("request", nil)
		fill(s.Attributes(), n, func(int) string { return "flag" }, "f")
		return traces
	}},
	{"a context of many kinds", map[string]any{"launchdarkly": map[string]any{"groups": map[string]any{"k000001": "org"}}}, 500, func(n int) ptrace.Traces {
		var key strings.Builder
		for i := range n {
			fmt.Fprintf(&key, "k%06d:x:", i)
		}
		return newEvent(map[string]any{"feature_flag.provider.name": "LaunchDarkly", "feature_flag.context.id": key.String() + "user:u", "feature_flag.result.variationIndex": int64(1)})
	}},
}

// TestHostileShapes: work and memory grow with the size of a request, not with its square, whatever its shape is.
func TestHostileShapes(t *testing.T) {
	for _, shape := range hostileTraces {
		t.Run(shape.name, func(t *testing.T) {
			var first, firstMemory float64
			for _, times := range []int{1, 4, 16} {
				var sink consumertest.LogsSink
				c := newConnector(t, connectortest.NewNopSettings(metadata.Type), shape.config, &sink)
				traces := shape.make(times * shape.n)
				size := (&ptrace.ProtoMarshaler{}).TracesSize(traces)
				var before, after runtime.MemStats
				runtime.ReadMemStats(&before)
				n := steps.Count(func() { require.NoError(t, c.ConsumeTraces(t.Context(), traces)) })
				runtime.ReadMemStats(&after)
				perByte, memory := float64(n)/float64(size), float64(after.TotalAlloc-before.TotalAlloc)/float64(size)
				t.Logf("%3d kB: %9d steps, %.2f a byte; %.1f bytes allocated a byte", size>>10, n, perByte, memory)
				require.NotZero(t, sink.LogRecordCount())
				if times == 1 {
					first, firstMemory = perByte, memory
					continue
				}
				assert.LessOrEqual(t, perByte, 1.3*first, "steps a byte, at %d times the size", times)
				assert.LessOrEqual(t, memory, 2*firstMemory+1, "bytes allocated a byte, at %d times the size", times)
			}
		})
	}
}

// TestCopyLimits: what may not be copied is counted with its reason, and the records do not have it.
func TestCopyLimits(t *testing.T) {
	for _, tc := range []struct {
		reason string
		count  int64
		span   func(pcommon.Map)
		config map[string]any
		events int
		with   int
	}{
		{"not_scalar", 3, func(m pcommon.Map) {
			m.PutEmptyMap("user.id").PutStr("a", "b")
			m.PutEmptySlice("enduser.id")
			m.PutEmptyBytes("device.id")
			m.PutStr("user_id", "user-12345")
		}, nil, 2, 2},
		{"long", 1, func(m pcommon.Map) {
			m.PutStr("user.id", strings.Repeat("u", 5000))
			m.PutStr("user_id", "user-12345")
		}, nil, 2, 2},
		{"max_copied", 472, func(m pcommon.Map) { m.PutStr("user_id", strings.Repeat("u", 4096)) }, map[string]any{"max_copied_mib": 1}, 744, 272},
	} {
		t.Run(tc.reason, func(t *testing.T) {
			telemetry := componenttest.NewTelemetry()
			t.Cleanup(func() { require.NoError(t, telemetry.Shutdown(context.Background())) })
			var sink consumertest.LogsSink
			set := metadatatest.NewSettings(telemetry)
			c := newConnector(t, set, tc.config, &sink)
			require.NoError(t, c.ConsumeTraces(t.Context(), events(tc.events, func(s ptrace.Span) { tc.span(s.Attributes()) })))
			with := 0
			for _, logs := range sink.AllLogs() {
				eachRecord(logs, func(r plog.LogRecord) {
					if id, ok := r.Attributes().Get("user_id"); ok && id.Str() != "" {
						with++
					}
					_, ok := r.Attributes().Get("user.id")
					assert.False(t, ok)
				})
			}
			assert.Equal(t, tc.events, sink.LogRecordCount())
			assert.Equal(t, tc.with, with)
			metadatatest.AssertEqualConnectorFeatureFlagEventsAttributesLeftOut(t, telemetry, []metricdata.DataPoint[int64]{{
				Value: tc.count, Attributes: attribute.NewSet(attribute.String("connector", set.ID.String()), attribute.String("reason", tc.reason)),
			}}, metricdatatest.IgnoreTimestamp())
		})
	}
}

func eachRecord(logs plog.Logs, do func(plog.LogRecord)) {
	for _, resource := range logs.ResourceLogs().All() {
		for _, scope := range resource.ScopeLogs().All() {
			for _, record := range scope.LogRecords().All() {
				do(record)
			}
		}
	}
}

// TestSenderIsGone: if the client does not wait anymore, nothing is made or handed on.
func TestSenderIsGone(t *testing.T) {
	gone, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("the client has gone"))
	var sink consumertest.LogsSink
	c := newConnector(t, connectortest.NewNopSettings(metadata.Type), nil, &sink)
	require.ErrorContains(t, c.ConsumeTraces(gone, events(1000, func(ptrace.Span) {})), "the client has gone")
	assert.Zero(t, sink.LogRecordCount())
}
