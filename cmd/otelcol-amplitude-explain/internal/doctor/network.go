// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package doctor // import "github.com/otelcol-amplitude/otelcol-amplitude/cmd/otelcol-amplitude-explain/internal/doctor"

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"go.opentelemetry.io/collector/component"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
	tracenoop "go.opentelemetry.io/otel/trace/noop"
	"go.uber.org/zap"
)

const (
	// wrongClock is a difference that moves events to another day, or invalidates a signature.
	wrongClock = 30 * time.Second
	// soonExpired is how long before its expiry a certificate is reported.
	soonExpired = 14 * 24 * time.Hour
	// maxAnswer bounds how much of an answer is read.
	maxAnswer = 64 << 10
)

// network checks the connection to the events' destination: name, proxy, certificate, clock and, on request, the key.
func (e *examination) network(ctx context.Context, x exporter) {
	subject := "exporters::" + x.id
	target, err := url.Parse(x.config.EventsURL())
	if err != nil {
		return // an invalid endpoint was reported already
	}
	if e.Offline {
		return
	}
	proxy := "no proxy"
	if x.config.ClientConfig.ProxyURL != "" {
		proxy = "through the proxy in proxy_url"
	} else if via, err := http.ProxyFromEnvironment(&http.Request{URL: target}); err == nil && via != nil {
		proxy = "through the proxy " + via.Host + " from the environment"
	}
	if proxy == "no proxy" && net.ParseIP(target.Hostname()) == nil {
		lookup, cancel := context.WithTimeout(ctx, e.Timeout)
		_, err := net.DefaultResolver.LookupHost(lookup, target.Hostname())
		cancel()
		if err != nil {
			e.problem(subject, "%s does not resolve: %s; check DNS, and whether a proxy is needed (proxy_url)", target.Hostname(), oneLine(err))
			return
		}
	}
	client, err := x.config.ClientConfig.ToClient(ctx, nil, component.TelemetrySettings{
		Logger: zap.NewNop(), MeterProvider: metricnoop.NewMeterProvider(), TracerProvider: tracenoop.NewTracerProvider(),
	})
	if err != nil {
		e.problem(subject, "cannot create the HTTP client: %s", oneLine(err))
		return
	}
	defer client.CloseIdleConnections()
	client.Timeout = e.Timeout
	began := e.Now()
	res, _, err := ask(ctx, client, http.MethodGet, target.Scheme+"://"+target.Host+"/", nil) //nolint:bodyclose // ask closes it
	if err != nil {
		e.problem(subject, "%s does not answer (%s): %s", target.Host, proxy, oneLine(reason(err)))
		return
	}
	secured := "not encrypted"
	if res.TLS != nil && len(res.TLS.PeerCertificates) > 0 {
		until := res.TLS.PeerCertificates[0].NotAfter
		secured = "certificate valid until " + until.UTC().Format(time.DateOnly)
		if until.Sub(began) < soonExpired {
			e.problem(subject, "the certificate of %s expires on %s: have it renewed", target.Host, until.UTC().Format(time.DateOnly))
		}
	}
	e.ok(subject, "%s answers (%s, %s)", target.Host, proxy, secured)
	e.clock(subject, res, began)
	if e.CheckKey || e.SendTestEvent {
		e.key(ctx, subject, client, target.String(), x)
	}
}

// clock compares this machine's clock with the server's.
func (e *examination) clock(subject string, res *http.Response, began time.Time) {
	theirs, err := http.ParseTime(res.Header.Get("Date"))
	if err != nil {
		return
	}
	// The server's clock has a resolution of one second, and was read between two readings of this one.
	ended := e.Now()
	off := time.Duration(0)
	if early := began.Sub(theirs.Add(time.Second)); early > 0 {
		off = early
	} else if late := theirs.Sub(ended); late > 0 {
		off = -late
	}
	switch {
	case off > wrongClock:
		e.problem(subject, "this clock is %s ahead of the server's: synchronize it, because days and repeats depend on time", off.Round(time.Second))
	case off < -wrongClock:
		e.problem(subject, "this clock is %s behind the server's: synchronize it, because days and repeats depend on time", (-off).Round(time.Second))
	default:
		e.ok(subject, "this clock and the server's agree")
	}
}

// key checks whether the project's key is good, with a request without events, or with one event that sets nothing.
func (e *examination) key(ctx context.Context, subject string, client *http.Client, target string, x exporter) {
	events := []any{}
	if e.SendTestEvent {
		events = append(events, map[string]any{"event_type": "$identify", "user_id": "otelcol-amplitude-doctor", "user_properties": map[string]any{}})
	}
	body, err := json.Marshal(map[string]any{"api_key": string(x.config.APIKey), "events": events})
	if err != nil {
		return
	}
	res, answer, err := ask(ctx, client, http.MethodPost, target, body) //nolint:bodyclose // ask closes it
	if err != nil {
		e.problem(subject, "failed to check the key: %s", oneLine(reason(err)))
		return
	}
	var told struct {
		Error string `json:"error"`
	}
	_ = json.Unmarshal(answer, &told) // a proxy may answer anything
	switch {
	case strings.HasPrefix(told.Error, "Invalid API key"):
		e.problem(subject, "Amplitude does not know the api_key in this region: copy it from the project's settings, or set region to the project's")
	case res.StatusCode < http.StatusMultipleChoices && e.SendTestEvent:
		e.ok(subject, "the api_key is good: a $identify for the user otelcol-amplitude-doctor, which sets nothing, was accepted")
	case !e.SendTestEvent && (res.StatusCode < http.StatusMultipleChoices || res.StatusCode == http.StatusBadRequest && told.Error != ""):
		e.ok(subject, "the api_key seems to be good: Amplitude did not call it invalid in a request without events; --send-test-event makes sure")
	default:
		e.problem(subject, "failed to check the key: %s answers %d%s", res.Request.URL.Host, res.StatusCode, suffix(told.Error))
	}
}

func suffix(text string) string {
	if text == "" {
		return ""
	}
	return fmt.Sprintf(" (%.80q)", text)
}

func ask(ctx context.Context, client *http.Client, method, target string, body []byte) (*http.Response, []byte, error) {
	request, err := http.NewRequestWithContext(ctx, method, target, bytes.NewReader(body))
	if err != nil {
		return nil, nil, err
	}
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	res, err := client.Do(request)
	if err != nil {
		return nil, nil, err
	}
	answer, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	return res, answer, errors.Join(err, res.Body.Close())
}

// reason returns an error without its URL, which may contain a proxy's password.
func reason(err error) error {
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		return wrapped.Err
	}
	return err
}
