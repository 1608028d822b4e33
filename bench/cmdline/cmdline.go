// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

// Package cmdline holds the command line of the benchmark. It imports nothing that takes long to compile, so that the
// command line can be shown without a build of what is measured.
package cmdline // import "github.com/otelcol-amplitude/otelcol-amplitude/bench/cmdline"

import (
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"
)

// Names of the measurements that can be made alone, in the order in which they are made.
const (
	Processor = "processor"
	Exporter  = "exporter"
	Receiver  = "receiver"
	Collector = "collector"
	Garbage   = "garbage"
	Starts    = "starts"
	Growth    = "growth"
	Persons   = "persons"
	Queue     = "queue"
	Sandbox   = "sandbox"
)

// parts say what each measurement takes, on 2 quiet cores with the standard flags.
var parts = []struct{ name, what string }{
	{Processor, "the processor beside OTTL and log_dedup, in one process"},
	{Exporter, "the exporter beside otlp_http, and the heap that a queued event takes"},
	{Receiver, "the receiver amplitude beside otlp"},
	{Collector, "the built Collector beside its peers"},
	{Garbage, "the built Collector with several settings of the garbage collector; written to operations.md"},
	{Starts, "the built Collector after a first start, a clean stop and a kill"},
	{Growth, "CPU against attributes, flags, properties and the size of batches"},
	{Persons, "CPU and memory against the number of users in memory"},
	{Queue, "a queue on disk of up to -events events: its size, and how long a start takes with it"},
	{Sandbox, "the sandbox with up to -events events: the requests of its page"},
}

// maxRecords is how many records of a workload are fresh: see workload.go.
const maxRecords = 1_000_000

// Options say what is measured, and how long.
type Options struct {
	// Rounds are interleaved, of so many Batches of 1,000 records each.
	Rounds, Batches int
	// Persons is the largest number of persons that are remembered, and Events that of events on disk and in the sandbox.
	Persons, Events int
	// Collector is the path of the built Collector; without it nothing is measured end to end.
	Collector string
	// Before is the path of another one, to compare with.
	Before string
	// Docs is the folder with the pages to renew.
	Docs string
	// Parts are the measurements to make; none means all.
	Parts []string
	// Sink makes the process the other end of a measurement.
	Sink bool
}

// Parse reads a command line. It writes what is wrong, or the usage if that is asked for ([flag.ErrHelp]), to w.
func Parse(arguments []string, w io.Writer) (Options, error) {
	var o Options
	set := flag.NewFlagSet("bench", flag.ContinueOnError)
	set.SetOutput(w)
	set.IntVar(&o.Rounds, "rounds", 7, "interleaved rounds")
	set.IntVar(&o.Batches, "batches", 100, "batches of 1,000 records in a round, in one process; the built Collector gets twice as many")
	set.IntVar(&o.Persons, "persons", 10_000_000, "largest number of users in memory")
	set.IntVar(&o.Events, "events", 1_000_000, "largest number of events in a queue on disk and in the sandbox")
	set.StringVar(&o.Collector, "collector", "", "the built Collector; without it nothing is measured end to end")
	set.StringVar(&o.Before, "before", "", "a built Collector of another commit, to compare with in the part "+Collector)
	set.StringVar(&o.Docs, "docs", "", "folder with the pages to renew; without it everything is only printed")
	set.BoolVar(&o.Sink, "sink", false, "be the other end, for the measurements themselves")
	only := set.String("parts", "", "measure only these, separated by commas")
	set.Usage = func() {
		_, _ = fmt.Fprintf(w, "make bench BENCH='flags': a full run takes about 20 minutes on two quiet cores. Flags:\n")
		set.PrintDefaults()
		_, _ = fmt.Fprintf(w, "Parts, each of which renews its own block of the pages:\n")
		for _, part := range parts {
			_, _ = fmt.Fprintf(w, "  %-10s %s\n", part.name, part.what)
		}
	}
	if err := set.Parse(arguments); err != nil {
		return o, err
	}
	if *only != "" {
		o.Parts = strings.Split(*only, ",")
	}
	for _, part := range o.Parts {
		if names := Names(); !slices.Contains(names, part) {
			return o, fmt.Errorf("-parts: there is no part %q: name %s", part, strings.Join(names, ", "))
		}
	}
	if o.Rounds < 1 || o.Batches < 1 {
		return o, fmt.Errorf("-rounds and -batches must be at least 1, got %d and %d", o.Rounds, o.Batches)
	}
	if records := (o.Rounds + 1) * o.Batches * 1000; records > maxRecords {
		return o, fmt.Errorf("-rounds and -batches: %d records would no longer all be new, at most %d are: lower one of them", records, maxRecords)
	}
	return o, nil
}

// Names are the names of all parts.
func Names() []string {
	names := make([]string, len(parts))
	for i, part := range parts {
		names[i] = part.name
	}
	return names
}
