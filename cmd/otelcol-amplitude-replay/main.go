// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

// Otelcol-amplitude-replay sends the dead letters of the exporter amplitude to an OTLP/HTTP receiver again,
// once their cause is fixed. Each line is posted until the receiver takes it; the events keep their insert_id,
// so that a line sent twice is stored once.
//
//	otelcol-amplitude-replay -file /var/lib/otelcol-amplitude/dead-letters/events.jsonl -endpoint http://127.0.0.1:4318/v1/logs
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"time"
)

const (
	requestTimeout = 30 * time.Second
	firstPause     = 500 * time.Millisecond
	longestPause   = 30 * time.Second
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "otelcol-amplitude-replay:", err)
		os.Exit(1)
	}
}

func run() error {
	file := flag.String("file", "", "dead letter file to send")
	endpoint := flag.String("endpoint", "http://127.0.0.1:4318/v1/logs", "URL of an OTLP/HTTP receiver for logs")
	from := flag.Int("from", 1, "number of the first line to send, to go on after an interruption")
	attempts := flag.Int("attempts", 10, "how often one line is tried")
	flag.Parse()
	if *file == "" {
		return errors.New("-file is required: the path of a dead letter file")
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	in, err := os.Open(*file)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()
	r := replay{
		client: &http.Client{Timeout: requestTimeout}, endpoint: *endpoint, attempts: *attempts,
		pause: firstPause, longestPause: longestPause,
	}
	lines, records, err := r.send(ctx, in, *from)
	fmt.Printf("sent %d lines with %d records\n", lines, records)
	return err
}
