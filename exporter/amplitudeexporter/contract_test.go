// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudeexporter

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/exporter/exportertest"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pipeline"
	"go.opentelemetry.io/collector/receiver"
)

// contractElements is how many records each scenario sends.
const contractElements = 20

// TestConsumeContract is the core's own test of exporters: accepted data arrives once, permanent failures are not
// retried, and others are.
func TestConsumeContract(t *testing.T) {
	server := newContractServer(t)
	exportertest.CheckConsumeContract(exportertest.CheckConsumeContractParams{
		T:                    t,
		NumberOfTestElements: contractElements,
		Signal:               pipeline.SignalLogs,
		ExporterFactory:      eventsFactory(),
		ExporterConfig: newConfig(t, map[string]any{
			"endpoint":         server.URL + "/2/httpapi",
			"retry_on_failure": map[string]any{"enabled": true, "initial_interval": "1ms", "max_interval": "2ms"},
		}),
		ReceiverFactory: server.receiverFactory(),
		ReceiverConfig:  &struct{}{},
	})
}

// eventsFactory makes exporters that receive the test's records as events, as a processor would make them.
func eventsFactory() exporter.Factory {
	inner := NewFactory()
	create := func(ctx context.Context, set exporter.Settings, cfg component.Config) (exporter.Logs, error) {
		made, err := inner.CreateLogs(ctx, set, cfg)
		return asEvents{made}, err
	}
	return exporter.NewFactory(inner.Type(), inner.CreateDefaultConfig, exporter.WithLogs(create, inner.LogsStability()))
}

type asEvents struct{ exporter.Logs }

func (e asEvents) ConsumeLogs(ctx context.Context, logs plog.Logs) error {
	for _, resource := range logs.ResourceLogs().All() {
		for _, scope := range resource.ScopeLogs().All() {
			for _, record := range scope.LogRecords().All() {
				record.SetEventName("$exposure")
				record.Attributes().PutStr("amplitude.user_id", "user-12345")
			}
		}
	}
	return e.Logs.ConsumeLogs(ctx, logs)
}

// contractServer answers like Amplitude, as decided by the consumer behind it.
type contractServer struct {
	*httptest.Server
	next atomic.Pointer[consumer.Logs]
}

func newContractServer(t *testing.T) *contractServer {
	s := &contractServer{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		body, err := io.ReadAll(request.Body)
		assert.NoError(t, err)
		var upload struct {
			Events []struct {
				Properties map[string]any `json:"event_properties"`
			} `json:"events"`
		}
		assert.NoError(t, json.Unmarshal(body, &upload))
		if !assert.Len(t, upload.Events, 1, "the contract counts requests") {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		logs := plog.NewLogs()
		record := logs.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords().AppendEmpty()
		assert.NoError(t, record.Attributes().FromRaw(upload.Events[0].Properties))
		switch err := (*s.next.Load()).ConsumeLogs(request.Context(), logs); {
		case err == nil:
			_, _ = io.WriteString(w, `{"code":200,"events_ingested":1}`)
		case consumererror.IsPermanent(err):
			w.WriteHeader(http.StatusBadRequest)
			_, _ = io.WriteString(w, `{"code":400,"error":"Invalid field values on some events","events_with_invalid_fields":{"time":[0]}}`)
		default:
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	t.Cleanup(s.Close)
	return s
}

// receiverFactory makes receivers of what arrives at the server.
func (s *contractServer) receiverFactory() receiver.Factory {
	create := func(_ context.Context, _ receiver.Settings, _ component.Config, next consumer.Logs) (receiver.Logs, error) {
		s.next.Store(&next)
		return struct {
			component.StartFunc
			component.ShutdownFunc
		}{}, nil
	}
	return receiver.NewFactory(component.MustNewType("contract"), func() component.Config { return &struct{}{} },
		receiver.WithLogs(create, component.StabilityLevelStable))
}
