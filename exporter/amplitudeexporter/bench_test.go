// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudeexporter

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/exporter/exportertest"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.uber.org/zap"

	"github.com/otelcol-amplitude/otelcol-amplitude/exporter/amplitudeexporter/internal/metadata"
	"github.com/otelcol-amplitude/otelcol-amplitude/exporter/amplitudeexporter/internal/records/recordstest"
)

// BenchmarkPush measures everything from the batch to the answer of a local server that does nothing else.
func BenchmarkPush(b *testing.B) {
	sink := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = io.WriteString(w, `{"code":200}`)
	}))
	defer sink.Close()
	const events = 8000
	logs := recordstest.Exposures(events)
	for _, compression := range []string{"none", "gzip"} {
		for _, concurrency := range []int{1, 8} {
			b.Run(fmt.Sprintf("%s/concurrency %d", compression, concurrency), func(b *testing.B) {
				cfg := newConfig(b, map[string]any{"endpoint": sink.URL + "/2/httpapi", "compression": compression, "concurrency": concurrency})
				set := exportertest.NewNopSettings(metadata.Type)
				set.TelemetrySettings = componenttest.NewTelemetry().NewTelemetrySettings() // real metrics, as in a Collector
				set.Logger = zap.NewNop()
				x, err := NewFactory().CreateLogs(b.Context(), set, cfg)
				require.NoError(b, err)
				require.NoError(b, x.Start(b.Context(), componenttest.NewNopHost()))
				b.ReportAllocs()
				for b.Loop() {
					if err := x.ConsumeLogs(b.Context(), logs); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*events), "ns/event")
				require.NoError(b, x.Shutdown(b.Context()))
			})
		}
	}
}

// BenchmarkQueuedEvent reports the heap bytes of an event that waits in memory while the server does not answer.
func BenchmarkQueuedEvent(b *testing.B) {
	answer := make(chan struct{})
	silent := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		select {
		case <-answer:
		case <-r.Context().Done():
		}
		_, _ = io.WriteString(w, `{"code":200}`)
	}))
	defer silent.Close()
	defer close(answer)
	const batches, each = 200, 1000
	logs := plog.NewLogs()
	to := recordstest.AppendSlice(logs)
	for i := range each {
		user := fmt.Sprintf("user-%08d", i)
		recordstest.AppendExposure(to, user, user+"  9f2c41d8e7a6b50312345678deadbeef 20779")
	}
	received, err := (&plog.ProtoMarshaler{}).MarshalLogs(logs)
	require.NoError(b, err)
	heap := func() uint64 {
		runtime.GC()
		var now runtime.MemStats
		runtime.ReadMemStats(&now)
		return now.HeapAlloc
	}
	for b.Loop() {
		set := exportertest.NewNopSettings(metadata.Type)
		set.Logger = zap.NewNop()
		x, err := NewFactory().CreateLogs(b.Context(), set, newConfig(b, map[string]any{
			"endpoint": silent.URL + "/2/httpapi", "shutdown_timeout": "1ms",
			"sending_queue": map[string]any{"enabled": true, "queue_size": batches * each, "sizer": "items"},
		}))
		require.NoError(b, err)
		require.NoError(b, x.Start(b.Context(), componenttest.NewNopHost()))
		before := heap()
		for range batches {
			decoded, err := (&plog.ProtoUnmarshaler{}).UnmarshalLogs(received)
			require.NoError(b, err)
			require.NoError(b, x.ConsumeLogs(b.Context(), decoded))
		}
		b.ReportMetric(float64(heap()-before)/(batches*each), "B/event")
		require.NoError(b, x.Shutdown(b.Context()))
	}
}
