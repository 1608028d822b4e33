// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"

	"github.com/otelcol-amplitude/otelcol-amplitude/bench/cmdline"
)

// perBatch bounds the allocations of a batch itself: contexts, attribute sets, goroutines. What allocates
// once for each record has a thousand.
const perBatch = 100

// allocationFree is 0 when a batch of a thousand records allocates for itself only.
func allocationFree(allocs float64) float64 {
	if allocs*batchSize <= perBatch {
		return 0
	}
	return allocs
}

func processorSuites(o cmdline.Options, d *document) error {
	results, err := measure(o, w1, []maker{ours, transformW1}, clone(), decode())
	if err != nil {
		return err
	}
	d.suite("W1: 1,000 one-flag exposures", results)
	d.targetRatio("transform / amplitude_experiment", ratio(results[0].rounds, results[1].rounds), 4.5, true)
	d.target("Allocations per event", results[0].allocs, 4)

	if results, err = measure(o, w2, []maker{ours}, clone(), decode()); err != nil {
		return err
	}
	d.suite("W2: 1,000 assignments of 10 flags (OTTL cannot loop over a map)", results)

	for _, one := range []struct {
		w    workload
		want float64
	}{{w350, 4}, {w395, 3}} {
		if results, err = measure(o, one.w, []maker{ours, dedupW3}); err != nil {
			return err
		}
		d.suite(one.w.name+": "+one.w.what, results)
		d.targetRatio("log_dedup / amplitude_experiment", ratio(results[0].rounds, results[1].rounds), one.want, true)
	}
	if results, err = measure(o, w4, []maker{ours}, decode()); err != nil {
		return err
	}
	d.suite("W4: 1,000 records that are not about a flag", results)
	d.targetRatio("amplitude_experiment / decoding the same bytes", ratio(results[1].rounds, results[0].rounds), 0.045, false)
	d.target("Allocations per record, not counting those of the batch itself", allocationFree(results[0].allocs), 0)
	return nil
}

func exporterSuites(o cmdline.Options, d *document) error {
	events, err := shaped(w1)
	if err != nil {
		return err
	}
	limit, err := copyOutput(events)
	if err != nil {
		return err
	}
	results, err := measure(o, events, []maker{dryRun()}, mapAndJSON(), limit)
	if err != nil {
		return err
	}
	d.suite("Encoding W1's events", results)
	d.targetRatio("map + encoding/json / amplitude", ratio(results[0].rounds, results[1].rounds), 8, true)
	d.target("Allocations per event, not counting those of the batch itself", allocationFree(results[0].allocs), 0)

	to, err := startSink()
	if err != nil {
		return err
	}
	if results, err = measure(o, events, push(to)); err != nil {
		return errors.Join(err, to.stop())
	}
	d.suite("Encode and POST W1's events to a local sink, no gzip, no queue", results)
	d.targetRatio("amplitude / otlp_http JSON", ratio(results[1].rounds, results[0].rounds), 0.6, false)
	d.targetRatio("amplitude / otlp_http protobuf", ratio(results[2].rounds, results[0].rounds), 1.1, false)
	return errors.Join(queuedEvents(d, to), to.stop())
}
