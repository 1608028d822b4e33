// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

// Command demo is what `make run` runs: it starts the Collector with config.example.yaml, lets the
// shop of examples/shop-go visit it, compares what arrived at the sandbox with what the shop says
// it did, prints the result and keeps serving until Ctrl-C. With -once it ends by itself, and its
// exit code is 0 only if everything arrived as the shop says.
package main // import "github.com/otelcol-amplitude/otelcol-amplitude/examples/demo"

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"time"
)

const (
	config     = "config.example.yaml"
	sandboxURL = "http://127.0.0.1:8585"
	healthURL  = "http://127.0.0.1:13133"
	metricsURL = "http://127.0.0.1:8888/metrics"

	startTimeout  = 30 * time.Second
	arriveTimeout = 15 * time.Second
	pollInterval  = 100 * time.Millisecond
)

// ports are what config.example.yaml listens on.
var ports = []struct{ address, use string }{
	{"127.0.0.1:4317", "OTLP over gRPC"},
	{"127.0.0.1:4318", "OTLP over HTTP"},
	{"127.0.0.1:8585", "the local Amplitude"},
	{"127.0.0.1:8888", "the Collector's own metrics"},
	{"127.0.0.1:13133", "the health check"},
}

func main() {
	once := flag.Bool("once", false, "end after the shop's visit; the exit code tells whether all arrived as it should")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, *once)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "make run:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, once bool) error {
	if err := portsFree(); err != nil {
		return err
	}
	collector, err := startCollector(ctx)
	if err != nil {
		return err
	}
	defer collector.stop()

	fmt.Println("==> the shop opens: 50 shoppers, about 3 seconds")
	sent, err := visitShop(ctx)
	if err != nil {
		return err
	}
	arrived, differences := waitForArrival(ctx, sent)
	printReport(os.Stdout, sent, arrived, differences)
	if once {
		if len(differences) > 0 {
			return errors.New("what arrived is not what the shop sent")
		}
		return nil
	}
	fmt.Printf("\nLook at it:      %s\nSend your own:   OTLP logs to 127.0.0.1:4317 (gRPC) or http://127.0.0.1:4318 (HTTP)\nStop:            Ctrl-C\n", sandboxURL)
	select {
	case <-ctx.Done():
		return nil
	case err := <-collector.done:
		collector.done <- err
		return fmt.Errorf("the Collector ended by itself (%w); its log is %s", err, collectorLog)
	}
}

// portsFree names the first port that somebody else uses; the Collector would only say so in a stack of errors.
func portsFree() error {
	for _, port := range ports {
		l, err := net.Listen("tcp", port.address)
		if err != nil {
			return fmt.Errorf("%s, for %s, is in use: end the program that listens there, or change the address in %s and in examples/demo/main.go", port.address, port.use, config)
		}
		_ = l.Close()
	}
	return nil
}

// visitShop runs the shop and returns its books.
func visitShop(ctx context.Context) (summary, error) {
	var out, problems bytes.Buffer
	shop := exec.CommandContext(ctx, "bin/shop-go")
	shop.Stdout, shop.Stderr = &out, &problems
	if err := shop.Run(); err != nil {
		return summary{}, fmt.Errorf("the shop failed: %w: %s", err, problems.String())
	}
	var s summary
	if err := json.Unmarshal(out.Bytes(), &s); err != nil {
		return summary{}, fmt.Errorf("read the shop's books: %w", err)
	}
	return s, nil
}

// get fetches a small document from the Collector process.
func get(ctx context.Context, url string) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return nil, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	if response.StatusCode != http.StatusOK {
		_ = response.Body.Close()
		return nil, fmt.Errorf("%s answered %s", url, response.Status)
	}
	return response, nil
}
