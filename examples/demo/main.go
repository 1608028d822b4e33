// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

// Command demo is what `make run`, `make shop-node` and `make shop-web` run: it starts the Collector
// with config.example.yaml, lets shoppers into one of the shops beside it, compares what arrived at
// the sandbox with what the shop says, prints the result and keeps serving until Ctrl-C. With -once
// it ends by itself, and its exit code is 0 only if everything arrived as the shop says.
package main // import "github.com/otelcol-amplitude/otelcol-amplitude/examples/demo"

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/cleanenv"
)

const (
	config     = "config.example.yaml"
	sandboxURL = "http://127.0.0.1:8585"
	healthURL  = "http://127.0.0.1:13133"
	metricsURL = "http://127.0.0.1:8888/metrics"

	startTimeout = time.Minute
	pollInterval = 100 * time.Millisecond
)

// port is an address that has to be free.
type port struct{ address, use string }

// ports are what config.example.yaml listens on.
var ports = []port{
	{"127.0.0.1:4317", "OTLP over gRPC"},
	{"127.0.0.1:4318", "OTLP over HTTP"},
	{"127.0.0.1:8585", "the local Amplitude"},
	{"127.0.0.1:8888", "the Collector's own metrics"},
	{"127.0.0.1:13133", "the health check"},
}

func main() {
	once := flag.Bool("once", false, "stop after the shoppers' visit; the exit code says whether everything arrived")
	name := flag.String("shop", "shop-go", "which shop: shop-go, shop-node or shop-web")
	wait := flag.Duration("wait", time.Minute, "how long to wait until all has arrived")
	flag.Parse()
	s, ok := shops[*name]
	if !ok {
		fmt.Fprintf(os.Stderr, "demo: there is no shop %q: choose shop-go, shop-node or shop-web\n", *name)
		os.Exit(2)
	}
	cleanenv.Process() // and so for the Collector and the shops, which inherit it
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, s, *once, *wait)
	stop()
	if err != nil {
		fmt.Fprintf(os.Stderr, "make %s: %v\n", s.target, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, s shop, once bool, wait time.Duration) error {
	if err := portsFree(s); err != nil {
		return err
	}
	collector, err := startCollector(ctx, s.configs...)
	if err != nil {
		return err
	}
	defer collector.stop()

	if once || !s.visitor {
		fmt.Println("==> the shop opens:", s.says)
		sent, err := s.letIn(ctx)
		if err != nil {
			if ctx.Err() == nil {
				printProblem(os.Stdout)
			}
			return err
		}
		arrived, differences := waitForArrival(ctx, sent, wait)
		printReport(os.Stdout, sent, arrived, differences)
		if len(differences) > 0 {
			printProblem(os.Stdout)
		}
		if once {
			if len(differences) > 0 {
				return errors.New("what arrived is not what the shop sent")
			}
			return nil
		}
	}
	serving, closeShop := context.WithCancel(ctx)
	closed := s.keepOpen(serving)
	fmt.Printf("\nLook at it:      %s\nSend your own:   OTLP logs to 127.0.0.1:4317 (gRPC) or http://127.0.0.1:4318 (HTTP)\nStop:            Ctrl-C\n", sandboxURL)
	select {
	case <-ctx.Done():
		closeShop()
		return <-closed
	case err := <-closed:
		closeShop()
		return err
	case err := <-collector.done:
		collector.done <- err
		closeShop()
		if err := <-closed; err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
		return fmt.Errorf("the Collector exited (%w); its log is %s", err, collectorLog)
	}
}

// portsFree returns an error with the first port in use; the Collector would bury it in a stack of errors.
func portsFree(s shop) error {
	for _, port := range append(slices.Clone(ports), s.ports...) {
		l, err := net.Listen("tcp", port.address)
		if err != nil {
			return fmt.Errorf("%s, for %s, is in use: stop the program that listens there, or change the address in %s and in examples/demo", port.address, port.use, config)
		}
		_ = l.Close()
	}
	return nil
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
		return nil, &unexpectedStatus{url: url, code: response.StatusCode}
	}
	return response, nil
}

// unexpectedStatus is an answer other than 200.
type unexpectedStatus struct {
	url  string
	code int
}

func (e *unexpectedStatus) Error() string {
	return fmt.Sprintf("%s answered %d %s", e.url, e.code, http.StatusText(e.code))
}
