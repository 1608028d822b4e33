// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

// Command spans-go evaluates flags with the OpenFeature Go SDK inside OpenTelemetry spans. A hook
// writes each evaluation as a span event, as OpenFeature's published hooks do; it writes no logs.
package main // import "github.com/otelcol-amplitude/otelcol-amplitude/examples/spans-go"

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"sync/atomic"

	"github.com/open-feature/go-sdk/openfeature"
	"github.com/open-feature/go-sdk/openfeature/memprovider"
	"github.com/open-feature/go-sdk/openfeature/telemetry"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

func main() {
	endpoint := flag.String("endpoint", "http://127.0.0.1:4318", "OTLP/HTTP endpoint of the Collector")
	users := flag.Int("users", 10, "number of users, who visit twice each")
	flag.Parse()
	if err := run(context.Background(), *endpoint, *users); err != nil {
		fmt.Fprintln(os.Stderr, "spans-go:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, endpoint string, users int) (err error) {
	exporter, err := otlptracehttp.New(ctx, otlptracehttp.WithEndpointURL(endpoint+"/v1/traces"))
	if err != nil {
		return fmt.Errorf("create the OTLP exporter: %w", err)
	}
	// The SDK only logs what it could not send; an application that exists to send wants to know.
	var unsent atomic.Pointer[error]
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { unsent.Store(&err) }))
	traces := sdktrace.NewTracerProvider(sdktrace.WithBatcher(exporter),
		sdktrace.WithResource(resource.NewSchemaless(attribute.String("service.name", "spans-go"))))
	defer func() {
		err = errors.Join(err, traces.Shutdown(ctx))
		if lost := unsent.Load(); lost != nil {
			err = errors.Join(err, *lost)
		}
	}()

	if err := openfeature.SetProviderAndWait(memprovider.NewInMemoryProvider(flags())); err != nil {
		return fmt.Errorf("set the flag provider: %w", err)
	}
	defer openfeature.Shutdown()
	openfeature.AddHooks(spanHook{})
	client, tracer := openfeature.NewClient("spans-go"), traces.Tracer("spans-go")
	for i := range 2 * users {
		user := fmt.Sprintf("visitor-%04d", i%users)
		spanCtx, span := tracer.Start(ctx, "GET /checkout", trace.WithAttributes(attribute.String("user.id", user)))
		_, err := client.StringValue(spanCtx, "checkout-flow", "", openfeature.NewEvaluationContext(user, nil))
		span.End()
		if err != nil {
			return fmt.Errorf("evaluate for %s: %w", user, err)
		}
	}
	return nil
}

// flags holds one experiment that assigns by the last digit of the user.
func flags() map[string]memprovider.InMemoryFlag {
	evaluate := func(_ memprovider.InMemoryFlag, user openfeature.FlattenedContext) (any, openfeature.ProviderResolutionDetail) {
		variant := "control"
		if id, _ := user[openfeature.TargetingKey].(string); id != "" && id[len(id)-1]%2 == 1 {
			variant = "one-page"
		}
		return variant, openfeature.ProviderResolutionDetail{Reason: openfeature.SplitReason, Variant: variant}
	}
	return map[string]memprovider.InMemoryFlag{"checkout-flow": {
		Key: "checkout-flow", State: memprovider.Enabled, DefaultVariant: "control",
		Variants: map[string]any{"control": "control", "one-page": "one-page"}, ContextEvaluator: &evaluate,
	}}
}

// spanHook adds an event to the current span for each evaluation, failed ones included.
type spanHook struct{ openfeature.UnimplementedHook }

// Finally implements [openfeature.Hook].
func (spanHook) Finally(ctx context.Context, hc openfeature.HookContext, details openfeature.InterfaceEvaluationDetails, _ openfeature.HookHints) {
	event := telemetry.CreateEvaluationEvent(hc, details)
	attributes := make([]attribute.KeyValue, 0, len(event.Attributes))
	for name, value := range event.Attributes {
		attributes = append(attributes, attribute.String(name, fmt.Sprint(value)))
	}
	trace.SpanFromContext(ctx).AddEvent(event.Name, trace.WithAttributes(attributes...))
}
