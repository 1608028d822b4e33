// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

// Otelcol-amplitude-replay resends the dead letters of the exporter amplitude once their cause is fixed, through a
// pipeline with the processor amplitude_experiment, and reports what became of each.
//
//	otelcol-amplitude-replay -file /var/lib/otelcol-amplitude/dead-letters/events.jsonl -endpoint http://127.0.0.1:4318/v1/logs
//
// Run it on the machine of that Collector: the processor only answers local requests. Delivered letters are recorded in
// a journal next to the file, so that a second run sends only the rest; the file itself does not change. The exit code
// is 0 if nothing in the file is left to be sent.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

const (
	requestTimeout = time.Minute
	firstPause     = 500 * time.Millisecond
	longestPause   = 10 * time.Second
)

// errLeft makes the exit code nonzero; what is left was printed before.
var errLeft = errors.New("not every letter was delivered: fix the problems above and run the command again, which sends only the rest")

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "otelcol-amplitude-replay:", err)
		os.Exit(1)
	}
}

const usage = `Send the exporter's dead letters through the Collector again, and report what became of each.

usage: otelcol-amplitude-replay -file FILE [flags]

A journal next to the file keeps a second run from sending what was delivered. The exit code is 0 only if nothing is left.

flags:
`

func run(ctx context.Context, arguments []string, out io.Writer) error {
	flags := flag.NewFlagSet("otelcol-amplitude-replay", flag.ContinueOnError)
	file := flags.String("file", "", "dead letter file to send")
	endpoint := flags.String("endpoint", "http://127.0.0.1:4318/v1/logs", "URL of an OTLP/HTTP receiver for logs, on this machine")
	journal := flags.String("journal", "", "file that records which letters need not be sent again (default: the dead letter file's name plus .replayed)")
	from := flags.Int("from", 1, "number of the first line to send")
	attempts := flags.Int("attempts", 10, "how often a request is tried if the receiver does not accept it")
	wait := flags.Duration("wait", time.Minute, "how long to wait at the end for letters that are still in flight")
	older := flags.Bool("older", false, "also send letters whose event is older than seven days: Amplitude stores an event twice if it already has it")
	flags.Usage = func() {
		_, _ = fmt.Fprint(flags.Output(), usage)
		flags.PrintDefaults()
	}
	switch err := flags.Parse(arguments); {
	case errors.Is(err, flag.ErrHelp):
		return nil
	case err != nil:
		return err
	}
	if *file == "" {
		return errors.New("-file is required: the path of a dead letter file")
	}
	if *journal == "" {
		*journal = *file + ".replayed"
	}
	in, err := os.Open(*file)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()
	info, err := in.Stat()
	if err != nil {
		return err
	}
	handled, err := openJournal(*journal)
	if err != nil {
		return fmt.Errorf("writing the journal, which keeps a second run from sending delivered letters again: %w", err)
	}
	defer func() { _ = handled.close() }()
	r := &replayer{
		client: &http.Client{Timeout: requestTimeout}, endpoint: *endpoint, attempts: *attempts,
		pause: firstPause, longestPause: longestPause, wait: *wait,
		from: *from, older: *older, now: time.Now, journal: handled, out: out,
	}
	// What is dead-lettered again in the meantime is left for the next run.
	return r.run(ctx, io.LimitReader(in, info.Size()))
}
