// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudeexporter

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/exporter/exportertest"
	"go.uber.org/zap"

	"github.com/otelcol-amplitude/otelcol-amplitude/exporter/amplitudeexporter/internal/metadata"
	"github.com/otelcol-amplitude/otelcol-amplitude/exporter/amplitudeexporter/internal/records/recordstest"
)

// BenchmarkPush is everything from the batch to the answer of a local server that only reads.
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
				set.TelemetrySettings = componenttest.NewTelemetry().NewTelemetrySettings() // metrics that are counted, as in a Collector
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
