// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

// Command shop-go is a small simulated shop that runs experiments. It evaluates its flags with the
// OpenFeature Go SDK, and a hook writes each evaluation as an OpenTelemetry log record. Nothing in it
// knows about Amplitude: a Collector turns the records into Amplitude events.
//
// It keeps its own books of what an analyst should find, and prints them as JSON on standard output.
package main // import "github.com/otelcol-amplitude/otelcol-amplitude/examples/shop-go"

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/signal"
	"time"

	"github.com/open-feature/go-sdk/openfeature"
	"github.com/open-feature/go-sdk/openfeature/memprovider"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlplog/otlploghttp"
	sdklog "go.opentelemetry.io/otel/sdk/log"
	"go.opentelemetry.io/otel/sdk/resource"
)

func main() {
	endpoint := flag.String("endpoint", "http://127.0.0.1:4318", "OTLP/HTTP endpoint of the Collector")
	shoppers := flag.Int("shoppers", 50, "number of shoppers")
	duration := flag.Duration("duration", 3*time.Second, "total duration of the visits")
	seed := flag.Uint64("seed", 1, "seed of the simulation")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, *endpoint, *shoppers, *duration, *seed)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "shop-go:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, endpoint string, shoppers int, duration time.Duration, seed uint64) (err error) {
	exporter, err := otlploghttp.New(ctx, otlploghttp.WithEndpointURL(endpoint+"/v1/logs"))
	if err != nil {
		return fmt.Errorf("create the OTLP exporter: %w", err)
	}
	logs := sdklog.NewLoggerProvider(
		// A batch processor drops records when its queue is full; the books below need every one.
		sdklog.WithProcessor(sdklog.NewBatchProcessor(exporter,
			sdklog.WithMaxQueueSize(100_000), sdklog.WithExportInterval(200*time.Millisecond))),
		sdklog.WithResource(resource.NewSchemaless(
			attribute.String("service.name", "shop-go"),
			attribute.String("deployment.environment.name", "demo"))),
	)
	defer func() {
		// Shutdown sends what is still queued, so its error decides as much as any other.
		shutdown, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		err = errors.Join(err, logs.Shutdown(shutdown))
	}()
	logger := logs.Logger("github.com/otelcol-amplitude/otelcol-amplitude/examples/shop-go")

	if err := openfeature.SetProviderAndWait(memprovider.NewInMemoryProvider(flags())); err != nil {
		return fmt.Errorf("set the flag provider: %w", err)
	}
	defer openfeature.Shutdown()
	books := newBooks()
	openfeature.AddHooks(logHook{logger: logger, books: books})

	s := shop{
		logger: logger,
		flags:  openfeature.NewClient("shop"),
		books:  books,
		random: rand.New(rand.NewPCG(seed, seed)), //nolint:gosec // a simulation wants reproducible numbers
	}
	if err := s.open(ctx, shoppers, duration); err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(books.close())
}
