// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudereceiver

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/metric/metricdata/metricdatatest"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/otelcol-amplitude/otelcol-amplitude/receiver/amplitudereceiver/internal/metadatatest"
)

// TestMetricsAndLog: everything that is refused or left out is counted by reason, and logged once without the senders'
// words.
func TestMetricsAndLog(t *testing.T) {
	telemetry := componenttest.NewTelemetry()
	t.Cleanup(func() { require.NoError(t, telemetry.Shutdown(context.Background())) })
	set := metadatatest.NewSettings(telemetry)
	core, logs := observer.New(zap.InfoLevel)
	set.Logger = zap.New(core)
	s := startWith(t, set, nil, consumertest.NewNop())
	s.post("/2/httpapi", request(good, `{"event_type":"e","user_id":"user-1","shape":1,"size":2,"user_properties":{"$put":{}}}`))
	s.post("/batch", request(`{"event_type":"e","user_id":"nobody-secret","time":"noon"}`))
	s.post("/2/httpapi", `{"api_key":"secret-key","events":[]}`)
	s.post("/2/httpapi", `{"api_key":"secret-key","events":[]}`)
	s.post("/elsewhere", "")
	s.do(http.MethodGet, "/2/httpapi", "")
	s.post("/batch", request(`{"event_type":"e","user_id":"2","device_id":"device-1","deep":`+strings.Repeat("[", 41)+strings.Repeat("]", 41)+`}`))
	s.do(http.MethodPost, "/2/httpapi", "no gzip", "Content-Encoding", "gzip", "Content-Type", typeJSON)

	of := func(labels ...string) attribute.Set {
		all := []attribute.KeyValue{attribute.String("receiver", set.ID.String())}
		for i := 0; i < len(labels); i += 2 {
			all = append(all, attribute.String(labels[i], labels[i+1]))
		}
		return attribute.NewSet(all...)
	}
	point := func(n int64, labels ...string) metricdata.DataPoint[int64] {
		return metricdata.DataPoint[int64]{Value: n, Attributes: of(labels...)}
	}
	metadatatest.AssertEqualReceiverAmplitudeRequests(t, telemetry, []metricdata.DataPoint[int64]{
		point(1, "endpoint", "httpapi", "status", "200"), point(3, "endpoint", "httpapi", "status", "400"),
		point(1, "endpoint", "batch", "status", "400"), point(1, "endpoint", "batch", "status", "200"), point(2, "endpoint", "other", "status", "400"),
	}, metricdatatest.IgnoreTimestamp(), metricdatatest.IgnoreExemplars())
	metadatatest.AssertEqualReceiverAmplitudeRefusals(t, telemetry, []metricdata.DataPoint[int64]{
		point(1, "reason", "invalid_field"), point(2, "reason", "invalid_api_key"), point(1, "reason", "invalid_json"), point(2, "reason", "invalid_path"),
	}, metricdatatest.IgnoreTimestamp(), metricdatatest.IgnoreExemplars())
	metadatatest.AssertEqualReceiverAmplitudeLeftOutValues(t, telemetry, []metricdata.DataPoint[int64]{
		point(1, "reason", "operator"), point(1, "reason", "id"), point(1, "reason", "depth"),
	}, metricdatatest.IgnoreTimestamp(), metricdatatest.IgnoreExemplars())
	metadatatest.AssertEqualReceiverAmplitudeUnknownFields(t, telemetry, []metricdata.DataPoint[int64]{point(2)}, metricdatatest.IgnoreTimestamp(), metricdatatest.IgnoreExemplars())

	refused := logs.FilterMessageSnippet("Refused a request").All()
	require.Len(t, refused, 1, "at most once a minute")
	assert.Equal(t, "invalid_field", refused[0].ContextMap()["reason"])
	assert.Equal(t, []any{"time"}, refused[0].ContextMap()["fields"])
	for _, entry := range logs.All() {
		for _, value := range entry.ContextMap() {
			assert.NotContains(t, fmt.Sprint(value), "secret")
		}
	}
}

// TestPipelineMetrics: refusals by the next component are counted by whether they are permanent.
func TestPipelineMetrics(t *testing.T) {
	telemetry := componenttest.NewTelemetry()
	t.Cleanup(func() { require.NoError(t, telemetry.Shutdown(context.Background())) })
	set := metadatatest.NewSettings(telemetry)
	core, logs := observer.New(zap.WarnLevel)
	set.Logger = zap.New(core)
	s := startWith(t, set, nil, consumertest.NewErr(errors.New("the queue is full")))
	s.post("/2/httpapi", request(good, good))
	s.post("/2/httpapi", request(good, good))
	metadatatest.AssertEqualReceiverAmplitudeRefusals(t, telemetry, []metricdata.DataPoint[int64]{
		{Value: 2, Attributes: attribute.NewSet(attribute.String("receiver", set.ID.String()), attribute.String("reason", "next"))},
	}, metricdatatest.IgnoreTimestamp(), metricdatatest.IgnoreExemplars())
	require.Len(t, logs.FilterMessageSnippet("cannot accept events now").All(), 1)
}

// stranger is an auth extension that refuses everyone.
type stranger struct {
	component.StartFunc
	component.ShutdownFunc
}

func (stranger) Authenticate(ctx context.Context, _ map[string][]string) (context.Context, error) {
	return ctx, errors.New("no token")
}

// TestUnauthenticatedIsCounted: requests that an auth extension refuses have their own reason.
func TestUnauthenticatedIsCounted(t *testing.T) {
	telemetry := componenttest.NewTelemetry()
	t.Cleanup(func() { require.NoError(t, telemetry.Shutdown(context.Background())) })
	set := metadatatest.NewSettings(telemetry)
	host := hostWith{component.MustNewID("stranger"): stranger{}}
	s := startOn(t, host, set, map[string]any{"auth": map[string]any{"authenticator": "stranger"}}, consumertest.NewNop())
	status, text := s.post("/2/httpapi", request(good))
	assert.Equal(t, http.StatusUnauthorized, status)
	assert.JSONEq(t, `{"code":401,"error":"Unauthorized"}`, text)
	metadatatest.AssertEqualReceiverAmplitudeRefusals(t, telemetry, []metricdata.DataPoint[int64]{
		{Value: 1, Attributes: attribute.NewSet(attribute.String("receiver", set.ID.String()), attribute.String("reason", "unauthenticated"))},
	}, metricdatatest.IgnoreTimestamp(), metricdatatest.IgnoreExemplars())
}
