// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package featureflageventsconnector

import (
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/connector/connectortest"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/otelcol-amplitude/otelcol-amplitude/connector/featureflageventsconnector/internal/metadata"
)

// FuzzConsumeTraces: no traces are changed, each record made from them has an event name, and there are no more records
// than span events and spans.
func FuzzConsumeTraces(f *testing.F) {
	marshaler, unmarshaler := ptrace.ProtoMarshaler{}, ptrace.ProtoUnmarshaler{}
	for _, attributes := range []map[string]any{
		nil,
		{"feature_flag.key": "flag", "feature_flag.result.variant": "on", "feature_flag.context.id": "user-1"},
		{"feature_flag.key": "flag", "feature_flag.provider_name": "LaunchDarkly", "feature_flag.context.key": "user:a%3Ab:org:x", "feature_flag.context.id": ""},
		{"feature_flag.key": int64(7), "feature_flag.variant": []any{"a", map[string]any{"b": 1.5}}, "user.id": []byte{0, 255}},
		{"feature_flag.key": "\xff\x00", "feature_flag.result.value": true},
	} {
		raw, err := marshaler.MarshalTraces(newEvent(attributes))
		require.NoError(f, err)
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		traces, err := unmarshaler.UnmarshalTraces(raw)
		if err != nil {
			return
		}
		most := traces.SpanCount()
		for _, resource := range traces.ResourceSpans().All() {
			for _, scope := range resource.ScopeSpans().All() {
				for _, span := range scope.Spans().All() {
					most += span.Events().Len()
				}
			}
		}
		before, err := marshaler.MarshalTraces(traces)
		require.NoError(t, err)
		sink := &consumertest.LogsSink{}
		c := newConnector(t, connectortest.NewNopSettings(metadata.Type), nil, sink)
		traces.MarkReadOnly()
		require.NoError(t, c.ConsumeTraces(t.Context(), traces))
		after, err := marshaler.MarshalTraces(traces)
		require.NoError(t, err)
		require.Equal(t, before, after)
		require.LessOrEqual(t, sink.LogRecordCount(), most)
		for _, logs := range sink.AllLogs() {
			for _, resource := range logs.ResourceLogs().All() {
				for _, scope := range resource.ScopeLogs().All() {
					for _, record := range scope.LogRecords().All() {
						require.NotEmpty(t, record.EventName())
					}
				}
			}
			_, err := (&plog.ProtoMarshaler{}).MarshalLogs(logs)
			require.NoError(t, err)
		}
	})
}
