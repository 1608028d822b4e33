// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudeexporter

import (
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componentstatus"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/exporter/exportertest"
	"go.opentelemetry.io/collector/pdata/plog"
	attributes "go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/otelcol-amplitude/otelcol-amplitude/exporter/amplitudeexporter/internal/chunk"
	"github.com/otelcol-amplitude/otelcol-amplitude/exporter/amplitudeexporter/internal/metadata"
	"github.com/otelcol-amplitude/otelcol-amplitude/exporter/amplitudeexporter/internal/records"
	"github.com/otelcol-amplitude/otelcol-amplitude/exporter/amplitudeexporter/internal/records/recordstest"
)

const (
	testKey  = "0123456789abcdefSECRETKEY0000000"
	patience = time.Minute
	poll     = 5 * time.Millisecond
)

// fakeClock only moves when a test advances it.
type fakeClock struct {
	mu     sync.Mutex
	now    time.Time
	timers []*fakeTimer
	// asked counts the calls of At.
	asked int
}

type fakeTimer struct {
	at time.Time
	c  chan time.Time
}

func newFakeClock() *fakeClock {
	return &fakeClock{now: time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)}
}

func (c *fakeClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *fakeClock) At(at time.Time) (moment <-chan time.Time, stop func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asked++
	t := &fakeTimer{at: at, c: make(chan time.Time, 1)}
	c.timers = append(c.timers, t)
	c.fire()
	return t.c, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.timers = slices.DeleteFunc(c.timers, func(other *fakeTimer) bool { return other == t })
	}
}

// waiting reports whether there is a timer in the future.
func (c *fakeClock) waiting() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.timers) > 0
}

func (c *fakeClock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
	c.fire()
}

// fire fires the timers that are due.
func (c *fakeClock) fire() {
	c.timers = slices.DeleteFunc(c.timers, func(t *fakeTimer) bool {
		if t.at.After(c.now) {
			return false
		}
		t.c <- c.now
		return true
	})
}

// asks returns the number of calls of At: once it has grown, the slow lane has planned again.
func (c *fakeClock) asks() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.asked
}

// statusHost collects the status events of the exporter and has the extensions of a test.
type statusHost struct {
	extensions map[component.ID]component.Component
	mu         sync.Mutex
	events     []*componentstatus.Event
}

func (h *statusHost) GetExtensions() map[component.ID]component.Component { return h.extensions }

func (h *statusHost) Report(event *componentstatus.Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.events = append(h.events, event)
}

func (h *statusHost) statuses() []componentstatus.Status {
	h.mu.Lock()
	defer h.mu.Unlock()
	var all []componentstatus.Status
	for _, event := range h.events {
		all = append(all, event.Status())
	}
	return all
}

// rig is an exporter under test, created by its factory, with everything around it.
type rig struct {
	exporter.Logs
	t     testing.TB
	clock *fakeClock
	host  *statusHost
	tel   *componenttest.Telemetry
	logs  *observer.ObservedLogs
	zap   *zap.Logger
	// settings are those that the exporter was created with.
	settings exporter.Settings
	once     sync.Once
}

// newRig starts an exporter with this configuration merged over the defaults of newConfig.
func newRig(t testing.TB, settings map[string]any, host *statusHost) *rig {
	t.Helper()
	return newRigAt(t, settings, host, newFakeClock())
}

// newRigAt is newRig with the clock of an earlier rig.
func newRigAt(t testing.TB, settings map[string]any, host *statusHost, c *fakeClock) *rig {
	t.Helper()
	r := &rig{t: t, clock: c, host: host, tel: componenttest.NewTelemetry()}
	if r.host == nil {
		r.host = &statusHost{}
	}
	core, logs := observer.New(zapcore.DebugLevel)
	r.logs = logs
	set := exportertest.NewNopSettings(metadata.Type)
	set.ID = component.NewIDWithName(metadata.Type, "test")
	set.TelemetrySettings = r.tel.NewTelemetrySettings()
	r.zap = zap.New(core, zap.AddStacktrace(zapcore.ErrorLevel)) // as the Collector's
	set.Logger = r.zap
	set.BuildInfo = component.BuildInfo{Command: "otelcol-amplitude", Description: "Collector", Version: "1.2.3"}
	r.settings = set
	x, err := newFactory(r.clock).CreateLogs(t.Context(), set, newConfig(t, settings))
	require.NoError(t, err)
	r.Logs = x
	require.NoError(t, x.Start(t.Context(), r.host))
	t.Cleanup(r.stop)
	return r
}

