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

// Names of the measurements that can be made alone, in the order of the page.
const (
	Processor = "processor"
	Exporter  = "exporter"
	Receiver  = "receiver"
	Growth    = "growth"
	Collector = "collector"
)

var names = []string{Processor, Exporter, Receiver, Growth, Collector}

// Options say what is measured, and how long.
type Options struct {
	// Rounds are interleaved, of so many Batches of 1,000 records each.
	Rounds, Batches int
	// Users is the largest number of users in the growth of the state.
	Users int
	// Collector is the path of the built Collector; without it nothing is measured end to end.
	Collector string
	// Docs is the folder to write performance.md and performance.svg to.
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
	set.IntVar(&o.Rounds, "rounds", 9, "interleaved rounds")
	set.IntVar(&o.Batches, "batches", 100, "batches of 1,000 records in a round")
	set.IntVar(&o.Users, "users", 10_000_000, "largest number of users in the growth of the state")
	set.StringVar(&o.Collector, "collector", "", "the built Collector; without it nothing is measured end to end")
	set.StringVar(&o.Docs, "docs", "", "folder to write performance.md and performance.svg to")
	set.BoolVar(&o.Sink, "sink", false, "be the other end, for the measurements themselves")
	only := set.String("parts", "", "measure only these, separated by commas: "+strings.Join(names, ", ")+"; they make no page")
	if err := set.Parse(arguments); err != nil {
		return o, err
	}
	if *only != "" {
		o.Parts = strings.Split(*only, ",")
	}
	for _, part := range o.Parts {
		if !slices.Contains(names, part) {
			return o, fmt.Errorf("-parts: there is no part %q: name %s", part, strings.Join(names, ", "))
		}
	}
	return o, nil
}
