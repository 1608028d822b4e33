// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

// Command bench compares the components with what a user would pick instead, and with physical
// limits, in one run on one machine. It renews the tables and charts of docs/performance.md, and one in docs/operations.md.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"

	"github.com/otelcol-amplitude/otelcol-amplitude/bench/cmdline"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/cleanenv"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/docblock"
)

// part is a measurement that can be made alone.
type part struct {
	name, page string
	run        func(cmdline.Options, *document) error
	// built says that it runs the built Collector.
	built bool
}

// parts are all measurements, in the order of cmdline.Names.
var parts = []part{
	{cmdline.Processor, performance, processorSuites, false},
	{cmdline.Exporter, performance, exporterSuites, false},
	{cmdline.Receiver, performance, receiverSuite, false},
	{cmdline.Collector, performance, endToEnd, true},
	{cmdline.Garbage, operations, garbage, true},
	{cmdline.Starts, performance, starts, true},
	{cmdline.Growth, performance, growth, false},
	{cmdline.Persons, performance, persons, false},
	{cmdline.Queue, performance, queueOnDisk, true},
	{cmdline.Sandbox, performance, sandboxGrowth, false},
}

const performance, operations = "performance.md", "operations.md"

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

func run(o cmdline.Options) error {
	for _, p := range parts {
		if len(o.Parts) > 0 && !slices.Contains(o.Parts, p.name) || p.built && o.Collector == "" {
			continue
		}
		fmt.Fprintf(os.Stderr, "measuring: %s\n", p.name)
		w, d := docblock.StartWatch(), &document{}
		if err := p.run(o, d); err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
		stamp := w.Stamp("make bench BENCH='-parts "+p.name+"'", o.Rounds)
		fmt.Printf("%s%s\n", stamp, d.text.String())
		if o.Docs == "" {
			continue
		}
		if err := d.write(o.Docs, p, stamp); err != nil {
			return err
		}
	}
	return nil
}