// shutdown stops the exporter, whose metrics can still be read until stop.
func (r *rig) shutdown() {
	assert.NoError(r.t, r.Shutdown(context.WithoutCancel(r.t.Context())))
}

func (r *rig) stop() {
	r.once.Do(func() {
		r.shutdown()
		assert.NoError(r.t, r.tel.Shutdown(context.WithoutCancel(r.t.Context())))
	})
}

// newConfig reads settings as a Collector would. Without queue and retries, ConsumeLogs returns the result of one
// attempt.
func newConfig(t testing.TB, settings map[string]any) *Config {
	t.Helper()
	cfg := createDefaultConfig()
	conf := confmap.NewFromStringMap(map[string]any{
		"api_key":          testKey,
		"sending_queue":    map[string]any{"enabled": false},
		"retry_on_failure": map[string]any{"enabled": false},
	})
	require.NoError(t, conf.Merge(confmap.NewFromStringMap(settings)))
	require.NoError(t, conf.Unmarshal(cfg))
	require.NoError(t, confmap.Validate(cfg))
	return cfg.(*Config)
}

// counts reads a counter or gauge by the value of one attribute ("" when it has none).
func (r *rig) counts(name, attribute string) map[string]int {
	r.t.Helper()
	counts := map[string]int{}
	metric, err := r.tel.GetMetric("otelcol_exporter_amplitude_" + name)
	if err != nil {
		return counts
	}
	var points []metricdata.DataPoint[int64]
	switch data := metric.Data.(type) {
	case metricdata.Sum[int64]:
		points = data.DataPoints
	case metricdata.Gauge[int64]:
		points = data.DataPoints
	default:
		require.Fail(r.t, "not a sum or gauge of integers", name)
	}
	for _, point := range points {
		id, _ := point.Attributes.Value("exporter")
		require.Equal(r.t, "amplitude/test", id.AsString())
		value, _ := point.Attributes.Value(attributes.Key(attribute))
		if point.Value != 0 {
			counts[value.AsString()] += int(point.Value)
		}
	}
	return counts
}

func (r *rig) slowLane() int { return r.counts("slow_lane_events", "")[""] }

// scriptedAnswer is one line of a server's script.
type scriptedAnswer struct {
	// When is an insert_id: the answer is for requests that contain it. If empty, it is for any request.
	When string `json:"when,omitempty"`
	// Times is how often the answer is given; 0 means once, -1 forever.
	Times   int               `json:"times,omitempty"`
	Status  int               `json:"status"`
	Headers map[string]string `json:"headers,omitempty"`
	// Body is written as JSON, Text unchanged.
	Body json.RawMessage `json:"body,omitempty"`
	Text string          `json:"text,omitempty"`
	// Lists makes the lists of the body from insert_ids. Its keys are "list" or "list/field".
	Lists map[string][]string `json:"lists,omitempty"`
	// Reset closes the connection instead of answering.
	Reset bool `json:"reset,omitempty"`
}

// receivedEvent has the fields of an event that scripts and most tests need.
type receivedEvent struct {
	EventType string `json:"event_type"`
	UserID    string `json:"user_id"`
	DeviceID  string `json:"device_id"`
	InsertID  string `json:"insert_id"`
}

// receivedRequest is a request as the server saw it.
type receivedRequest struct {
	header http.Header
	body   []byte
	events []receivedEvent
}

func (q receivedRequest) ids() []string {
	ids := make([]string, 0, len(q.events))
	for _, e := range q.events {
		ids = append(ids, e.InsertID)
	}
	return ids
}

// script is a server that follows a script, and otherwise answers like Amplitude when everything is fine.
type script struct {
	*httptest.Server
	t        testing.TB
	mu       sync.Mutex
	answers  []scriptedAnswer
	requests []receivedRequest
	opened   atomic.Int32 // connections
}

