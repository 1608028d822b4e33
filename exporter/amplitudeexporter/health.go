// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudeexporter // import "github.com/otelcol-amplitude/otelcol-amplitude/exporter/amplitudeexporter"

import (
	"errors"
	"net/url"
	"sync"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componentstatus"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// heldInterval is the minimum time between two log lines about held events.
const heldInterval = time.Minute

// errInvalidAPIKey does not contain the key, unlike Amplitude's own text.
var errInvalidAPIKey = errors.New("amplitude refuses the api_key")

// health reports the status of the exporter to the Collector when it changes.
type health struct {
	log *zap.Logger
	// quiet writes identical messages at most once a minute.
	quiet *zap.Logger
	clock clock
	url   string
	// region is the region of one of Amplitude's own URLs, or empty.
	region string
	// senderWaits: senders get the result of each attempt.
	senderWaits bool

	mu     sync.Mutex
	host   component.Host
	status componentstatus.Status
	// said is when held events were last logged, for any reason.
	said time.Time

	delivered sync.Once
}

func newHealth(cfg *Config, log *zap.Logger, c clock) *health {
	h := &health{log: log, quiet: atMostEvery(heldInterval, log), clock: c, senderWaits: cfg.senderWaits(), status: componentstatus.StatusOK}
	if cfg.ClientConfig.Endpoint == "" {
		h.region = cfg.Region
	}
	if u, err := url.Parse(cfg.url()); err == nil {
		h.url = u.Redacted()
	}
	return h
}

func (h *health) start(host component.Host) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.host = host
}

// fine reports that a batch was delivered.
func (h *health) fine() {
	h.change(componentstatus.StatusOK, nil)
}

// firstDelivery logs once after startup that events are delivered, and where.
func (h *health) firstDelivery(events int) {
	h.delivered.Do(func() {
		h.log.Info("Delivered the first events since startup", zap.String("url", h.url), zap.Int("events", events))
	})
}

// holding reports and logs that events have to wait.
func (h *health) holding(err error, events int) {
	h.change(componentstatus.StatusRecoverableError, err)
	if !h.speaks() {
		return
	}
	level, message := zapcore.WarnLevel, "Failed to deliver events; they are kept and retried"
	if h.senderWaits {
		level, message = zapcore.ErrorLevel, "Failed to deliver events; their sender has to retry"
	}
	h.log.Log(level, message, zap.Error(err), zap.Int("events", events), zap.String("url", h.url))
}

// speaks reports whether it is time for another line about held events: once a minute, for all reasons together.
func (h *health) speaks() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := h.clock.Now()
	if !h.said.IsZero() && now.Sub(h.said) < heldInterval {
		return false
	}
	h.said = now
	return true
}

// change reports a new status. None is final: what the exporter waits for may be over at the next attempt.
func (h *health) change(to componentstatus.Status, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.status == to {
		return
	}
	h.status = to
	if h.host == nil {
		return
	}
	if to == componentstatus.StatusOK {
		componentstatus.ReportStatus(h.host, componentstatus.NewEvent(componentstatus.StatusOK))
		return
	}
	componentstatus.ReportStatus(h.host, componentstatus.NewRecoverableErrorEvent(err))
}

// unexpected logs, at most once a minute, that something else answers instead of Amplitude.
func (h *health) unexpected(res response) {
	if res.unexpected == unexpectedPage {
		return // the events are held, which was logged
	}
	h.quiet.Warn("Got a success status with an answer that is not Amplitude's; check proxies and endpoint",
		zap.String("url", h.url), zap.Int("status", res.status), zap.String("unexpected", res.unexpected))
}

// misconfigured logs what may have to be changed for events to be delivered.
func (h *health) misconfigured(res response) {
	if !h.speaks() {
		return
	}
	if !res.keyRefused() {
		h.log.Error("Failed to deliver events; they are kept and retried. If this persists, check endpoint, region and api",
			zap.String("url", h.url), zap.Int("status", res.status), zap.String("answer", res.text))
		return
	}
	hint, region := "check api_key", zap.Skip()
	if h.region != "" {
		other := regionEU
		if h.region == regionEU {
			other = regionUS
		}
		hint = "check api_key; if it is right, the project may be in the other region: try region: " + other
		region = zap.String("region", h.region)
	}
	h.log.Error("Amplitude refuses the API key; events are kept and retried",
		zap.String("url", h.url), region, zap.String("hint", hint))
}
