// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/otelcol-amplitude/otelcol-amplitude/exporter/amplitudeexporter"
	"github.com/otelcol-amplitude/otelcol-amplitude/processor/amplitudeexperimentprocessor"
)

// BenchmarkProcessor is for profiles: a batch of each workload.
func BenchmarkProcessor(b *testing.B) {
	for _, w := range []workload{w1, w2, w350, w395, w4} {
		b.Run(w.name, func(b *testing.B) { decodeInto(b, w, consumertest.NewNop()) })
	}
}

// BenchmarkPipeline is for profiles: what follows the receiver, with its queue, up to a server that takes everything.
func BenchmarkPipeline(b *testing.B) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = w.Write([]byte(`{"code":200}`))
	}))
	b.Cleanup(server.Close)
	e, err := startExporter(amplitudeexporter.NewFactory(), map[string]any{"api_key": "bench", "endpoint": server.URL, "compression": "none"})
	require.NoError(b, err)
	decodeInto(b, w1, e)
	require.NoError(b, e.Shutdown(context.Background()))
}

// decodeInto decodes batches and gives them to a processor before the next component.
func decodeInto(b *testing.B, w workload, next consumer.Logs) {
	p, err := newProcessor(amplitudeexperimentprocessor.NewFactory(), map[string]any{}, next)
	require.NoError(b, err)
	bodies := make([][]byte, 200)
	random := rand.New(rand.NewPCG(1, 1))
	for i := range bodies {
		bodies[i], err = (&plog.ProtoMarshaler{}).MarshalLogs(w.batch(random, i))
		require.NoError(b, err)
	}
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		// After all of them the next are repeats: -benchtime 200x has none.
		logs, err := (&plog.ProtoUnmarshaler{}).UnmarshalLogs(bodies[i%len(bodies)])
		require.NoError(b, err)
		require.NoError(b, p.ConsumeLogs(context.Background(), logs))
	}
	b.StopTimer()
	require.NoError(b, p.Shutdown(context.Background()))
}
