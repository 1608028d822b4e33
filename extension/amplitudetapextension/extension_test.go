// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudetapextension

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/config/configauth"
	"go.opentelemetry.io/collector/config/confighttp"
	"go.opentelemetry.io/collector/config/configoptional"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/exporter/exportertest"
	"go.opentelemetry.io/collector/extension"
	"go.opentelemetry.io/collector/extension/extensionauth"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/processor"
	"go.opentelemetry.io/collector/processor/processortest"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/metric/metricdata/metricdatatest"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/otelcol-amplitude/otelcol-amplitude/exporter/amplitudeexporter"
	"github.com/otelcol-amplitude/otelcol-amplitude/extension/amplitudetapextension/internal/metadata"
	"github.com/otelcol-amplitude/otelcol-amplitude/extension/amplitudetapextension/internal/metadatatest"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/tap"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/tap/taptest"
	"github.com/otelcol-amplitude/otelcol-amplitude/processor/amplitudeexperimentprocessor"
	"github.com/otelcol-amplitude/otelcol-amplitude/sandbox"
)

// running is an extension on a free port, with its logs and metrics.
type running struct {
	*tapExtension
	telemetry *componenttest.Telemetry
	logs      *observer.ObservedLogs
}

func started(t *testing.T, host component.Host, change func(*Config)) *running {
	t.Helper()
	r := &running{telemetry: componenttest.NewTelemetry()}
	var core zapcore.Core
	core, r.logs = observer.New(zapcore.InfoLevel)
	set := extension.Settings{ID: component.NewIDWithName(metadata.Type, "test"), TelemetrySettings: r.telemetry.NewTelemetrySettings()}
	set.Logger = zap.New(core)
	cfg := createDefaultConfig().(*Config)
	cfg.NetAddr.Endpoint = "127.0.0.1:0"
	if change != nil {
		change(cfg)
	}
	created, err := NewFactory().Create(t.Context(), set, cfg)
	require.NoError(t, err)
	require.NoError(t, created.Start(t.Context(), host))
	r.tapExtension = created.(*tapExtension)
	t.Cleanup(func() {
		assert.NoError(t, created.Shutdown(context.WithoutCancel(t.Context())))
		assert.NoError(t, created.Shutdown(context.WithoutCancel(t.Context())), "twice")
		assert.NoError(t, r.telemetry.Shutdown(context.WithoutCancel(t.Context())))
	})
	return r
}

// get requests a path with headers, and returns the response with its body unread.
func (r *running) get(t *testing.T, path string, headers ...string) *http.Response {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+r.address+path, http.NoBody)
	require.NoError(t, err)
	for i := 0; i < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
		if headers[i] == "Host" {
			request.Host = headers[i+1]
		}
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(request)
	require.NoError(t, err)
	t.Cleanup(func() { _ = response.Body.Close() })
	return response
}

// pipeline is processor, exporter and a local Amplitude.
type pipeline struct {
	processor.Logs
	amplitude *sandbox.Server
}

func newPipeline(t *testing.T) *pipeline {
	t.Helper()
	p := &pipeline{amplitude: sandbox.New(t)}
	exporters := amplitudeexporter.NewFactory()
	cfg := exporters.CreateDefaultConfig()
	require.NoError(t, confmap.NewFromStringMap(map[string]any{
		"api_key": "sandbox", "endpoint": p.amplitude.URL() + "/2/httpapi", "events": []any{"[Experiment] Exposure", "$identify"},
		"sending_queue": map[string]any{"batch": map[string]any{"flush_timeout": "1ms"}},
	}).Unmarshal(cfg))
	exporter, err := exporters.CreateLogs(t.Context(), exportertest.NewNopSettings(exporters.Type()), cfg)
	require.NoError(t, err)
	require.NoError(t, exporter.Start(t.Context(), componenttest.NewNopHost()))
	t.Cleanup(func() { assert.NoError(t, exporter.Shutdown(context.WithoutCancel(t.Context()))) })
	processors := amplitudeexperimentprocessor.NewFactory()
	p.Logs, err = processors.CreateLogs(t.Context(), processortest.NewNopSettings(processors.Type()), processors.CreateDefaultConfig(), exporter)
	require.NoError(t, err)
	require.NoError(t, p.Start(t.Context(), componenttest.NewNopHost()))
	t.Cleanup(func() { assert.NoError(t, p.Shutdown(context.WithoutCancel(t.Context()))) })
	return p
}

