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

	"github.com/otelcol-amplitude/otelcol-amplitude/sandbox"
)

// stopTimeout is how long requests in progress may take on shutdown.
const stopTimeout = 5 * time.Second

func main() {
	endpoint := flag.String("endpoint", "127.0.0.1:8585", "address to listen on; port 0 picks a free port")
	keys := flag.String("keys", "sandbox", "comma-separated API keys to accept; each is its own project")
	region := flag.String("region", sandbox.RegionUS, "region to answer as: us or eu")
	origins := flag.String("allowed-origins", "", "comma-separated origins whose pages may send events; * allows every site")
	otlp := flag.String("otlp-endpoint", sandbox.DefaultConfig().OTLPEndpoint, "OTLP/HTTP receiver of the Collector that the page's Send form uses")
	flag.Parse()
	config := sandbox.DefaultConfig()
	config.Region, config.OTLPEndpoint, config.APIKeys = *region, *otlp, strings.Split(*keys, ",")
	if *origins != "" {
		config.AllowedOrigins = strings.Split(*origins, ",")
	}
	if err := run(*endpoint, config); err != nil {
		fmt.Fprintln(os.Stderr, "amplitude-sandbox:", err)
		os.Exit(1)
	}
}

func run(endpoint string, config sandbox.Config) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	server, err := sandbox.NewServer(config)
	if err != nil {
		return err
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", endpoint)
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("%s is in use: stop the other process or choose another address with -endpoint", endpoint)
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
