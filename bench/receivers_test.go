// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/plog/plogotlp"
	"go.opentelemetry.io/collector/receiver"
	"go.opentelemetry.io/collector/receiver/otlpreceiver"
	"go.opentelemetry.io/collector/receiver/receivertest"

	"github.com/otelcol-amplitude/otelcol-amplitude/receiver/amplitudereceiver"
)

const (
	uploadAddress = "127.0.0.1:28586"
	otlpAddress   = "127.0.0.1:28587"
)

// BenchmarkReceivers takes the same events by Amplitude's HTTP API and by OTLP over HTTP, client and loopback included:
//
//	go -C bench test -run '^$' -bench Receivers -benchmem -count 6
//
// The records of both are the same: those of OTLP are encoded from what the receiver amplitude makes of the events.
func BenchmarkReceivers(b *testing.B) {
	sink := &consumertest.LogsSink{}
	upload := uploadOf(batchSize)
	run := startReceiver(b, amplitudereceiver.NewFactory(), map[string]any{"endpoint": uploadAddress, "api_keys": []any{map[string]any{"key": "key"}}}, sink)
	send(b, "http://"+uploadAddress+"/batch", "application/json", upload)
	logs := sink.AllLogs()[0]
	require.Equal(b, batchSize, logs.LogRecordCount())
	sink.Reset()
	run()

	request := plogotlp.NewExportRequestFromLogs(logs)
	asProto, err := request.MarshalProto()
	require.NoError(b, err)
	asJSON, err := request.MarshalJSON()
	require.NoError(b, err)
	otlp := map[string]any{"protocols": map[string]any{"http": map[string]any{"endpoint": otlpAddress}}}
	for _, c := range []struct {
		name, url, contentType string
		body                   []byte
		factory                receiver.Factory
		config                 map[string]any
	}{
		{"amplitude", "http://" + uploadAddress + "/batch", "application/json", upload, amplitudereceiver.NewFactory(), map[string]any{"endpoint": uploadAddress, "api_keys": []any{map[string]any{"key": "key"}}}},
		{"otlp JSON", "http://" + otlpAddress + "/v1/logs", "application/json", asJSON, otlpreceiver.NewFactory(), otlp},
		{"otlp protobuf", "http://" + otlpAddress + "/v1/logs", "application/x-protobuf", asProto, otlpreceiver.NewFactory(), otlp},
	} {
		b.Run(c.name, func(b *testing.B) {
			stop := startReceiver(b, c.factory, c.config, consumertest.NewNop())
			defer stop()
			send(b, c.url, c.contentType, c.body)
			b.SetBytes(int64(len(c.body)))
			b.ReportAllocs()
			for b.Loop() {
				send(b, c.url, c.contentType, c.body)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/batchSize, "ns/event")
		})
	}
}

// uploadOf is a request of ordinary events, as SDKs send them.
func uploadOf(n int) []byte {
	events := make([]string, n)
	for i := range events {
		events[i] = fmt.Sprintf(`{"event_type":"Product Viewed","user_id":"user-%08d","device_id":"device-%08d","time":%d,"session_id":%d,"insert_id":"%08d-1c5f-4d0a-9f0e-5b1f2a3c4d5e",`+
			`"platform":"Web","os_name":"Chrome","os_version":"140","language":"en-US","library":"amplitude-ts/2.48.1","event_id":%d,`+
			`"event_properties":{"product":"book-%d","price":%d.99,"in_stock":true,"list":"winter","position":%d},`+
			`"user_properties":{"$set":{"plan":"pro","visits":%d},"$setOnce":{"source":"ad"}}}`, i, i, 1763895600000+i, 1763895600000, i, i, i%50, i%90, i%20, i)
	}
	return fmt.Appendf(nil, `{"api_key":"key","events":[%s]}`, strings.Join(events, ","))
}

func startReceiver(b *testing.B, factory receiver.Factory, config map[string]any, next consumer.Logs) (stop func()) {
	b.Helper()
	cfg := factory.CreateDefaultConfig()
	require.NoError(b, confmap.NewFromStringMap(config).Unmarshal(&cfg))
	r, err := factory.CreateLogs(context.Background(), receivertest.NewNopSettings(factory.Type()), cfg, next)
	require.NoError(b, err)
	require.NoError(b, r.Start(context.Background(), componenttest.NewNopHost()))
	return func() { require.NoError(b, r.Shutdown(context.Background())) }
}

func send(b *testing.B, url, contentType string, body []byte) {
	b.Helper()
	response, err := http.Post(url, contentType, bytes.NewReader(body)) //nolint:gosec // an address above
	require.NoError(b, err)
	_, err = io.Copy(io.Discard, response.Body)
	require.NoError(b, err)
	require.NoError(b, response.Body.Close())
	require.Equal(b, http.StatusOK, response.StatusCode)
}
