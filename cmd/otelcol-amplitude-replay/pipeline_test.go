// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/client"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/exporter/exportertest"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/plog/plogotlp"
	"go.opentelemetry.io/collector/processor"
	"go.opentelemetry.io/collector/processor/processortest"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/otelcol-amplitude/otelcol-amplitude/exporter/amplitudeexporter"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/amplitude/receipts"
	"github.com/otelcol-amplitude/otelcol-amplitude/processor/amplitudeexperimentprocessor"
	"github.com/otelcol-amplitude/otelcol-amplitude/sandbox"
)

// gate is in front of the sandbox: requests for which answer returns a status get it, all others pass.
type gate struct {
	url    string
	answer atomic.Pointer[func(events []event) (status int, body string)]
}

type event struct {
	EventType string `json:"event_type"`
	UserID    string `json:"user_id"`
}

func newGate(t *testing.T, amplitude *sandbox.Server) *gate {
	t.Helper()
	target, err := url.Parse(amplitude.URL())
	require.NoError(t, err)
	proxy := httputil.NewSingleHostReverseProxy(target)
	g := &gate{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if answer := g.answer.Load(); answer != nil {
			body, err := io.ReadAll(r.Body)
			assert.NoError(t, err)
			var request struct {
				Events []event `json:"events"`
			}
			assert.NoError(t, json.Unmarshal(body, &request))
			if status, text := (*answer)(request.Events); status != 0 {
				w.Header().Set("Content-Type", "application/json")
				w.WriteHeader(status)
				_, _ = io.WriteString(w, text)
				return
			}
			r.Body = io.NopCloser(bytes.NewReader(body))
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	g.url = server.URL + "/2/httpapi"
	return g
}

func (g *gate) close(answer func(events []event) (int, string)) { g.answer.Store(&answer) }

func (g *gate) open() { g.answer.Store(nil) }

// pipeline is the processor and the exporter behind an OTLP/HTTP receiver.
type pipeline struct {
	processor.Logs
	url, deadLetters string
	// requests counts the requests to the receiver, letters the records in them.
	requests, letters atomic.Int64
	onTheirWay        onTheirWay
}

// onTheirWay counts the events that the exporter took and has not settled.
type onTheirWay struct{ atomic.Int64 }

func (o *onTheirWay) Claimed(uint64)                           { o.Add(1) }
func (*onTheirWay) Answered([]uint64, *receipts.Answer)        {}
func (o *onTheirWay) Settled(uint64, receipts.Outcome, string) { o.Add(-1) }

func newPipeline(t *testing.T, g *gate, processorSettings, exporterSettings map[string]any, peer string) *pipeline {
	t.Helper()
	p := &pipeline{deadLetters: filepath.Join(t.TempDir(), "dead.jsonl")}
	exporters := amplitudeexporter.NewFactory()
	exporterConfig := exporters.CreateDefaultConfig()
	conf := confmap.NewFromStringMap(map[string]any{
		"api_key": "sandbox", "endpoint": g.url, "dead_letter": map[string]any{"path": p.deadLetters},
		"sending_queue":    map[string]any{"batch": map[string]any{"flush_timeout": "5ms"}},
		"retry_on_failure": map[string]any{"initial_interval": "5ms", "max_interval": "5ms"},
	})
	require.NoError(t, conf.Merge(confmap.NewFromStringMap(exporterSettings)))
	require.NoError(t, conf.Unmarshal(exporterConfig))
	require.NoError(t, confmap.Validate(exporterConfig))
	x, err := exporters.CreateLogs(t.Context(), exportertest.NewNopSettings(component.MustNewType("amplitude")), exporterConfig)
	require.NoError(t, err)
	processors := amplitudeexperimentprocessor.NewFactory()
	processorConfig := processors.CreateDefaultConfig()
	require.NoError(t, confmap.NewFromStringMap(processorSettings).Unmarshal(processorConfig))
	p.Logs, err = processors.CreateLogs(t.Context(), processortest.NewNopSettings(component.MustNewType("amplitude_experiment")), processorConfig, x)
	require.NoError(t, err)
	require.NoError(t, x.Start(t.Context(), componenttest.NewNopHost()))
	require.NoError(t, p.Start(t.Context(), componenttest.NewNopHost()))
	t.Cleanup(receipts.Listen(&p.onTheirWay))
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		raw, err := io.ReadAll(r.Body)
		assert.NoError(t, err)
		request := plogotlp.NewExportRequest()
		assert.NoError(t, request.UnmarshalProto(raw))
		p.requests.Add(1)
		p.letters.Add(int64(request.Logs().LogRecordCount()))
		if err := p.ConsumeLogs(client.NewContext(r.Context(), client.Info{Addr: &net.IPAddr{IP: net.ParseIP(peer)}}), request.Logs()); err != nil {
			// As the receiver's: google.rpc.Status.
			w.WriteHeader(http.StatusInternalServerError)
			_, _ = w.Write(protowire.AppendString(protowire.AppendTag(nil, 2, protowire.BytesType), err.Error()))
		}
	}))
	t.Cleanup(func() {
		receiver.Close()
		assert.NoError(t, p.Shutdown(context.WithoutCancel(t.Context())))
		assert.NoError(t, x.Shutdown(context.WithoutCancel(t.Context())))
	})
	p.url = receiver.URL
	return p
}

// replay runs the command and returns what it printed.
func (p *pipeline) replay(t *testing.T, arguments ...string) (string, error) {
	t.Helper()
	var out strings.Builder
	err := run(t.Context(), append([]string{"-file", p.deadLetters, "-endpoint", p.url, "-wait", patience.String()}, arguments...), &out)
	return out.String(), err
}

// exposure appends a record as an application writes it.
func exposure(to plog.LogRecordSlice, user, flag string) plog.LogRecord {
	record := to.AppendEmpty()
	record.SetEventName("$exposure")
	record.Attributes().PutStr("user_id", user)
	record.Attributes().PutStr("flag_key", flag)
	record.Attributes().PutStr("variant", "treatment")
	return record
}

func newRecords() (plog.Logs, plog.LogRecordSlice) {
	logs := plog.NewLogs()
	resource := logs.ResourceLogs().AppendEmpty()
	resource.Resource().Attributes().PutStr("service.name", "shop")
	return logs, resource.ScopeLogs().AppendEmpty().LogRecords()
}
