// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudesandboxextension

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/extension"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/otelcol-amplitude/otelcol-amplitude/extension/amplitudesandboxextension/internal/metadata"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/tap"
)

// tapped is an amplitude_tap, as far as the sandbox needs one.
type tapped struct {
	component.StartFunc
	component.ShutdownFunc
	decisions *tap.Handler
}

func (e tapped) Decisions() *tap.Handler { return e.decisions }

type hostOf map[component.ID]component.Component

func (h hostOf) GetExtensions() map[component.ID]component.Component { return h }

// TestRecordsOfThisCollector: the page shows decisions under its own origin with the settings of an amplitude_tap in
// the same Collector, and nothing if that requires authentication.
func TestRecordsOfThisCollector(t *testing.T) {
	id := component.MustNewIDWithName("amplitude_tap", "")
	theirs := tap.NewHandler(tap.Settings{MaxPerSecond: 7, Logger: zap.NewNop()})
	defer theirs.Close()
	for _, tc := range []struct {
		name, endpoint string
		host           component.Host
		status         int
		shown          any // whether ids are shown, according to the log
	}{
		{"alone", "127.0.0.1:0", componenttest.NewNopHost(), http.StatusOK, true},
		{"alone, for other machines", "0.0.0.0:0", componenttest.NewNopHost(), http.StatusOK, false},
		{"beside a tap", "127.0.0.1:0", hostOf{id: tapped{decisions: theirs}}, http.StatusOK, nil},
		{"beside a tap with authentication", "127.0.0.1:0", hostOf{id: tapped{}}, http.StatusNotFound, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			core, logs := observer.New(zapcore.InfoLevel)
			set := extension.Settings{ID: component.NewID(metadata.Type), TelemetrySettings: componenttest.NewNopTelemetrySettings()}
			set.Logger = zap.New(core)
			cfg := createDefaultConfig().(*Config)
			cfg.Endpoint = tc.endpoint
			created, err := newSandboxExtension(set, cfg)
			require.NoError(t, err)
			created.mountDecisions(tc.host)
			ctx, end := context.WithCancel(t.Context())
			end() // a stream that ends immediately
			answer := httptest.NewRecorder()
			request := httptest.NewRequestWithContext(ctx, http.MethodGet, "/_sandbox/records", http.NoBody)
			request.Host = "localhost"
			created.server.ServeHTTP(answer, request)
			assert.Equal(t, tc.status, answer.Code)
			if began := logs.FilterMessage("A client started watching decisions").All(); tc.shown != nil {
				require.Len(t, began, 1)
				assert.Equal(t, tc.shown, began[0].ContextMap()["ids_shown"])
			} else {
				assert.Empty(t, began)
			}
			assert.Equal(t, tc.status == http.StatusOK, created.server.Stats().Records != nil)
			request = httptest.NewRequest(http.MethodGet, "/_sandbox/records", http.NoBody)
			request.Host = "evil.test"
			answer = httptest.NewRecorder()
			created.server.ServeHTTP(answer, request)
			assert.Equal(t, http.StatusForbidden, answer.Code)
			assert.Contains(t, answer.Body.String(), "not allowed")
			require.NoError(t, created.Shutdown(t.Context()))
		})
	}
}