// send sends records of the service "shop" in one request: event names and attributes, in turn.
func (p *pipeline) send(t *testing.T, records ...any) {
	t.Helper()
	ld := plog.NewLogs()
	resource := ld.ResourceLogs().AppendEmpty()
	resource.Resource().Attributes().PutStr("service.name", "shop")
	scope := resource.ScopeLogs().AppendEmpty()
	for i := 0; i < len(records); i += 2 {
		record := scope.LogRecords().AppendEmpty()
		record.SetEventName(records[i].(string))
		record.SetTimestamp(pcommon.NewTimestampFromTime(time.Now()))
		require.NoError(t, record.Attributes().FromRaw(records[i+1].(map[string]any)))
	}
	require.NoError(t, p.ConsumeLogs(t.Context(), ld))
}

// ended reports whether the first n have ended.
func ended(n int) func([]tap.Shown) bool {
	return func(all []tap.Shown) bool {
		return len(all) >= n && !slices.ContainsFunc(all[:n], func(one tap.Shown) bool { return !one.Ended })
	}
}

// TestRecordToAnswer follows records to Amplitude's answer, once with ids and once without.
func TestRecordToAnswer(t *testing.T) {
	for _, shown := range []bool{true, false} {
		t.Run(map[bool]string{true: "shown", false: "masked"}[shown], func(t *testing.T) {
			p := newPipeline(t)
			e := started(t, componenttest.NewNopHost(), func(c *Config) { c.ShowIDs = shown })
			stream := e.get(t, "/decisions?detail=text")
			require.Equal(t, http.StatusOK, stream.StatusCode)
			require.Equal(t, "text/event-stream", stream.Header.Get("Content-Type"))
			exposure := func(user, flag, variant string) map[string]any {
				return map[string]any{"user_id": user, "flag_key": flag, "variant": variant, "session.id": "1700000000123", "password": "not-read"}
			}
			_, err := p.amplitude.AddFaults(sandbox.Fault{Action: sandbox.FaultUnindexed400, Times: -1, Match: sandbox.FaultMatch{Contains: "poison"}})
			require.NoError(t, err)
			p.send(t, "$exposure", exposure("user-12345", "checkout", "treatment"))
			p.send(t, "$exposure", exposure("user-12345", "checkout", "treatment"))
			p.send(t, "$exposure", exposure("42", "checkout", "treatment"))
			// In one batch: because the other one gets through, the event is to blame, not its sender.
			p.send(t, "$exposure", exposure("user-67890", "poison", "treatment"), "$exposure", exposure("user-11111", "checkout", "control"))
			p.send(t, "$assignment", map[string]any{"user_id": "user-12345", "variants": map[string]any{"search": "semantic"}})
			p.send(t, "Order Completed", map[string]any{"user_id": "user-12345", "total": 59})
			all := taptest.NewStream(stream.Body).Until(t, ended(6)) // what passes unchanged has no insert_id to track it by
			require.GreaterOrEqual(t, len(all), 6)

			delivered := all[0]
			assert.Equal(t, "exposure", delivered.Outcome)
			assert.Equal(t, "shop", delivered.Service)
			assert.Equal(t, []tap.Flag{{Key: "checkout", Variant: "treatment"}}, delivered.Flags)
			require.Len(t, delivered.Events, 1)
			assert.Equal(t, tap.StateDelivered, delivered.Events[0].State)
			assert.Equal(t, "200", delivered.Events[0].Request.Status)
			assert.Equal(t, "[Experiment] checkout", delivered.Events[0].Properties[0].Name)
			assert.True(t, json.Valid(delivered.Events[0].JSON))
			assert.Contains(t, delivered.Text, "became of it\n")
			assert.Equal(t, "duplicate", all[1].Outcome)
			assert.Contains(t, all[1].Why, "an earlier record reported the same result")
			assert.Equal(t, "short_id", all[2].Reason)
			poison := all[3].Events[0]
			assert.Equal(t, tap.StateNotDelivered, poison.State)
			assert.Equal(t, "400", poison.Request.Status)
			assert.Contains(t, all[3].Became[0], "not delivered: ")
			assert.Equal(t, tap.StateDelivered, all[4].Events[0].State)
			assert.Equal(t, tap.StateNotDelivered, all[5].Events[0].State)
			assert.Equal(t, "not_allowed", all[5].Events[0].Why)

			told, err := json.Marshal(all)
			require.NoError(t, err)
			assert.NotContains(t, string(told), "not-read", "an attribute that the configuration does not read")
			for _, id := range []string{"user-12345", "user-67890", "user-11111", "1700000000123", "user_id 42 "} {
				assert.Equal(t, shown, strings.Contains(string(told), id), id)
			}
			if !shown {
				assert.Equal(t, tap.Mask("user-12345"), delivered.User.Value)
				assert.Contains(t, all[2].Why, "(2 characters)")
			}
			assert.Equal(t, "user_id", delivered.User.From)
		})
	}
}

