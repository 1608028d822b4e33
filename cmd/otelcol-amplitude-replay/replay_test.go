// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/exporter/exportertest"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/plog/plogotlp"

	"github.com/otelcol-amplitude/otelcol-amplitude/exporter/amplitudeexporter"
	"github.com/otelcol-amplitude/otelcol-amplitude/sandbox"
)

// newExporter starts the exporter amplitude in front of a sandbox, without a queue.
func newExporter(t *testing.T, amplitude *sandbox.Server, key, deadLetters string) exporter.Logs {
	t.Helper()
	factory := amplitudeexporter.NewFactory()
	cfg := factory.CreateDefaultConfig()
	require.NoError(t, confmap.NewFromStringMap(map[string]any{
		"api_key": key, "endpoint": amplitude.URL() + "/2/httpapi",
		"dead_letter":   map[string]any{"path": deadLetters},
		"sending_queue": map[string]any{"enabled": false},
		// A refused key is held until the retries end; here at once.
		"retry_on_failure": map[string]any{"initial_interval": "1ms", "max_interval": "1ms", "max_elapsed_time": "10ms"},
	}).Unmarshal(cfg))
	x, err := factory.CreateLogs(t.Context(), exportertest.NewNopSettings(component.MustNewType("amplitude")), cfg)
	require.NoError(t, err)
	require.NoError(t, x.Start(t.Context(), componenttest.NewNopHost()))
	t.Cleanup(func() { require.NoError(t, x.Shutdown(context.WithoutCancel(t.Context()))) })
	return x
}

// receiver is an OTLP/HTTP receiver that hands on to an exporter, and is overloaded at first.
func receiver(t *testing.T, to exporter.Logs, refusals int) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if refusals > 0 {
			refusals--
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		raw, err := io.ReadAll(r.Body)
		assert.NoError(t, err)
		request := plogotlp.NewExportRequest()
		assert.NoError(t, request.UnmarshalProto(raw))
		for _, resource := range request.Logs().ResourceLogs().All() {
			for name := range resource.Resource().Attributes().All() {
				assert.False(t, strings.HasPrefix(name, deadLetterPrefix), name)
			}
		}
		if to.ConsumeLogs(r.Context(), request.Logs()) != nil {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	t.Cleanup(server.Close)
	return server.URL
}

func exposures(n int) plog.Logs {
	logs := plog.NewLogs()
	resource := logs.ResourceLogs().AppendEmpty()
	resource.Resource().Attributes().PutStr("service.name", "shop")
	records := resource.ScopeLogs().AppendEmpty().LogRecords()
	for i := range n {
		record := records.AppendEmpty()
		record.SetEventName("[Experiment] Exposure")
		id := strings.Repeat("u", 5+i)
		record.Attributes().PutStr("amplitude.user_id", id)
		record.Attributes().PutStr("amplitude.insert_id", id)
	}
	return logs
}

// TestFixAndReplay loses events to a wrong key, corrects it, and sends the dead letters again, twice.
func TestFixAndReplay(t *testing.T) {
	amplitude := sandbox.New(t)
	path := filepath.Join(t.TempDir(), "dead.jsonl")
	wrong := newExporter(t, amplitude, "wrong", path)
	require.NoError(t, wrong.ConsumeLogs(t.Context(), exposures(3)), "dead letters are done with")
	require.Empty(t, amplitude.Events(sandbox.Select{}))

	right := newExporter(t, amplitude, "sandbox", filepath.Join(t.TempDir(), "other.jsonl"))
	r := &replay{client: http.DefaultClient, endpoint: receiver(t, right, 2), attempts: 5, pause: time.Millisecond, longestPause: time.Millisecond}
	for range 2 {
		file, err := os.Open(path)
		require.NoError(t, err)
		lines, records, err := r.send(t.Context(), file, 1)
		require.NoError(t, err)
		require.NoError(t, file.Close())
		assert.Equal(t, 1, lines)
		assert.Equal(t, 3, records)
	}
	assert.Len(t, amplitude.Events(sandbox.Select{}), 3, "stored once")
	assert.Equal(t, 3, amplitude.Stats().Duplicates)
}

func TestFailures(t *testing.T) {
	line, err := (&plog.JSONMarshaler{}).MarshalLogs(exposures(1))
	require.NoError(t, err)
	for _, tc := range []struct {
		name, lines string
		status      int
		answer      func() []byte
		from        int
		want        string
		calls       int
	}{
		{name: "overloaded for too long", lines: string(line), status: 503, from: 1, want: "line 1: the receiver answered 503", calls: 3},
		{name: "refused", lines: string(line), status: 404, from: 1, want: "line 1: the receiver answered 404", calls: 1},
		{name: "not OTLP", lines: "{nonsense\n", status: 200, from: 1, want: "line 1: not OTLP JSON"},
		{name: "nonsense before the first line to send", lines: "{nonsense\n\n" + string(line), status: 200, from: 2, calls: 1},
		{name: "partial success", lines: string(line), status: 200, from: 1, want: "rejected 1 records: too old", calls: 1, answer: func() []byte {
			response := plogotlp.NewExportResponse()
			response.PartialSuccess().SetRejectedLogRecords(1)
			response.PartialSuccess().SetErrorMessage("too old")
			raw, err := response.MarshalProto()
			assert.NoError(t, err)
			return raw
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			calls := 0
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				calls++
				w.WriteHeader(tc.status)
				if tc.answer != nil {
					_, _ = w.Write(tc.answer())
				}
			}))
			defer server.Close()
			r := &replay{client: server.Client(), endpoint: server.URL, attempts: 3, pause: time.Millisecond, longestPause: time.Millisecond}
			_, _, err := r.send(t.Context(), strings.NewReader(tc.lines), tc.from)
			if tc.want == "" {
				require.NoError(t, err)
			} else {
				require.ErrorContains(t, err, tc.want)
			}
			assert.Equal(t, tc.calls, calls)
		})
	}
}
