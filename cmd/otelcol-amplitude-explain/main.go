// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

// Command otelcol-amplitude-explain answers "what would happen to this record?". It reads log records as OTLP and
// explains, with the processor's own code, what the processor amplitude_experiment does with each and why, and which
// event the exporter amplitude would send. It connects to nothing unless asked to watch a running Collector (tap).
//
//	otelcol-amplitude-explain --config collector.yaml < record.json
package main // import "github.com/otelcol-amplitude/otelcol-amplitude/cmd/otelcol-amplitude-explain"

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// version is the version of the Collector built with this command; the exporter sends it with each event.
const version = "0.1.0-dev"

// Exit statuses other than 0.
const (
	exitDifferent  = 1 // a case is not as expected
	exitUnreadable = 2 // input, configuration or flags cannot be read
)

const usage = `Explain what the Collector would make of log records, and why.

usage: otelcol-amplitude-explain [flags] [file ...]

Reads OTLP logs or traces from the files or standard input: JSON (a request, one request per line as the file
exporter writes, or a single log record) or one protobuf logs request. Spans go through the connector
feature_flag_events. Nothing is sent. Repeats are found only
among the records of the input: the state of a running Collector is not known here.

  otelcol-amplitude-explain < record.json
  otelcol-amplitude-explain --config collector.yaml --outcome rejected captured.jsonl
  otelcol-amplitude-explain --config collector.yaml --expect cases.yaml
  otelcol-amplitude-explain doctor --config collector.yaml
  otelcol-amplitude-explain tap --outcome skipped,rejected http://127.0.0.1:8587

flags:
`

func main() {
	os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// options are the flags.
type options struct {
	configs   []string
	processor string
	exporter  string
	connector string
	expect    []string
	junit     string
	outcome   string
	reason    string
	json      bool
	now       func() time.Time
	files     []string
}

func run(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	status := 0
	var o *options
	var err error
	if len(args) > 0 && args[0] == "doctor" {
		status, err = examine(args[1:], stdout, stderr)
	} else if len(args) > 0 && args[0] == "tap" {
		status, err = watchTap(args[1:], stdout, stderr)
	} else if o, err = parse(args, stderr); err == nil {
		status, err = o.run(stdin, stdout, stderr)
	}
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		fmt.Fprintf(stderr, "otelcol-amplitude-explain: %v\n", err)
		return exitUnreadable
	default:
		return status
	}
}

// run checks cases or explains inputs.
func (o *options) run(stdin io.Reader, stdout, stderr io.Writer) (status int, err error) {
	if len(o.expect) > 0 {
		return checkFiles(context.Background(), o, stdout)
	}
	return 0, explainInputs(o, stdin, stdout, stderr)
}

func parse(args []string, stderr io.Writer) (*options, error) {
	o := &options{}
	set := flag.NewFlagSet("otelcol-amplitude-explain", flag.ContinueOnError)
	set.SetOutput(stderr)
	set.Usage = func() {
		fmt.Fprint(stderr, usage)
		set.PrintDefaults()
	}
	set.Func("config", "configuration of the Collector, as its own --config: a `file`, or a URI such as env:NAME or yaml:...; may be repeated", func(uri string) error {
		o.configs = append(o.configs, uri)
		return nil
	})
	set.StringVar(&o.processor, "processor", "", "`id` of the processor in the configuration (default amplitude_experiment)")
	set.StringVar(&o.exporter, "exporter", "", "`id` of the exporter in the configuration (default amplitude)")
	set.StringVar(&o.connector, "connector", "", "`id` of the connector in the configuration (default feature_flag_events)")
	set.Func("expect", "check the test cases in a `file`: records and their expected results; may be repeated", func(path string) error {
		o.expect = append(o.expect, path)
		return nil
	})
	set.StringVar(&o.junit, "junit", "", "with --expect: write a JUnit report to this `file`")
	set.StringVar(&o.outcome, "outcome", "", "show only records with this `outcome`, such as rejected")
	set.StringVar(&o.reason, "reason", "", "show only records with this `reason`, such as short_id")
	set.BoolVar(&o.json, "json", false, "print one JSON object for each record")
	set.Func("now", "`time` of arrival (RFC 3339), instead of the clock", func(text string) error {
		at, err := time.Parse(time.RFC3339, text)
		o.now = func() time.Time { return at }
		return err
	})
	if err := set.Parse(args); err != nil {
		return nil, err
	}
	o.files = set.Args()
	switch {
	case len(o.configs) == 0 && len(o.expect) == 0 && (o.processor != "" || o.exporter != "" || o.connector != ""):
		return nil, errors.New("--processor, --exporter and --connector select sections of a configuration: pass it with --config")
	case len(o.expect) > 0 && (len(o.files) > 0 || o.json || o.outcome != "" || o.reason != ""):
		return nil, errors.New("--expect reads its records from the file of cases: it cannot be used with input files, --json, --outcome or --reason")
	case len(o.expect) == 0 && o.junit != "":
		return nil, errors.New("--junit reports on test cases: pass them with --expect")
	}
	return o, nil
}

func explainInputs(o *options, stdin io.Reader, stdout, stderr io.Writer) error {
	ctx := context.Background()
	s, err := newSession(ctx, o)
	if err != nil {
		return err
	}
	out := newPrinter(stdout, o)
	read := func(name string, from io.Reader) error { return s.read(ctx, name, from, out.print) }
	if len(o.files) == 0 {
		if isTerminal(stdin) {
			fmt.Fprintln(stderr, "reading OTLP from the terminal: paste a request, then Ctrl-D; or see --help")
		}
		err = read("stdin", stdin)
	}
	for _, name := range o.files {
		if err = readFile(name, read); err != nil {
			break
		}
	}
	return errors.Join(err, out.end(), s.end(ctx))
}

func readFile(name string, read func(string, io.Reader) error) error {
	file, err := os.Open(name) //nolint:gosec // the user names the file
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	return read(name, file)
}

func isTerminal(in io.Reader) bool {
	file, ok := in.(*os.File)
	if !ok {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0 && !strings.HasSuffix(file.Name(), os.DevNull)
}
