// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

// Package doctor checks an installation: a Collector's configuration, its disks, and its connection to Amplitude.
package doctor // import "github.com/otelcol-amplitude/otelcol-amplitude/cmd/otelcol-amplitude-explain/internal/doctor"

import (
	"context"
	"fmt"
	"time"

	"go.opentelemetry.io/collector/confmap"
)

// Finding is the result of one check.
type Finding struct {
	// Subject is what was checked, such as a component id.
	Subject string
	// Problem is what is wrong and what to do about it; empty if nothing is.
	Problem string
	// OK is what is right, if nothing is wrong.
	OK string
}

// Options configure what Examine may do.
type Options struct {
	// CheckKey sends Amplitude a request without events, which is refused for its content if the key is good.
	CheckKey bool
	// SendTestEvent sends a $identify for a test user that sets nothing.
	SendTestEvent bool
	// Offline does not use the network.
	Offline bool
	// Now is the clock.
	Now func() time.Time
	// Timeout bounds each request.
	Timeout time.Duration
}

// examination collects findings.
type examination struct {
	Options
	collector *collector
	findings  []Finding
}

// Examine checks an installation, in the order in which a record passes through it. The error is non-nil if the
// configuration cannot be read.
func Examine(ctx context.Context, conf *confmap.Conf, o Options) ([]Finding, error) {
	c, err := readCollector(conf)
	if err != nil {
		return nil, err
	}
	e := &examination{Options: o, collector: c}
	e.configuration()
	e.pipelines()
	e.sdks()
	e.memory()
	e.deadLetters()
	e.storages()
	for _, x := range c.exporters {
		if x.invalid == nil && !x.config.DryRun {
			e.network(ctx, x)
		}
	}
	return e.findings, nil
}

func (e *examination) ok(subject, format string, args ...any) {
	e.findings = append(e.findings, Finding{Subject: subject, OK: fmt.Sprintf(format, args...)})
}

func (e *examination) problem(subject, format string, args ...any) {
	e.findings = append(e.findings, Finding{Subject: subject, Problem: fmt.Sprintf(format, args...)})
}
