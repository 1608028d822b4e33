// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/exporter/exportertest"
	"go.opentelemetry.io/collector/exporter/otlphttpexporter"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/otelcol-amplitude/otelcol-amplitude/exporter/amplitudeexporter"
	"github.com/otelcol-amplitude/otelcol-amplitude/processor/amplitudeexperimentprocessor"
)

// shaped is a workload after the processor: what reaches the exporter.
func shaped(of workload) (workload, error) {
	p, err := newProcessor(amplitudeexperimentprocessor.NewFactory(), map[string]any{"dedup": map[string]any{"enabled": false}}, consumertest.NewNop())
	if err != nil {
		return workload{}, err
	}
	return workload{name: of.name + " events", what: of.what + ", as events", batch: func(r *rand.Rand, serial int) plog.Logs {
		logs := of.batch(r, serial)
		if err := p.ConsumeLogs(context.Background(), logs); err != nil {
			panic(err) // there is nothing behind the processor that could refuse
		}
		return logs
	}}, nil
}

func exporterContender(name, note string, factory exporter.Factory, config map[string]any) maker {
	return func() (contender, component.Component, error) {
		config["sending_queue"] = map[string]any{"enabled": false}
		config["retry_on_failure"] = map[string]any{"enabled": false}
		e, err := startExporter(factory, config)
		if err != nil {
			return contender{}, nil, fmt.Errorf("%s: %w", name, err)
		}
		return contender{name: name, note: note, consume: e.ConsumeLogs}, e, nil
	}
}

func startExporter(factory exporter.Factory, config map[string]any) (exporter.Logs, error) {
	cfg := factory.CreateDefaultConfig()
	if err := confmap.NewFromStringMap(config).Unmarshal(cfg); err != nil {
		return nil, err
	}
	e, err := factory.CreateLogs(context.Background(), exportertest.NewNopSettings(factory.Type()), cfg)
	if err != nil {
		return nil, err
	}
	return e, e.Start(context.Background(), componenttest.NewNopHost())
}

// dryRun encodes and counts, all but the sending.
func dryRun() maker {
	return exporterContender("amplitude, encoding (dry run)", "counts the events as well", amplitudeexporter.NewFactory(),
		map[string]any{"dry_run": true})
}

// push sends with a Collector's exporter without its queue, so that the whole of it is in the call.
func push(to *sink) []maker {
	return []maker{
		exporterContender("amplitude, encode and POST", "default settings: one request per batch", amplitudeexporter.NewFactory(),
			map[string]any{"api_key": "bench", "endpoint": to.url + "/2/httpapi", "compression": "none"}),
		exporterContender("otlp_http JSON", "OTLP, not Amplitude's API", otlphttpexporter.NewFactory(),
			map[string]any{"endpoint": to.url, "encoding": "json", "compression": "none"}),
		exporterContender("otlp_http protobuf", "OTLP, not Amplitude's API", otlphttpexporter.NewFactory(),
			map[string]any{"endpoint": to.url, "encoding": "proto", "compression": "none"}),
	}
}

// mapAndJSON encodes the same events as one would write it first: a map, then encoding/json.
func mapAndJSON() contender {
	return contender{name: "map + encoding/json", note: "no checks, no limits", consume: func(_ context.Context, logs plog.Logs) error {
		for _, resource := range logs.ResourceLogs().All() {
			for _, scope := range resource.ScopeLogs().All() {
				for _, record := range scope.LogRecords().All() {
					if _, err := json.Marshal(eventMap(record)); err != nil {
						return err
					}
				}
			}
		}
		return nil
	}}
}

func eventMap(record plog.LogRecord) map[string]any {
	properties, set := map[string]any{}, map[string]any{}
	event := map[string]any{
		"event_type": record.EventName(), "time": record.Timestamp().AsTime().UnixMilli(),
		"event_properties": properties, "user_properties": map[string]any{"$set": set},
		"library": "otelcol-amplitude/bench",
	}
	for name, value := range record.Attributes().All() {
		if property, ok := strings.CutPrefix(name, "amplitude.user_properties.$set."); ok {
			set[property] = value.AsRaw()
		} else if field, ok := strings.CutPrefix(name, "amplitude."); ok {
			event[field] = value.AsRaw()
		} else {
			properties[name] = value.AsRaw()
		}
	}
	return event
}

// copyOutput is the physical limit of an encoder: to write as many bytes.
func copyOutput(events workload) (contender, error) {
	record := events.batch(nil, 0).ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().At(0)
	text, err := json.Marshal(eventMap(record))
	if err != nil {
		return contender{}, err
	}
	var out []byte
	return contender{name: "memcpy of the output", note: "a lower bound, not an encoder", consume: func(_ context.Context, logs plog.Logs) error {
		out = out[:0]
		for range logs.LogRecordCount() {
			out = append(out, text...)
		}
		return nil
	}}, nil
}
