// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package featureflageventsconnector

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/connector"
	"go.opentelemetry.io/collector/connector/connectortest"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/otelcol-amplitude/otelcol-amplitude/connector/featureflageventsconnector/internal/metadata"
)

var errNext = errors.New("the queue is full")

// newConnector starts a connector with this configuration, until the test ends.
func newConnector(t testing.TB, set connector.Settings, conf map[string]any, next consumer.Logs) connector.Traces {
	t.Helper()
	cfg := NewFactory().CreateDefaultConfig()
	require.NoError(t, confmap.NewFromStringMap(conf).Unmarshal(cfg))
	require.NoError(t, confmap.Validate(cfg))
	c, err := NewFactory().CreateTracesToLogs(context.Background(), set, cfg, next)
	require.NoError(t, err)
	require.NoError(t, c.Start(context.Background(), componenttest.NewNopHost()))
	t.Cleanup(func() { require.NoError(t, c.Shutdown(context.Background())) })
	return c
}

// convert returns the records that a connector makes from read-only traces.
func convert(t testing.TB, conf map[string]any, traces ptrace.Traces) []plog.Logs {
	t.Helper()
	sink := &consumertest.LogsSink{}
	c := newConnector(t, connectortest.NewNopSettings(metadata.Type), conf, sink)
	traces.MarkReadOnly()
	require.NoError(t, c.ConsumeTraces(context.Background(), traces))
	return sink.AllLogs()
}

// convertOne returns the only record of the traces.
func convertOne(t testing.TB, conf map[string]any, traces ptrace.Traces) plog.LogRecord {
	t.Helper()
	got := convert(t, conf, traces)
	require.Len(t, got, 1)
	require.Equal(t, 1, got[0].LogRecordCount())
	return got[0].ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().At(0)
}

// newSpan returns traces with one span.
func newSpan(name string, attributes map[string]any) (ptrace.Traces, ptrace.Span) {
	traces := ptrace.NewTraces()
	s := traces.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans().AppendEmpty()
	s.SetName(name)
	s.SetTraceID(pcommon.TraceID{1, 2, 3})
	s.SetSpanID(pcommon.SpanID{4, 5, 6})
	s.SetStartTimestamp(1_000)
	s.SetEndTimestamp(2_000)
	mustSet(s.Attributes(), attributes)
	return traces, s
}

// newEvent returns traces with one span that has one evaluation event.
func newEvent(attributes map[string]any) ptrace.Traces {
	traces, s := newSpan("GET /", nil)
	addEvent(s, "feature_flag", 1_500, attributes)
	return traces
}

func addEvent(s ptrace.Span, name string, at pcommon.Timestamp, attributes map[string]any) ptrace.SpanEvent {
	event := s.Events().AppendEmpty()
	event.SetName(name)
	event.SetTimestamp(at)
	mustSet(event.Attributes(), attributes)
	return event
}

func mustSet(to pcommon.Map, attributes map[string]any) {
	if err := to.FromRaw(attributes); err != nil {
		panic(err)
	}
}
