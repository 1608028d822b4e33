// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudesandboxextension // import "github.com/otelcol-amplitude/otelcol-amplitude/extension/amplitudesandboxextension"

import (
	"context"
	"fmt"
	"net"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/extension"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.uber.org/zap"

	"github.com/otelcol-amplitude/otelcol-amplitude/extension/amplitudesandboxextension/internal/metadata"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/check"
	"github.com/otelcol-amplitude/otelcol-amplitude/sandbox"
)

// sandboxExtension serves a sandbox while the Collector runs.
type sandboxExtension struct {
	set       extension.Settings
	config    *Config
	server    *sandbox.Server
	telemetry *metadata.TelemetryBuilder
}

func newSandboxExtension(set extension.Settings, config *Config) (*sandboxExtension, error) {
	server, err := sandbox.NewServer(config.sandbox())
	if err != nil {
		return nil, err
	}
	telemetry, err := metadata.NewTelemetryBuilder(set.TelemetrySettings)
	if err != nil {
		return nil, err
	}
	return &sandboxExtension{set: set, config: config, server: server, telemetry: telemetry}, nil
}

// Start listens and serves.
func (e *sandboxExtension) Start(ctx context.Context, host component.Host) error {
	if err := e.observe(); err != nil {
		return err
	}
	e.mountDecisions(host)
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", e.config.Endpoint)
	if err != nil {
		return check.Listening(err, "the sandbox cannot listen", e.config.Endpoint, e.set.ID)
	}
	scheme, serve := "http", e.server.Serve
	if e.config.TLS.HasValue() {
		settings, err := e.config.TLS.Get().LoadTLSConfig(ctx)
		if err != nil {
			_ = listener.Close()
			return fmt.Errorf("tls: %w", err)
		}
		scheme, serve = "https", func(l net.Listener) error { return e.server.ServeTLS(l, settings) }
	}
	address := listener.Addr().String()
	if tcp, ok := listener.Addr().(*net.TCPAddr); ok && !tcp.IP.IsLoopback() {
		e.set.Logger.Warn("The sandbox is reachable from other machines, which can read and reset everything sent to it. "+
			"Use a loopback endpoint unless this is intended", zap.String("endpoint", address))
	}
	e.set.Logger.Info("Serving a local Amplitude", zap.String("page", scheme+"://"+address))
	return serve(listener)
}

// observe reports the sandbox's counts as metrics.
func (e *sandboxExtension) observe() error {
	id := attribute.String("extension", e.set.ID.String())
	self := metric.WithAttributeSet(attribute.NewSet(id))
	byVerdict := map[sandbox.Verdict]metric.MeasurementOption{}
	for _, v := range sandbox.Verdicts {
		byVerdict[v] = metric.WithAttributeSet(attribute.NewSet(id, attribute.String("verdict", string(v))))
	}
	if err := e.telemetry.RegisterExtensionAmplitudeSandboxEventsCallback(func(_ context.Context, o metric.Int64Observer) error {
		for verdict, n := range e.server.Stats().Verdicts {
			o.Observe(int64(n), byVerdict[verdict])
		}
		return nil
	}); err != nil {
		return err
	}
	return e.telemetry.RegisterExtensionAmplitudeSandboxUsersCallback(func(_ context.Context, o metric.Int64Observer) error {
		o.Observe(int64(e.server.Stats().Users), self)
		return nil
	})
}

// Shutdown stops serving.
func (e *sandboxExtension) Shutdown(ctx context.Context) error {
	e.telemetry.Shutdown()
	return e.server.Shutdown(ctx)
}