// TestSecurity: only requests to addresses and names of this machine may read; pages of other sites never can.
func TestSecurity(t *testing.T) {
	e := started(t, componenttest.NewNopHost(), func(c *Config) { c.AllowedHosts = []string{"Collector.internal"} })
	for _, tc := range []struct {
		name    string
		headers []string
		want    int
	}{
		{"address", nil, http.StatusOK},
		{"localhost", []string{"Host", "localhost:8587"}, http.StatusOK},
		{"a name under localhost", []string{"Host", "otel.localhost"}, http.StatusOK},
		{"an allowed name", []string{"Host", "collector.internal:8587"}, http.StatusOK},
		{"IPv6", []string{"Host", "[::1]:8587"}, http.StatusOK},
		{"a rebound name", []string{"Host", "evil.test"}, http.StatusForbidden},
		{"a name that begins like an address", []string{"Host", "127.0.0.1.evil.test:8587"}, http.StatusForbidden},
		{"a name that ends alike", []string{"Host", "evillocalhost"}, http.StatusForbidden},
		{"another site", []string{"Sec-Fetch-Site", "cross-site"}, http.StatusForbidden},
		{"another port of this machine", []string{"Origin", "http://127.0.0.1:3000"}, http.StatusForbidden},
		{"a file", []string{"Origin", "null"}, http.StatusForbidden},
		{"its own page", []string{"Sec-Fetch-Site", "same-origin"}, http.StatusOK},
	} {
		for _, path := range []string{"/counts", "/"} {
			response := e.get(t, path, tc.headers...)
			assert.Equal(t, tc.want, response.StatusCode, "%s %s", tc.name, path)
			assert.Equal(t, "nosniff", response.Header.Get("X-Content-Type-Options"))
			for name := range response.Header {
				assert.NotContains(t, name, "Access-Control")
			}
		}
		if tc.want == http.StatusForbidden {
			assert.Equal(t, tc.want, e.get(t, "/decisions", tc.headers...).StatusCode, tc.name)
		}
	}
	response := e.get(t, "/decisions?outcom=skipped")
	assert.Equal(t, http.StatusBadRequest, response.StatusCode)
	text, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	assert.Contains(t, string(text), `unknown parameter \"outcom\"`)
	assert.Equal(t, http.StatusBadRequest, e.get(t, "/decisions?per_second=0").StatusCode)
	assert.Equal(t, http.StatusNotFound, e.get(t, "/secret").StatusCode)
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+e.address+"/counts", http.NoBody)
	require.NoError(t, err)
	response, err = (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(request)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	assert.Equal(t, http.StatusMethodNotAllowed, response.StatusCode)
}