func newScript(t testing.TB, answers ...scriptedAnswer) *script {
	s := &script{t: t, answers: answers}
	s.Server = httptest.NewUnstartedServer(s)
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			s.opened.Add(1)
		}
	}
	s.Start()
	t.Cleanup(s.Close)
	return s
}

func (s *script) url() string { return s.URL + "/2/httpapi" }

func (s *script) then(answers ...scriptedAnswer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answers = answers
}

func (s *script) received() []receivedRequest {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]receivedRequest(nil), s.requests...)
}

// decompressed returns what reads the body of a request.
func decompressed(r *http.Request) (io.Reader, error) {
	if r.Header.Get("Content-Encoding") == "gzip" {
		return gzip.NewReader(r.Body)
	}
	return r.Body, nil
}

func (s *script) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	from, err := decompressed(r)
	if !assert.NoError(s.t, err) {
		return
	}
	raw, err := io.ReadAll(from)
	if errors.Is(err, io.ErrUnexpectedEOF) && r.Context().Err() != nil {
		return // cut off by a shutdown
	}
	if !assert.NoError(s.t, err) {
		return
	}
	var parsed struct {
		APIKey string          `json:"api_key"`
		Events []receivedEvent `json:"events"`
	}
	assert.NoError(s.t, json.Unmarshal(raw, &parsed))
	assert.NotEmpty(s.t, parsed.Events)
	request := receivedRequest{header: r.Header.Clone(), body: raw, events: parsed.Events}
	s.mu.Lock()
	s.requests = append(s.requests, request)
	answer := s.take(request)
	s.mu.Unlock()
	if answer == nil {
		fmt.Fprintf(w, `{"code":200,"server_upload_time":1,"payload_size_bytes":%d,"events_ingested":%d}`, len(raw), len(parsed.Events))
		return
	}
	if answer.Reset {
		panic(http.ErrAbortHandler)
	}
	for name, value := range answer.Headers {
		w.Header().Set(name, value)
	}
	w.WriteHeader(answer.Status)
	_, _ = io.WriteString(w, answer.render(request, parsed.APIKey))
}

// take returns the next answer for the request, nil for the ordinary one.
func (s *script) take(q receivedRequest) *scriptedAnswer {
	for i := range s.answers {
		a := &s.answers[i]
		if a.Times < -1 {
			continue // used up
		}
		found := a.When == ""
		for _, e := range q.events {
			found = found || e.InsertID == a.When
		}
		if !found {
			continue
		}
		given := *a
		switch {
		case a.Times == -1:
		case a.Times > 1:
			a.Times--
		default:
			a.Times = -2
		}
		return &given
	}
	return nil
}

func (a *scriptedAnswer) render(q receivedRequest, key string) string {
	if a.Text != "" {
		return strings.ReplaceAll(a.Text, "<key>", key)
	}
	body := map[string]any{}
	if a.Body != nil {
		if json.Unmarshal([]byte(strings.ReplaceAll(string(a.Body), "<key>", key)), &body) != nil {
			return string(a.Body)
		}
	}
	for list, ids := range a.Lists {
		indexes := []int{}
		for i, e := range q.events {
			for _, id := range ids {
				if e.InsertID == id {
					indexes = append(indexes, i)
				}
			}
		}
		name, field, nested := strings.Cut(list, "/")
		if !nested {
			body[name] = indexes
			continue
		}
		byField, _ := body[name].(map[string]any)
		if byField == nil {
			byField = map[string]any{}
			body[name] = byField
		}
		byField[field] = indexes
	}
	out, _ := json.Marshal(body)
	return string(out)
}

// Short names for recordstest.
var (
	exposure   = recordstest.AppendExposure
	newRecords = recordstest.AppendSlice
	numbered   = recordstest.Numbered
	insertIDs  = recordstest.InsertIDs
)

// encoded returns logs in the form in which the queue hands them over.
func encoded(x *amplitudeExporter, logs plog.Logs) chunk.Parts {
	c, _ := x.lend(records.All(logs))
	return chunk.Whole(c)
}
