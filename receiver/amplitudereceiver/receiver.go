// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudereceiver // import "github.com/otelcol-amplitude/otelcol-amplitude/receiver/amplitudereceiver"

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componentstatus"
	"go.opentelemetry.io/collector/config/confighttp"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/receiver"
	"go.uber.org/zap"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/amplitude"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/check"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/loopback"
)

// amplitudeReceiver listens while the Collector runs.
type amplitudeReceiver struct {
	set     receiver.Settings
	config  *Config
	handler *handler
	server  *http.Server
	serving sync.WaitGroup
}

func newReceiver(set receiver.Settings, config *Config, next consumer.Logs) (*amplitudeReceiver, error) {
	h, err := newHandler(set, config, next)
	if err != nil {
		return nil, err
	}
	return &amplitudeReceiver{set: set, config: config, handler: h}, nil
}

// Start listens and serves.
func (r *amplitudeReceiver) Start(ctx context.Context, host component.Host) error {
	server := r.config.ServerConfig
	listener, err := server.ToListener(ctx)
	if err != nil {
		return check.Listening(err, "the receiver cannot listen", server.NetAddr.Endpoint, r.set.ID)
	}
	r.server, err = server.ToServer(ctx, host.GetExtensions(), r.set.TelemetrySettings, r.handler, confighttp.WithErrorHandler(r.handler.failed))
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	r.server.Handler = r.handler.retryLater(r.server.Handler)
	r.warnAboutExporters()
	r.set.Logger.Info("Listening for Amplitude's SDKs", zap.String("endpoint", listener.Addr().String()))
	if tcp, ok := listener.Addr().(*net.TCPAddr); ok && !loopback.IsHost(tcp.IP.String()) && !server.TLS.HasValue() {
		r.set.Logger.Warn("The receiver is reachable from other machines without TLS, so events are sent in plain text", zap.String("endpoint", listener.Addr().String()))
	}
	r.serving.Go(func() {
		if err := r.server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			componentstatus.ReportStatus(host, componentstatus.NewFatalErrorEvent(err))
		}
	})
	return nil
}

// warnAboutExporters warns if no amplitude exporter of this Collector sends what is accepted here. The receiver cannot
// tell which of several exporters is behind it; otelcol-amplitude-explain doctor can.
func (r *amplitudeReceiver) warnAboutExporters() {
	if amplitude.ExportedOnlyExperiment() {
		r.set.Logger.Warn("The amplitude exporter sends only experiment events: page views, purchases and other events that SDKs send here stop there",
			zap.String("hint", `set events: ["*"] in the exporter behind this receiver`))
	}
	if shortest, ok := amplitude.ShortestExportedID(); ok && r.config.MinIDLength < shortest {
		r.set.Logger.Warn("min_id_length is lower than in the amplitude exporter, which leaves out shorter ids after they were acknowledged",
			zap.Int("min_id_length", r.config.MinIDLength), zap.Int("min_id_length of the exporter", shortest))
	}
}

// Shutdown returns once all complete requests have been answered.
func (r *amplitudeReceiver) Shutdown(ctx context.Context) error {
	defer r.handler.telemetry.Shutdown()
	r.handler.end()
	if r.server == nil {
		return nil
	}
	err := r.server.Shutdown(ctx)
	if err != nil {
		err = errors.Join(err, r.server.Close())
	}
	r.serving.Wait()
	return err
}