// TestWatchersAreLoggedAndCounted: each is logged at its start and end, their number is limited, and shutdown ends them
// all.
func TestWatchersAreLoggedAndCounted(t *testing.T) {
	e := started(t, componenttest.NewNopHost(), nil)
	const begins, ends = "A client started watching decisions", "A client stopped watching decisions"
	stream := e.get(t, "/decisions?outcome=skipped&user=user-12345")
	_, err := stream.Body.Read(make([]byte, 1)) // the first counts
	require.NoError(t, err)
	began := e.logs.FilterMessage(begins).All()
	require.Len(t, began, 1)
	assert.Equal(t, "outcome=skipped&user=%2A", began[0].ContextMap()["filter"])
	assert.Equal(t, false, began[0].ContextMap()["ids_shown"])
	assert.NotEmpty(t, began[0].ContextMap()["from"])
	metadatatest.AssertEqualExtensionAmplitudeTapWatchers(t, e.telemetry, []metricdata.DataPoint[int64]{
		{Attributes: attribute.NewSet(attribute.String("extension", "amplitude_tap/test")), Value: 1},
	}, metricdatatest.IgnoreTimestamp())
	for range 7 {
		require.Equal(t, http.StatusOK, e.get(t, "/decisions").StatusCode)
	}
	assert.Equal(t, http.StatusServiceUnavailable, e.get(t, "/decisions").StatusCode)
	require.NoError(t, stream.Body.Close())
	require.Eventually(t, func() bool { return e.logs.FilterMessage(ends).Len() == 1 }, time.Minute, time.Millisecond)
	require.NoError(t, e.Shutdown(t.Context()))
	require.Eventually(t, func() bool { return e.logs.FilterMessage(ends).Len() == 8 }, time.Minute, time.Millisecond)
	assert.False(t, tap.Watched())
}

// keyed authenticates requests with the token.
type keyed struct {
	component.StartFunc
	component.ShutdownFunc
}

var _ extensionauth.Server = keyed{}

func (keyed) Authenticate(ctx context.Context, headers map[string][]string) (context.Context, error) {
	for name, values := range headers {
		if strings.EqualFold(name, "Authorization") && values[0] == "Bearer token" {
			return ctx, nil
		}
	}
	return ctx, errors.New("who is there?")
}

type hostOf map[component.ID]component.Component

func (h hostOf) GetExtensions() map[component.ID]component.Component { return h }

// TestBeyondThisMachine: other machines need authentication, and the sandbox's page in the same process does not bypass
// it.
func TestBeyondThisMachine(t *testing.T) {
	auth := component.MustNewID("keyed")
	e := started(t, hostOf{auth: keyed{}}, func(c *Config) {
		c.NetAddr.Endpoint = "0.0.0.0:0"
		c.Auth = configoptional.Some(confighttp.AuthConfig{Config: configauth.Config{AuthenticatorID: auth}})
		require.NoError(t, confmap.Validate(c))
	})
	_, port, err := net.SplitHostPort(e.address)
	require.NoError(t, err)
	e.address = "127.0.0.1:" + port
	for _, path := range []string{"/decisions", "/counts", "/"} {
		assert.Equal(t, http.StatusUnauthorized, e.get(t, path).StatusCode)
		assert.Equal(t, http.StatusOK, e.get(t, path, "Authorization", "Bearer token").StatusCode)
	}
	assert.Nil(t, e.Decisions())
	assert.NotNil(t, started(t, componenttest.NewNopHost(), nil).Decisions())
}

func TestAddressInUse(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { _ = taken.Close() }()
	cfg := createDefaultConfig().(*Config)
	cfg.NetAddr.Endpoint = taken.Addr().String()
	set := extension.Settings{ID: component.NewID(metadata.Type), TelemetrySettings: componenttest.NewNopTelemetrySettings()}
	created, err := NewFactory().Create(t.Context(), set, cfg)
	require.NoError(t, err)
	err = created.Start(t.Context(), componenttest.NewNopHost())
	require.EqualError(t, err, "cannot serve decisions on "+cfg.NetAddr.Endpoint+", which is in use: stop the other process or set another endpoint for amplitude_tap")
	require.NoError(t, created.Shutdown(t.Context()))
}
