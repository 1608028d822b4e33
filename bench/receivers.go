// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/plog/plogotlp"
	"go.opentelemetry.io/collector/receiver"
	"go.opentelemetry.io/collector/receiver/otlpreceiver"
	"go.opentelemetry.io/collector/receiver/receivertest"

	"github.com/otelcol-amplitude/otelcol-amplitude/bench/cmdline"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/loopback"
	"github.com/otelcol-amplitude/otelcol-amplitude/receiver/amplitudereceiver"
)

// receiverSuite compares receivers on the same events: OTLP's records are what the receiver amplitude makes of the upload.
func receiverSuite(o cmdline.Options, d *document) error {
	upload := uploadOf(batchSize)
	logs, err := recordsOf(upload)
	if err != nil {
		return err
	}
	request := plogotlp.NewExportRequestFromLogs(logs)
	asJSON, err := request.MarshalJSON()
	if err != nil {
		return err
	}
	asProto, err := request.MarshalProto()
	if err != nil {
		return err
	}
	results, err := measure(o, workload{name: "uploads", what: "ordinary events of SDKs", records: batchSize, batch: uploads}, []maker{
		receiverContender("amplitude", "", amplitudereceiver.NewFactory(), amplitudeConfig, "/batch", "application/json", upload),
		receiverContender("otlp JSON", "", otlpreceiver.NewFactory(), otlpConfig, "/v1/logs", "application/json", asJSON),
		receiverContender("otlp protobuf", "", otlpreceiver.NewFactory(), otlpConfig, "/v1/logs", "application/x-protobuf", asProto),
	})
	if err != nil {
		return err
	}
	d.suite("Receive 1,000 events as Amplitude's SDKs send them, HTTP client and loopback included", results)
	d.printf("\nSize of the bodies: %d kB in Amplitude's format, %d kB in OTLP JSON, %d kB in OTLP protobuf.\n", len(upload)>>10, len(asJSON)>>10, len(asProto)>>10)
	return nil
}

// uploads stand for requests, which are the same each time: nothing of a receiver depends on what came before.
func uploads(*rand.Rand, int) plog.Logs { return plog.NewLogs() }

func amplitudeConfig(address string) map[string]any {
	return map[string]any{"endpoint": address, "api_keys": []any{map[string]any{"key": "key"}}}
}

func otlpConfig(address string) map[string]any {
	return map[string]any{"protocols": map[string]any{"http": map[string]any{"endpoint": address}}}
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

// recordsOf is what the receiver amplitude makes of an upload.
func recordsOf(upload []byte) (plog.Logs, error) {
	sink := new(consumertest.LogsSink)
	r, url, err := startReceiver(amplitudereceiver.NewFactory(), amplitudeConfig, sink)
	if err != nil {
		return plog.Logs{}, err
	}
	err = send(url+"/batch", "application/json", upload)
	if stop := r.Shutdown(context.Background()); err == nil {
		err = stop
	}
	if err != nil {
		return plog.Logs{}, err
	}
	return sink.AllLogs()[0], nil
}

func receiverContender(name, note string, factory receiver.Factory, config func(address string) map[string]any, path, contentType string, body []byte) maker {
	return func() (contender, component.Component, error) {
		r, url, err := startReceiver(factory, config, consumertest.NewNop())
		if err != nil {
			return contender{}, nil, fmt.Errorf("%s: %w", name, err)
		}
		return contender{name: name, note: note, consume: func(context.Context, plog.Logs) error {
			return send(url+path, contentType, body)
		}}, r, nil
	}
}

func startReceiver(factory receiver.Factory, config func(address string) map[string]any, next consumer.Logs) (component.Component, string, error) {
	address, err := loopback.FreeAddress()
	if err != nil {
		return nil, "", err
	}
	cfg := factory.CreateDefaultConfig()
	if err := confmap.NewFromStringMap(config(address)).Unmarshal(&cfg); err != nil {
		return nil, "", err
	}
	r, err := factory.CreateLogs(context.Background(), receivertest.NewNopSettings(factory.Type()), cfg, next)
	if err != nil {
		return nil, "", err
	}
	return r, "http://" + address, r.Start(context.Background(), componenttest.NewNopHost())
}

func send(url, contentType string, body []byte) error {
	response, err := http.Post(url, contentType, bytes.NewReader(body)) //nolint:gosec // a receiver of this process
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, response.Body)
	if closed := response.Body.Close(); err == nil {
		err = closed
	}
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s answers %s", url, response.Status)
	}
	return err
}
