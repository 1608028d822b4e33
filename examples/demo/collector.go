// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"
)

const (
	binary       = "bin/otelcol-amplitude"
	collectorLog = "bin/collector.log"
	stopTimeout  = 15 * time.Second
	// tailLines is how much of the log is shown when the Collector does not start.
	tailLines = 12
)

type collector struct {
	process *os.Process
	done    chan error
}

// startCollector starts the Collector with config and the shop's additions in its own process group, so that Ctrl-C
// reaches it only through stop, and waits until it is healthy.
func startCollector(ctx context.Context, more ...string) (*collector, error) {
	log, err := os.Create(collectorLog)
	if err != nil {
		return nil, fmt.Errorf("create the Collector's log: %w", err)
	}
	defer func() { _ = log.Close() }() // the child has its own descriptor
	configs := append([]string{config}, more...)
	var arguments []string
	for _, file := range configs {
		arguments = append(arguments, "--config", file)
	}
	cmd := exec.Command(binary, arguments...) //nolint:gosec // the arguments are those of the table of shops
	cmd.Stdout, cmd.Stderr = log, log
	ownGroup(cmd)
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w (run `make build`)", binary, err)
	}
	fmt.Printf("==> %s started with %s, log in %s\n", binary, strings.Join(configs, " and "), collectorLog)
	c := &collector{process: cmd.Process, done: make(chan error, 1)}
	go func() { c.done <- cmd.Wait() }()

	deadline := time.After(startTimeout)
	for {
		if response, err := get(ctx, healthURL); err == nil {
			_ = response.Body.Close()
			return c, nil
		}
		select {
		case err := <-c.done:
			return nil, fmt.Errorf("the Collector did not start (%w):\n%s", err, logTail())
		case <-deadline:
			c.stop()
			return nil, fmt.Errorf("the Collector was not ready after %s:\n%s", startTimeout, logTail())
		case <-ctx.Done():
			c.stop()
			return nil, ctx.Err()
		case <-time.After(pollInterval):
		}
	}
}

// stop asks the Collector to exit, waits for it, and kills it if it does not.
func (c *collector) stop() {
	if err := askToEnd(c.process); errors.Is(err, os.ErrProcessDone) {
		return
	}
	patience := time.AfterFunc(stopTimeout, func() { _ = c.process.Kill() })
	defer patience.Stop()
	c.done <- <-c.done // keep it readable for other waiters
}

func logTail() string {
	content, err := os.ReadFile(collectorLog)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(content)), "\n")
	return strings.Join(lines[max(0, len(lines)-tailLines):], "\n")
}
