// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudetapextension // import "github.com/otelcol-amplitude/otelcol-amplitude/extension/amplitudetapextension"

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componentstatus"
	"go.opentelemetry.io/collector/extension"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.uber.org/zap"

	"github.com/otelcol-amplitude/otelcol-amplitude/extension/amplitudetapextension/internal/metadata"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/check"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/tap"
)

// tapExtension serves decisions while the Collector runs.
type tapExtension struct {
	set       extension.Settings
	config    *Config
	decisions *tap.Handler
	telemetry *metadata.TelemetryBuilder
	server    *http.Server
	served    sync.WaitGroup
	address   string
}

func newTapExtension(set extension.Settings, config *Config) (*tapExtension, error) {
	telemetry, err := metadata.NewTelemetryBuilder(set.TelemetrySettings)
	if err != nil {
		return nil, err
	}
	return &tapExtension{
		set: set, config: config, telemetry: telemetry,
		decisions: tap.NewHandler(tap.Settings{MaxPerSecond: config.MaxRecordsPerSecond, ShowIDs: config.ShowIDs, Logger: set.Logger}),
	}, nil
}

// Decisions returns the handler that a page of this process may serve from its own origin, or nil if authentication is
// required.
func (e *tapExtension) Decisions() *tap.Handler {
	if e.config.Auth.HasValue() {
		return nil
	}
	return e.decisions
}

// Start listens and serves.
func (e *tapExtension) Start(ctx context.Context, host component.Host) error {
	if err := e.observe(); err != nil {
		return err
	}
	gate := newGate(e.config)
	mux := http.NewServeMux()
	mux.Handle("GET /decisions", e.decisions)
	mux.HandleFunc("GET /counts", getCounts)
	mux.HandleFunc("GET /{$}", getHelp)
	server, err := e.config.ToServer(ctx, host.GetExtensions(), e.set.TelemetrySettings, gate.guard(mux))
	if err != nil {
		return err
	}
	listener, err := e.config.ToListener(ctx)
	if err != nil {
		return check.Listening(err, "cannot serve decisions", e.config.NetAddr.Endpoint, e.set.ID)
	}
	e.server, e.address = server, listener.Addr().String()
	e.set.Logger.Info("Serving decisions on records", zap.String("endpoint", e.address), zap.Bool("ids_shown", e.config.ShowIDs))
	e.served.Go(func() {
		if err := server.Serve(listener); err != nil && !errors.Is(err, http.ErrServerClosed) {
			componentstatus.ReportStatus(host, componentstatus.NewRecoverableErrorEvent(fmt.Errorf("serving decisions failed: %w", err)))
		}
	})
	return nil
}

// observe reports the number of clients.
func (e *tapExtension) observe() error {
	id := metric.WithAttributeSet(attribute.NewSet(attribute.String("extension", e.set.ID.String())))
	return e.telemetry.RegisterExtensionAmplitudeTapWatchersCallback(func(_ context.Context, o metric.Int64Observer) error {
		o.Observe(e.decisions.Watchers(), id)
		return nil
	})
}

// Shutdown ends all streams and stops serving. It may be called without Start, and twice.
func (e *tapExtension) Shutdown(ctx context.Context) error {
	e.decisions.Close()
	e.telemetry.Shutdown()
	if e.server == nil {
		return nil
	}
	err := e.server.Shutdown(ctx)
	if err != nil {
		_ = e.server.Close()
	}
	e.served.Wait()
	return err
}

// getCounts answers with the numbers of records by outcome and reason.
func getCounts(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(tap.Totals()) // the client may be gone
}

const help = `What the processor amplitude_experiment decides about each record, live.

GET /decisions   server-sent events; ?outcome=skipped,rejected&reason=static&service=shop&flag=checkout&user=user-12345
GET /counts      records by outcome and reason, since startup

In a terminal: otelcol-amplitude-explain tap --outcome skipped http://ADDRESS
`

func getHelp(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = w.Write([]byte(help))
}
