// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package featureflageventsconnector

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/processor/processortest"

	"github.com/otelcol-amplitude/otelcol-amplitude/processor/amplitudeexperimentprocessor"
)

var update = flag.Bool("update", false, "write the golden files instead of comparing with them")

// TestCapturedTraces compares the records made from what real applications sent, and the Amplitude events that the
// processor makes from those, with golden files. testdata/README.md explains them.
func TestCapturedTraces(t *testing.T) {
	captures, err := filepath.Glob(filepath.Join("testdata", "captures", "*.traces.*"))
	require.NoError(t, err)
	require.Len(t, captures, 3)
	for _, capture := range captures {
		name, _, _ := strings.Cut(filepath.Base(capture), ".traces.")
		t.Run(name, func(t *testing.T) {
			records := convert(t, nil, readTraces(t, capture))
			require.Len(t, records, 1)
			compare(t, name+".records.jsonl", lines(t, records))
			compare(t, name+".events.jsonl", lines(t, amplitudeEvents(t, records)))
		})
	}
}

func readTraces(t *testing.T, path string) ptrace.Traces {
	t.Helper()
	body, err := os.ReadFile(path)
	require.NoError(t, err)
	var unmarshaler ptrace.Unmarshaler = &ptrace.JSONUnmarshaler{}
	if filepath.Ext(path) == ".pb" {
		unmarshaler = &ptrace.ProtoUnmarshaler{}
	}
	traces, err := unmarshaler.UnmarshalTraces(body)
	require.NoError(t, err)
	return traces
}

// amplitudeEvents returns the events that the processor makes from records.
func amplitudeEvents(t *testing.T, records []plog.Logs) []plog.Logs {
	t.Helper()
	factory := amplitudeexperimentprocessor.NewFactory()
	cfg := factory.CreateDefaultConfig()
	require.NoError(t, confmap.NewFromStringMap(map[string]any{
		"identity": map[string]any{"min_id_length": 1}, "other_records": "drop",
	}).Unmarshal(cfg))
	sink := &consumertest.LogsSink{}
	p, err := factory.CreateLogs(t.Context(), processortest.NewNopSettings(factory.Type()), cfg, sink)
	require.NoError(t, err)
	require.NoError(t, p.Start(t.Context(), componenttest.NewNopHost()))
	for _, logs := range records {
		require.NoError(t, p.ConsumeLogs(t.Context(), logs))
	}
	require.NoError(t, p.Shutdown(context.Background()))
	return sink.AllLogs()
}

// line is one record of a golden file. The time of the conversion is left out.
type line struct {
	EventName  string         `json:"event_name"`
	Timestamp  int64          `json:"timestamp"`
	TraceID    string         `json:"trace_id,omitempty"`
	SpanID     string         `json:"span_id,omitempty"`
	Flags      uint32         `json:"flags,omitempty"`
	Attributes map[string]any `json:"attributes"`
	Scope      string         `json:"scope"`
	Resource   map[string]any `json:"resource"`
}

func lines(t *testing.T, all []plog.Logs) string {
	t.Helper()
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	for _, logs := range all {
		for _, rl := range logs.ResourceLogs().All() {
			for _, sl := range rl.ScopeLogs().All() {
				for _, record := range sl.LogRecords().All() {
					require.NoError(t, encoder.Encode(line{
						EventName: record.EventName(), Timestamp: int64(record.Timestamp()),
						TraceID: record.TraceID().String(), SpanID: record.SpanID().String(), Flags: uint32(record.Flags()),
						Attributes: record.Attributes().AsRaw(), Scope: sl.Scope().Name(), Resource: rl.Resource().Attributes().AsRaw(),
					}))
				}
			}
		}
	}
	return out.String()
}

func compare(t *testing.T, file, got string) {
	t.Helper()
	path := filepath.Join("testdata", "golden", file)
	if *update {
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
		require.NoError(t, os.WriteFile(path, []byte(got), 0o600))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.Equal(t, string(want), got)
}
