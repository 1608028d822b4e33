// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

// Command bench compares the components with what a user would pick instead, and with physical
// limits, in one run on one machine. It writes its tables and a chart to docs/performance.*.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"

	"go.opentelemetry.io/collector/component"

	"github.com/otelcol-amplitude/otelcol-amplitude/bench/cmdline"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/cleanenv"
)

// part is a measurement that can be made alone.
type part struct {
	name string
	run  func(cmdline.Options, *document) error
}

// parts are all measurements, in the order of the page.
var parts = []part{{cmdline.Processor, processorSuites}, {cmdline.Exporter, exporterSuites}, {cmdline.Receiver, receiverSuite}, {cmdline.Growth, growth}, {cmdline.Collector, endToEnd}}

func main() {
	o, err := cmdline.Parse(os.Args[1:], os.Stderr)
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	cleanenv.Process() // and so for the programs that are measured
	switch {
	case err != nil:
	case o.Sink:
		err = serve()
	default:
		err = run(o)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// maker starts a contender.
type maker func() (contender, component.Component, error)

func run(o cmdline.Options) error {
	d := &document{}
	d.head(o.Rounds, o.Batches)
	for _, p := range parts {
		if len(o.Parts) > 0 && !slices.Contains(o.Parts, p.name) {
			continue
		}
		if err := p.run(o, d); err != nil {
			return err
		}
	}
	d.printf("%s", profiles)
	if o.Docs == "" || len(o.Parts) > 0 {
		return nil
	}
	return d.write(o.Docs)
}

// measure starts the contenders, compares them and stops them.
func measure(o cmdline.Options, w workload, makers []maker, limits ...contender) (results []figures, err error) {
	var contenders []contender
	for _, m := range makers {
		c, started, err := m()
		if err != nil {
			return nil, err
		}
		defer func() {
			if stop := started.Shutdown(context.Background()); stop != nil && err == nil {
				err = stop
			}
		}()
		contenders = append(contenders, c)
	}
	return compareAll(w, append(contenders, limits...), o.Rounds, o.Batches)
}

// ratio is how many times the CPU time of b that of a is.
func ratio(results []figures, a, b int) float64 {
	return float64(results[b].median()) / float64(results[a].median())
}

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
	w1Results, err := measure(o, w1, []maker{ours, transformW1}, clone(), decode())
	if err != nil {
		return err
	}
	d.suite("W1: 1,000 one-flag exposures", w1Results)
	d.target("transform / amplitude_experiment", ratio(w1Results, 0, 1), 12, true)
	d.target("Allocations per event", w1Results[0].allocs, 4, false)

	results, err := measure(o, w2, []maker{ours}, clone(), decode())
	if err != nil {
		return err
	}
	d.suite("W2: 1,000 assignments of 10 flags (OTTL cannot loop over a map)", results)

	for _, one := range []struct {
		w    workload
		want float64
	}{{w350, 5}, {w395, 14}} {
		if results, err = measure(o, one.w, []maker{ours, dedupW3}); err != nil {
			return err
		}
		d.suite(one.w.name+": "+one.w.what, results)
		d.target("log_dedup / amplitude_experiment", ratio(results, 0, 1), one.want, true)
	}
	if results, err = measure(o, w4, []maker{ours}, decode()); err != nil {
		return err
	}
	d.suite("W4: 1,000 records that are not about a flag", results)
	d.target("amplitude_experiment / decoding the same bytes", ratio(results, 1, 0), 0.03, false)
	d.target("Allocations per record, without those of the batch", allocationFree(results[0].allocs), 0, false)
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
	d.target("map + encoding/json / amplitude", ratio(results, 0, 1), 8, true)
	d.target("Allocations per event, without those of the batch", allocationFree(results[0].allocs), 0, false)

	to, err := startSink()
	if err != nil {
		return err
	}
	if results, err = measure(o, events, push(to)); err == nil {
		d.suite("Encode and POST W1's events to a local sink, no gzip, no queue", results)
		d.target("amplitude / otlp_http JSON", ratio(results, 1, 0), 0.6, false)
		d.target("amplitude / otlp_http protobuf", ratio(results, 2, 0), 1.1, false)
	}
	if stop := to.stop(); err == nil {
		err = stop
	}
	return err
}
