// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"time"

	"github.com/otelcol-amplitude/otelcol-amplitude/cmd/otelcol-amplitude-explain/internal/doctor"
)

const doctorUsage = `Check the installation of a Collector, and say how to fix what is wrong.

usage: otelcol-amplitude-explain doctor --config file [flags]

Checks the configuration, the directories that it names (run it as the Collector's user, where the Collector runs), and the
connection to Amplitude. It sends neither events nor the API key unless a flag says so.

flags:
`

// examine is the command doctor.
func examine(args []string, stdout, stderr io.Writer) (status int, err error) {
	o := doctor.Options{Now: time.Now}
	var configs []string
	set := flag.NewFlagSet("otelcol-amplitude-explain doctor", flag.ContinueOnError)
	set.SetOutput(stderr)
	set.Usage = func() {
		fmt.Fprint(stderr, doctorUsage)
		set.PrintDefaults()
	}
	set.Func("config", "configuration of the Collector, as its own --config: a `file`, or a URI such as env:NAME or yaml:...; may be repeated", func(uri string) error {
		configs = append(configs, uri)
		return nil
	})
	set.BoolVar(&o.CheckKey, "check-key", false, "send the API key with a request that has no events, to check whether Amplitude knows it")
	set.BoolVar(&o.SendTestEvent, "send-test-event", false, "send an $identify of the user otelcol-amplitude-doctor, which sets nothing")
	set.BoolVar(&o.Offline, "offline", false, "do not use the network")
	set.DurationVar(&o.Timeout, "timeout", 10*time.Second, "maximum `time` for each network request")
	switch err := set.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return 0, nil
	case err != nil:
		return exitUnreadable, err
	case len(configs) == 0 || set.NArg() > 0:
		return exitUnreadable, errors.New("doctor needs the configuration: --config file")
	case o.Offline && (o.CheckKey || o.SendTestEvent):
		return exitUnreadable, errors.New("--check-key and --send-test-event need the network, which --offline turns off")
	}
	ctx := context.Background()
	conf, err := resolve(ctx, configs)
	if err != nil {
		return exitUnreadable, err
	}
	findings, err := doctor.Examine(ctx, conf, o)
	if err != nil {
		return exitUnreadable, err
	}
	problems := 0
	for _, f := range findings {
		line := fmt.Sprintf("✓ %s: %s\n", f.Subject, f.OK)
		if f.Problem != "" {
			problems++
			line = fmt.Sprintf("✗ %s: %s\n", f.Subject, f.Problem)
		}
		if _, err := io.WriteString(stdout, line); err != nil {
			return exitUnreadable, err
		}
	}
	if _, err := fmt.Fprintf(stdout, "%d examined, %d to look at\n", len(findings), problems); err != nil {
		return exitUnreadable, err
	}
	if problems > 0 {
		return exitDifferent, nil
	}
	return 0, nil
}
