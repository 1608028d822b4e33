// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/exporter/exportertest"
	"go.opentelemetry.io/collector/processor/processortest"

	"github.com/otelcol-amplitude/otelcol-amplitude/exporter/amplitudeexporter"
	"github.com/otelcol-amplitude/otelcol-amplitude/processor/amplitudeexperimentprocessor"
)

// receiver keeps the events that it receives, and answers like Amplitude.
type receiver struct {
	mu     sync.Mutex
	events []string
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	body, err := io.ReadAll(request.Body)
	var upload struct{ Events []json.RawMessage }
	if err == nil {
		err = json.Unmarshal(body, &upload)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, event := range upload.Events {
		r.events = append(r.events, string(event))
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"code": http.StatusOK, "events_ingested": len(upload.Events)})
}

// TestExplainedIsDelivered: what the command says would be sent is, byte for byte, what the processor and the exporter
// send.
func TestExplainedIsDelivered(t *testing.T) {
	arrived := &receiver{}
	server := httptest.NewServer(arrived)
	defer server.Close()

	exporters := amplitudeexporter.NewFactory()
	exporterConfig := exporters.CreateDefaultConfig()
	require.NoError(t, confmap.NewFromStringMap(map[string]any{
		"api_key": "key", "endpoint": server.URL, "sending_queue": map[string]any{"enabled": false}, "compression": "none",
	}).Unmarshal(exporterConfig))
	exporterSettings := exportertest.NewNopSettings(exporters.Type())
	exporterSettings.BuildInfo.Version = version
	exporter, err := exporters.CreateLogs(t.Context(), exporterSettings, exporterConfig)
	require.NoError(t, err)
	require.NoError(t, exporter.Start(t.Context(), componenttest.NewNopHost()))
	defer func() { require.NoError(t, exporter.Shutdown(context.Background())) }()

	processors := amplitudeexperimentprocessor.NewFactoryWithOptions(
		amplitudeexperimentprocessor.WithRandom(func() uint64 { return 0 })) // as the command does
	processor, err := processors.CreateLogs(t.Context(), processortest.NewNopSettings(processors.Type()), processors.CreateDefaultConfig(), exporter)
	require.NoError(t, err)
	require.NoError(t, processor.Start(t.Context(), componenttest.NewNopHost()))
	defer func() { require.NoError(t, processor.Shutdown(context.Background())) }()

	files := captureFiles(t)
	for _, name := range []string{"assignments", "client", "evaluations", "repeats"} {
		files = append(files, "testdata/"+name+".jsonl")
	}
	status, out, stderr := command(t, nil, append([]string{"--json"}, files...)...)
	require.Zero(t, status, stderr)
	var explained []string
	for line := range strings.Lines(out) {
		var x struct {
			Events []struct{ Event, Identify json.RawMessage }
		}
		require.NoError(t, json.Unmarshal([]byte(line), &x))
		for _, e := range x.Events {
			for _, one := range []json.RawMessage{e.Event, e.Identify} {
				if one != nil {
					explained = append(explained, string(one))
				}
			}
		}
	}
	for _, name := range files {
		content, err := os.ReadFile(name)
		require.NoError(t, err)
		require.NoError(t, readLogs(t.Context(), name, bytes.NewReader(content), nil, func(in document) error {
			return processor.ConsumeLogs(t.Context(), in.logs)
		}))
	}
	require.Greater(t, len(explained), 1000)
	assert.ElementsMatch(t, arrived.events, explained)
}
