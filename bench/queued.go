// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"

	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/exporter/otlphttpexporter"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/otelcol-amplitude/otelcol-amplitude/exporter/amplitudeexporter"
	"github.com/otelcol-amplitude/otelcol-amplitude/processor/amplitudeexperimentprocessor"
)

// queuedBatches fill a queue.
const queuedBatches = 100

// queuedEvents tells what an event takes on the heap while it waits, because the other end is away.
func queuedEvents(d *document, to *sink) (err error) {
	if err := to.setAway(true); err != nil {
		return err
	}
	d.printf("\n## Heap per queued event\n\n%d W1 events in an in-memory queue, decoded and shaped as in a Collector, while the other end is down.\n\n"+
		"| | heap bytes per event | note |\n|---|--:|---|\n", queuedBatches*batchSize)
	var perEvent []float64
	for _, one := range []struct {
		name, note string
		factory    exporter.Factory
		config     map[string]any
	}{
		{"amplitude", "", amplitudeexporter.NewFactory(), map[string]any{"api_key": "bench", "endpoint": to.url + "/2/httpapi"}},
		{"otlp_http", "OTLP, not Amplitude's API", otlphttpexporter.NewFactory(), map[string]any{"endpoint": to.url}},
	} {
		one.config["sending_queue"] = map[string]any{"sizer": "items", "queue_size": 2 * queuedBatches * batchSize}
		e, err := startExporter(one.factory, one.config)
		if err != nil {
			return fmt.Errorf("%s: %w", one.name, err)
		}
		taken, err := heapInQueue(e)
		if err = errors.Join(err, to.setAway(false), e.Shutdown(context.Background()), to.setAway(true)); err != nil {
			return fmt.Errorf("%s: %w", one.name, err)
		}
		d.printf("| %s | %.0f | %s |\n", one.name, taken, one.note)
		perEvent = append(perEvent, taken)
	}
	d.target("Heap bytes per queued event", perEvent[0], 750)
	return to.setAway(false)
}

// heapInQueue fills the queue of an exporter through a processor that remembers nothing, so that nothing else grows.
func heapInQueue(next consumer.Logs) (perEvent float64, err error) {
	p, err := newProcessor(amplitudeexperimentprocessor.NewFactory(), map[string]any{"dedup": map[string]any{"enabled": false}}, next)
	if err != nil {
		return 0, err
	}
	before := heap()
	for serial := range queuedBatches {
		body, err := (&plog.ProtoMarshaler{}).MarshalLogs(w1.batch(nil, serial))
		if err != nil {
			return 0, err
		}
		logs, err := (&plog.ProtoUnmarshaler{}).UnmarshalLogs(body)
		if err != nil {
			return 0, err
		}
		if err := p.ConsumeLogs(context.Background(), logs); err != nil {
			return 0, err
		}
	}
	taken := heap() - before
	return float64(taken) / (queuedBatches * batchSize), p.Shutdown(context.Background())
}
