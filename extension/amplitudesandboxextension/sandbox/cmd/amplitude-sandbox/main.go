// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

// Command amplitude-sandbox serves a local Amplitude without a Collector.
//
//	amplitude-sandbox -endpoint 127.0.0.1:8585 -keys sandbox
//
// It prints its address as the first line, and ends on SIGINT or SIGTERM.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"go.opentelemetry.io/collector/config/configopaque"

	"github.com/otelcol-amplitude/otelcol-amplitude/extension/amplitudesandboxextension/sandbox"
)

// stopTimeout is how long requests in progress may take when the program is asked to end.
const stopTimeout = 5 * time.Second

func main() {
	endpoint := flag.String("endpoint", "127.0.0.1:8585", "address to listen on; port 0 takes a free one")
	keys := flag.String("keys", "sandbox", "API keys to accept, separated by commas; each is a project of its own")
	region := flag.String("region", sandbox.RegionUS, "region to answer as: us or eu")
	flag.Parse()
	if err := run(*endpoint, *region, strings.Split(*keys, ",")); err != nil {
		fmt.Fprintln(os.Stderr, "amplitude-sandbox:", err)
		os.Exit(1)
	}
}

func run(endpoint, region string, keys []string) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	config := sandbox.DefaultConfig()
	config.Region, config.APIKeys = region, nil
	for _, key := range keys {
		config.APIKeys = append(config.APIKeys, configopaque.String(key))
	}
	server, err := sandbox.NewServer(config)
	if err != nil {
		return err
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", endpoint)
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("%s is in use: end the other process or choose another address with -endpoint", endpoint)
	}
	if err != nil {
		return err
	}
	if err := server.Serve(listener); err != nil {
		return err
	}
	fmt.Println(server.URL())
	<-ctx.Done()
	stopping, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	return server.Shutdown(stopping)
}
