// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudereceiver

import (
	"bytes"
	"compress/gzip"
	"context"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/receiver"
	"go.opentelemetry.io/collector/receiver/receivertest"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/loopback"
	"github.com/otelcol-amplitude/otelcol-amplitude/receiver/amplitudereceiver/internal/metadata"
)

// tester is a running receiver with a client.
type tester struct {
	t      testing.TB
	url    string
	client *http.Client
	sink   *consumertest.LogsSink
	// end shuts the receiver down.
	end func(context.Context) error
}

// hostWith is a host with extensions.
type hostWith map[component.ID]component.Component

func (h hostWith) GetExtensions() map[component.ID]component.Component { return h }

// configOf returns a configuration with one API key and additional settings.
func configOf(t testing.TB, conf map[string]any) *Config {
	t.Helper()
	cfg := NewFactory().CreateDefaultConfig()
	all := confmap.NewFromStringMap(map[string]any{"api_keys": []any{map[string]any{"key": "sandbox", "project": "shop"}}})
	require.NoError(t, all.Merge(confmap.NewFromStringMap(conf)))
	require.NoError(t, all.Unmarshal(cfg))
	require.NoError(t, confmap.Validate(cfg))
	return cfg.(*Config)
}

// start runs a receiver until the test ends.
func start(t testing.TB, conf map[string]any) *tester {
	t.Helper()
	sink := &consumertest.LogsSink{}
	s := startWith(t, receivertest.NewNopSettings(metadata.Type), conf, sink)
	s.sink = sink
	return s
}

func startWith(t testing.TB, set receiver.Settings, conf map[string]any, next consumer.Logs) *tester {
	t.Helper()
	return startOn(t, componenttest.NewNopHost(), set, conf, next)
}

func startOn(t testing.TB, host component.Host, set receiver.Settings, conf map[string]any, next consumer.Logs) *tester {
	t.Helper()
	cfg := configOf(t, conf)
	address, err := loopback.FreeAddress()
	require.NoError(t, err)
	cfg.ServerConfig.NetAddr.Endpoint = address
	r, err := NewFactory().CreateLogs(t.Context(), set, cfg, next)
	require.NoError(t, err)
	require.NoError(t, r.Start(context.Background(), host))
	transport := &http.Transport{}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		require.NoError(t, r.Shutdown(context.Background()))
	})
	return &tester{t: t, url: "http://" + address, client: &http.Client{Transport: transport}, end: r.Shutdown}
}

// do sends a request and returns the answer's status, body and headers.
func (s *tester) do(method, path, body string, header ...string) (status int, text string, headers http.Header) {
	s.t.Helper()
	request, err := http.NewRequestWithContext(s.t.Context(), method, s.url+path, strings.NewReader(body))
	require.NoError(s.t, err)
	for i := 0; i < len(header); i += 2 {
		request.Header.Add(header[i], header[i+1])
	}
	response, err := s.client.Do(request)
	require.NoError(s.t, err)
	defer func() { _ = response.Body.Close() }()
	out, err := io.ReadAll(response.Body)
	require.NoError(s.t, err)
	return response.StatusCode, string(out), response.Header
}

// post sends JSON.
func (s *tester) post(path, body string) (status int, text string) {
	s.t.Helper()
	status, text, _ = s.do(http.MethodPost, path, body, "Content-Type", "application/json")
	return status, text
}

// take sends events that must be accepted, and returns their records.
func (s *tester) take(body string) []plog.LogRecord {
	s.t.Helper()
	s.sink.Reset()
	status, text := s.post("/2/httpapi", body)
	require.Equal(s.t, http.StatusOK, status, text)
	return s.records()
}

// records returns everything received since the sink was reset.
func (s *tester) records() (all []plog.LogRecord) {
	for _, logs := range s.sink.AllLogs() {
		for _, resource := range logs.ResourceLogs().All() {
			for _, scope := range resource.ScopeLogs().All() {
				for _, record := range scope.LogRecords().All() {
					all = append(all, record)
				}
			}
		}
	}
	return all
}

func compressed(t testing.TB, text string) string {
	t.Helper()
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	_, err := w.Write([]byte(text))
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return out.String()
}
