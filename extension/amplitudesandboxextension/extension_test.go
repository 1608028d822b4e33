// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudesandboxextension

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/config/configtls"
	"go.opentelemetry.io/collector/extension"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/metric/metricdata/metricdatatest"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/otelcol-amplitude/otelcol-amplitude/extension/amplitudesandboxextension/internal/metadata"
	"github.com/otelcol-amplitude/otelcol-amplitude/extension/amplitudesandboxextension/internal/metadatatest"
)

// started runs an extension on a free port and returns it with its logs.
func started(t *testing.T, change func(*Config)) (*sandboxExtension, *componenttest.Telemetry, *observer.ObservedLogs) {
	t.Helper()
	telemetry := componenttest.NewTelemetry()
	core, logs := observer.New(zapcore.InfoLevel)
	set := extension.Settings{ID: component.NewIDWithName(metadata.Type, "test"), TelemetrySettings: telemetry.NewTelemetrySettings()}
	set.Logger = zap.New(core)
	cfg := createDefaultConfig().(*Config)
	cfg.Endpoint = "127.0.0.1:0"
	if change != nil {
		change(cfg)
	}
	created, err := NewFactory().Create(t.Context(), set, cfg)
	require.NoError(t, err)
	require.NoError(t, created.Start(t.Context(), componenttest.NewNopHost()))
	t.Cleanup(func() {
		assert.NoError(t, created.Shutdown(context.WithoutCancel(t.Context())))
		assert.NoError(t, telemetry.Shutdown(context.WithoutCancel(t.Context())))
	})
	return created.(*sandboxExtension), telemetry, logs
}

func TestServes(t *testing.T) {
	e, telemetry, logs := started(t, nil)
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	body := `{"api_key":"sandbox","events":[{"event_type":"e","user_id":"user-1","insert_id":"a"},{"event_type":"e","user_id":"user-1","insert_id":"a"}]}`
	response, err := client.Post(e.server.URL()+"/2/httpapi", "application/json", strings.NewReader(body))
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	assert.Equal(t, http.StatusOK, response.StatusCode)

	id := attribute.String("extension", "amplitude_sandbox/test")
	metadatatest.AssertEqualExtensionAmplitudeSandboxEvents(t, telemetry, []metricdata.DataPoint[int64]{
		{Attributes: attribute.NewSet(id, attribute.String("verdict", "stored")), Value: 1},
		{Attributes: attribute.NewSet(id, attribute.String("verdict", "duplicate")), Value: 1},
	}, metricdatatest.IgnoreTimestamp())
	metadatatest.AssertEqualExtensionAmplitudeSandboxUsers(t, telemetry, []metricdata.DataPoint[int64]{
		{Attributes: attribute.NewSet(id), Value: 1},
	}, metricdatatest.IgnoreTimestamp())
	page := logs.FilterMessage("Serving a local Amplitude").All()
	require.Len(t, page, 1)
	assert.Equal(t, e.server.URL(), page[0].ContextMap()["page"])
	assert.Empty(t, logs.FilterLevelExact(zapcore.WarnLevel).All())
}

func TestAddressInUse(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { _ = taken.Close() }()
	cfg := createDefaultConfig().(*Config)
	cfg.Endpoint = taken.Addr().String()
	set := extension.Settings{ID: component.NewID(metadata.Type), TelemetrySettings: componenttest.NewNopTelemetrySettings()}
	created, err := NewFactory().Create(t.Context(), set, cfg)
	require.NoError(t, err)
	err = created.Start(t.Context(), componenttest.NewNopHost())
	require.EqualError(t, err, "the sandbox cannot listen on "+cfg.Endpoint+", which is in use: stop the other process or set another endpoint for amplitude_sandbox")
	require.NoError(t, created.Shutdown(t.Context()))
	require.NoError(t, created.Shutdown(t.Context()), "twice")
}

func TestWarnsBeyondLoopback(t *testing.T) {
	_, _, logs := started(t, func(c *Config) { c.Endpoint = "0.0.0.0:0" })
	warnings := logs.FilterLevelExact(zapcore.WarnLevel).All()
	require.Len(t, warnings, 1)
	assert.Contains(t, warnings[0].Message, "reachable from other machines")
}

// TestConfiguredHost: the page can be reached by the host name in its endpoint.
func TestConfiguredHost(t *testing.T) {
	cfg := createDefaultConfig().(*Config)
	cfg.Endpoint = "Sandbox.test:8585"
	set := extension.Settings{ID: component.NewID(metadata.Type), TelemetrySettings: componenttest.NewNopTelemetrySettings()}
	e, err := newSandboxExtension(set, cfg)
	require.NoError(t, err)
	for host, want := range map[string]int{"sandbox.test:8585": http.StatusOK, "other.test:8585": http.StatusForbidden} {
		answer := httptest.NewRecorder()
		request := httptest.NewRequest(http.MethodGet, "/_sandbox/stats", http.NoBody)
		request.Host = host
		e.server.ServeHTTP(answer, request)
		assert.Equal(t, want, answer.Code, host)
	}
	assert.Empty(t, cfg.AllowedHosts, "the configuration is not changed")
}

func TestTLS(t *testing.T) {
	// Any certificate will do, such as that of httptest.
	other := httptest.NewUnstartedServer(http.NotFoundHandler())
	other.StartTLS()
	defer other.Close()
	certificate, key := pair(t, other.TLS.Certificates[0])
	e, _, logs := started(t, func(c *Config) {
		settings := c.TLS.GetOrInsertDefault()
		*settings = configtls.ServerConfig{Config: configtls.Config{CertPem: certificate, KeyPem: key}}
	})
	client := other.Client()
	response, err := client.Get("https://" + strings.TrimPrefix(e.server.URL(), "http://") + "/_sandbox/stats")
	require.NoError(t, err)
	text, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	assert.Contains(t, string(text), `"requests":0`)
	assert.Contains(t, logs.All()[0].ContextMap()["page"], "https://")
	client.CloseIdleConnections()
}
