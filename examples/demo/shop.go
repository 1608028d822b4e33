// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
)

// shop is an application that writes its flag evaluations as logs.
type shop struct {
	// target is the make target that runs it.
	target string
	// says describes the visit.
	says string
	// visit is the command that simulates shoppers and prints the shop's books: see summary.
	visit []string
	// visitor: without -once, you are the visitor.
	visitor bool
	// serve is the command that keeps the shop open for you until it gets a SIGTERM.
	serve []string
	// configs are merged over config.
	configs []string
	// ports are what serve listens on.
	ports []port
}

// orders is the configuration that makes a shop's orders outcomes.
const orders = "examples/orders.yaml"

var shops = map[string]shop{
	"shop-go": {target: "run", says: "50 shoppers, about 3 seconds", visit: []string{"bin/shop-go"}, configs: []string{orders}},
	"shop-node": {
		target: "shop-node", says: "30 shoppers",
		visit: []string{"node", "examples/shop-node/visit.js"},
		serve: []string{"node", "examples/shop-node/main.js"}, configs: []string{orders},
		ports: []port{{"127.0.0.1:8586", "the shop"}},
	},
	"shop-web": {
		target: "shop-web", says: "Chromium visits every part of the page, signs in, comes back, buys",
		visit:   []string{"node", "examples/shop-web/visit.js"},
		visitor: true,
		serve:   []string{"node", "examples/shop-web/serve.js"},
		configs: []string{"examples/shop-web/collector.yaml", orders},
		ports:   []port{{"127.0.0.1:8587", "the shop's page"}},
	},
}

// letIn runs the visit and returns the shop's books.
func (s shop) letIn(ctx context.Context) (summary, error) {
	var out, problems bytes.Buffer
	cmd := command(ctx, s.visit)
	cmd.Stdout, cmd.Stderr = &out, &problems
	if err := cmd.Run(); err != nil {
		return summary{}, fmt.Errorf("the shop failed: %w: %s", err, problems.String())
	}
	var books summary
	if err := json.Unmarshal(out.Bytes(), &books); err != nil {
		return summary{}, fmt.Errorf("read the shop's books: %w", err)
	}
	return books, nil
}

// keepOpen serves the shop until ctx ends; the channel receives its result. A shop without serve keeps nothing open.
func (s shop) keepOpen(ctx context.Context) <-chan error {
	closed := make(chan error, 1)
	if len(s.serve) == 0 {
		go func() {
			<-ctx.Done()
			closed <- nil
		}()
		return closed
	}
	cmd := command(ctx, s.serve)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	go func() {
		err := cmd.Run()
		switch {
		case ctx.Err() != nil:
			err = nil
		case err == nil:
			err = errors.New("the shop exited")
		default:
			err = fmt.Errorf("the shop failed: %w", err)
		}
		closed <- err
	}()
	return closed
}

// command is a program that is asked to exit when ctx ends. Its own process group shields it from Ctrl-C.
func command(ctx context.Context, line []string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, line[0], line[1:]...) //nolint:gosec // one of the table of shops
	cmd.Env = append(os.Environ(), "SHOP_COLLECTOR=http://"+ports[1].address)
	ownGroup(cmd)
	cmd.Cancel = func() error { return askToEnd(cmd.Process) }
	cmd.WaitDelay = stopTimeout
	return cmd
}
