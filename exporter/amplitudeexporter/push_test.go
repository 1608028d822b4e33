// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudeexporter

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
	"pgregory.net/rapid"

	"github.com/otelcol-amplitude/otelcol-amplitude/exporter/amplitudeexporter/internal/event"
	"github.com/otelcol-amplitude/otelcol-amplitude/exporter/amplitudeexporter/internal/records"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/amplitude"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/printable"
)

// TestMixedRecords: records that are not sent are counted by reason, and the others are sent.
func TestMixedRecords(t *testing.T) {
	server := newScript(t)
	r := newRig(t, map[string]any{"endpoint": server.url()}, nil)
	logs := numbered(2)
	records := logs.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords()
	records.AppendEmpty().Body().SetStr("an ordinary log line")
	records.AppendEmpty().SetEventName("http.request")
	noID := records.AppendEmpty()
	noID.SetEventName("$exposure")
	exposure(records, "null", "bad id")
	exposure(records, "user-9", "bad field").Attributes().PutStr("amplitude.nonsense", "x")
	require.NoError(t, r.ConsumeLogs(t.Context(), logs))
	assert.Equal(t, []string{"e0", "e1"}, delivered(server))
	assert.Equal(t, map[string]int{"delivered": 2, "ignored": 2, "dropped": 3}, r.counts("events", "outcome"))
	assert.Equal(t, map[string]int{"not_an_event": 1, "not_allowed": 1, "no_id": 1, "invalid_id": 1, "unknown_field": 1}, r.counts("undelivered_events", "reason"))
	assert.Equal(t, map[string]int{"": 7}, r.counts("received_events", ""))
}

// TestShortIDsAreLogged: the event is sent under its device, and the log says what to do.
func TestShortIDsAreLogged(t *testing.T) {
	server := newScript(t)
	r := newRig(t, map[string]any{"endpoint": server.url()}, nil)
	shortest, running := amplitude.ShortestExportedID()
	assert.True(t, running)
	assert.Equal(t, amplitude.DefaultMinIDLength, shortest, "processors of this Collector know it from the start")
	for range 2 {
		logs := numbered(2)
		setUser(logs, 1, "u1")
		logs.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().At(1).Attributes().PutStr("amplitude.device_id", "device-1")
		require.NoError(t, r.ConsumeLogs(t.Context(), logs))
	}
	assert.Equal(t, map[string]int{"short_id": 2}, r.counts("dropped_values", "cause"))
	warned := r.logs.FilterMessageSnippet("Ids shorter than min_id_length are left out").All()
	require.Len(t, warned, 1, "not for each batch")
	assert.Equal(t, int64(5), warned[0].ContextMap()["min_id_length"])
	assert.Contains(t, warned[0].ContextMap()["hint"], "identity::min_id_length in the processor")
	r.stop()
	_, running = amplitude.ShortestExportedID()
	assert.False(t, running)
}

func TestNothingToSend(t *testing.T) {
	server := newScript(t)
	r := newRig(t, map[string]any{"endpoint": server.url()}, nil)
	require.NoError(t, r.ConsumeLogs(t.Context(), plog.NewLogs()))
	assert.Empty(t, server.received())
}

func TestDryRun(t *testing.T) {
	server := newScript(t)
	r := newRig(t, map[string]any{"endpoint": server.url(), "dry_run": true, "api_key": ""}, nil)
	require.NoError(t, r.ConsumeLogs(t.Context(), numbered(3)))
	assert.Empty(t, server.received())
	assert.Equal(t, map[string]int{"dry_run": 3}, r.counts("events", "outcome"))
	entries := r.logs.FilterMessage("Dry run: nothing was sent").All()
	require.Len(t, entries, 1)
	assert.Equal(t, int64(3), entries[0].ContextMap()["events"])
	assert.Equal(t, int64(0), entries[0].ContextMap()["billable"], "exposures cost nothing")
}

// TestDryRunShowsAnEvent: one per batch, with ids masked wherever they are.
func TestDryRunShowsAnEvent(t *testing.T) {
	r := newRig(t, map[string]any{"dry_run": true, "api_key": ""}, nil)
	for range 2 {
		logs := plog.NewLogs()
		records := newRecords(logs)
		record := exposure(records, "20779123", `20779123  9f2c"\\ 20779`)
		record.Attributes().PutStr("amplitude.device_id", "device-7")
		record.Attributes().PutStr("note", "of 20779123 on device-7")
		record.Attributes().PutInt("customer", 20779123)
		record.Attributes().PutEmptyMap("deep").PutEmptySlice("list").AppendEmpty().SetStr("device-7")
		exposure(records, "second-user", "second")
		require.NoError(t, r.ConsumeLogs(t.Context(), logs))
	}
	entries := r.logs.FilterMessage("Dry run: an event that would have been sent").All()
	require.Len(t, entries, 2)
	for _, entry := range entries {
		assert.Equal(t, zapcore.DebugLevel, entry.Level)
		assert.JSONEq(t, `{"event_type":"[Experiment] Exposure","user_id":"***","device_id":"***","insert_id":"***","time":1763895600000,
			"library":"otelcol-amplitude/1.2.3","user_properties":{"$set":{"[Experiment] checkout":"treatment"}},
			"event_properties":{"[Experiment] Flag Key":"checkout","[Experiment] Variant":"treatment","note":"of *** on ***",
			"customer":"***","deep":{"list":["***"]}}}`, entry.ContextMap()["event"].(string))
	}
}

// TestMissingProcessorIsExplained: for the first record whose name is not allowed, the log says what to do.
func TestMissingProcessorIsExplained(t *testing.T) {
	server := newScript(t)
	r := newRig(t, map[string]any{"endpoint": server.url()}, nil)
	for range 2 {
		logs := plog.NewLogs()
		records := newRecords(logs)
		logs.ResourceLogs().At(0).Resource().Attributes().PutStr("service.name", "shop"+strings.Repeat("p", 1000))
		records.AppendEmpty().SetEventName("feature_flag.evaluation")
		records.AppendEmpty().SetEventName("http.request")
		require.NoError(t, r.ConsumeLogs(t.Context(), logs))
	}
	entries := r.logs.FilterMessageSnippet("put the processor amplitude_experiment before this exporter").All()
	require.Len(t, entries, 1)
	assert.Equal(t, zapcore.WarnLevel, entries[0].Level)
	assert.Equal(t, "feature_flag.evaluation", entries[0].ContextMap()["event_name"])
	assert.Equal(t, "shop"+strings.Repeat("p", printable.MaxBytes-4)+"…", entries[0].ContextMap()["service"])
}

// TestFirstDeliveryIsLoggedOnce with the URL, but without a password in it.
func TestFirstDeliveryIsLoggedOnce(t *testing.T) {
	server := newScript(t, scriptedAnswer{Status: 503})
	r := newRig(t, map[string]any{"endpoint": strings.Replace(server.url(), "//", "//somebody:hunter2@", 1)}, nil)
	said := func() []observer.LoggedEntry {
		return r.logs.FilterMessage("Delivered the first events since startup").All()
	}
	require.Error(t, r.ConsumeLogs(t.Context(), numbered(3)))
	require.Empty(t, said())
	for range 2 {
		require.NoError(t, r.ConsumeLogs(t.Context(), numbered(3)))
	}
	require.Len(t, said(), 1)
	assert.Equal(t, zapcore.InfoLevel, said()[0].Level)
	assert.Equal(t, map[string]any{"url": strings.Replace(server.url(), "//", "//somebody:xxxxx@", 1), "events": int64(3)}, said()[0].ContextMap())
}

// TestExpectedErrorsHaveNoStackTrace: neither a refused key nor an outage, in this exporter's log lines or in
// exporterhelper's.
func TestExpectedErrorsHaveNoStackTrace(t *testing.T) {
	for name, answer := range map[string]scriptedAnswer{
		"refused key": {Status: 400, Body: []byte(`{"code":400,"error":"Invalid API key: x"}`)},
		"not found":   {Status: 404},
		"outage":      {Status: 503},
		"reset":       {Reset: true},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, map[string]any{"endpoint": newScript(t, answer).url()}, nil)
			require.Error(t, r.ConsumeLogs(t.Context(), numbered(3)))
			require.NotEmpty(t, r.logs.FilterLevelExact(zapcore.ErrorLevel).All())
			for _, entry := range r.logs.All() {
				assert.Empty(t, entry.Stack, entry.Message)
			}
		})
	}
}

func TestRequestOptions(t *testing.T) {
	server := newScript(t)
	r := newRig(t, map[string]any{"endpoint": server.url(), "min_id_length": 3, "partner_id": "partner"}, nil)
	logs := plog.NewLogs()
	exposure(newRecords(logs), "u-1", "i")
	require.NoError(t, r.ConsumeLogs(t.Context(), logs))
	assert.JSONEq(t, `{"api_key":"`+testKey+`","options":{"min_id_length":3},"events":[{
		"event_type":"[Experiment] Exposure","user_id":"u-1","time":1763895600000,"insert_id":"i",
		"library":"otelcol-amplitude/1.2.3","partner_id":"partner",
		"event_properties":{"[Experiment] Flag Key":"checkout","[Experiment] Variant":"treatment"},
		"user_properties":{"$set":{"[Experiment] checkout":"treatment"}}}]}`, string(server.received()[0].body))
}

// TestRateLimitBoundsARequest: a request must fit into the allowance of one second.
func TestRateLimitBoundsARequest(t *testing.T) {
	server := newScript(t)
	r := newRig(t, map[string]any{
		"endpoint": server.url(), "concurrency": 1,
		"rate_limit": map[string]any{"events_per_second": 1000, "requests_per_second": 1000},
	}, nil)
	require.NoError(t, r.ConsumeLogs(t.Context(), numbered(1100)))
	requests := server.received()
	require.Len(t, requests, 2)
	assert.Len(t, requests[0].events, 1000)
	assert.Len(t, requests[1].events, 100)
}

// TestRetryThroughTheQueue lets exporterhelper retry what one attempt left over.
func TestRetryThroughTheQueue(t *testing.T) {
	server := newScript(
		t,
		scriptedAnswer{Status: 400, When: "e1", Lists: map[string][]string{"events_with_invalid_fields/time": {"e1"}}},
		scriptedAnswer{Status: 503, Times: 3},
	)
	r := newRig(t, map[string]any{
		"endpoint":         server.url(),
		"sending_queue":    map[string]any{"enabled": true, "batch": map[string]any{"flush_timeout": "1ms"}},
		"retry_on_failure": map[string]any{"enabled": true, "initial_interval": "1ms"},
	}, nil)
	require.NoError(t, r.ConsumeLogs(t.Context(), numbered(3)))
	require.Eventually(t, func() bool { return r.counts("events", "outcome")["delivered"] == 2 }, patience, poll)
	assert.Equal(t, map[string]int{"delivered": 2, "dropped": 1, "retried": 6}, r.counts("events", "outcome"))
	for _, q := range server.received()[1:] {
		assert.Equal(t, []string{"e0", "e2"}, q.ids())
	}
}

// TestPermanentIsNeverMixedWithRetry: an error that asks to retry a part is not permanent.
func TestPermanentIsNeverMixedWithRetry(t *testing.T) {
	var calls atomic.Int32
	server := newScript(t)
	server.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		// One lane gets an overload, the other a refused key.
		if calls.Add(1) == 1 {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		w.WriteHeader(http.StatusBadRequest)
		fmt.Fprint(w, `{"code":400,"error":"Invalid API key: x"}`)
	})
	r := newRig(t, map[string]any{"endpoint": server.url(), "concurrency": 2}, nil)
	const events = 3000 // more than fit into one request
	err := r.ConsumeLogs(t.Context(), numbered(events))
	require.Error(t, err)
	assert.False(t, consumererror.IsPermanent(err))
	outcomes := r.counts("events", "outcome")
	assert.Equal(t, events, outcomes["dropped"]+outcomes["retried"])
	assert.NotZero(t, outcomes["retried"])
}

// TestConnectionsAreReused: there are never more connections than lanes, whatever the answers are.
func TestConnectionsAreReused(t *testing.T) {
	const lanes = 4
	server := newScript(t, scriptedAnswer{Status: 503, Text: string(make([]byte, 100_000)), Times: 5})
	var mu sync.Mutex
	seen := map[string]struct{}{}
	handler := server.Config.Handler
	server.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		mu.Lock()
		seen[q.RemoteAddr] = struct{}{}
		mu.Unlock()
		handler.ServeHTTP(w, q)
	})
	r := newRig(t, map[string]any{"endpoint": server.url(), "concurrency": lanes}, nil)
	const batches = 6
	for range batches {
		_ = r.ConsumeLogs(t.Context(), numbered(6000)) // four requests
	}
	assert.LessOrEqual(t, len(seen), lanes)
	assert.Greater(t, len(server.received()), 3*batches)
}

// TestAnswersAreBounded: an endless answer neither blocks the exporter nor fills its memory.
func TestAnswersAreBounded(t *testing.T) {
	server := newScript(t)
	server.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		_, _ = io.Copy(io.Discard, q.Body)
		w.WriteHeader(http.StatusBadGateway)
		for q.Context().Err() == nil {
			if _, err := w.Write(make([]byte, 1<<16)); err != nil {
				return
			}
		}
	})
	r := newRig(t, map[string]any{"endpoint": server.url()}, nil)
	require.Error(t, r.ConsumeLogs(t.Context(), numbered(1)))
}

func TestTimeoutIsTriedAgain(t *testing.T) {
	server := newScript(t)
	server.Config.Handler = http.HandlerFunc(func(_ http.ResponseWriter, q *http.Request) {
		// The server only notices that the client is gone while it reads.
		_, _ = io.Copy(io.Discard, q.Body)
		<-q.Context().Done()
	})
	r := newRig(t, map[string]any{"endpoint": server.url(), "timeout": "20ms"}, nil)
	err := r.ConsumeLogs(t.Context(), numbered(1))
	require.Error(t, err)
	assert.False(t, consumererror.IsPermanent(err))
	assert.Equal(t, map[string]int{"timeout": 1}, r.counts("requests", "status"))
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	for value, want := range map[string]time.Duration{
		"": 0, "7": 7 * time.Second, " 7 ": 7 * time.Second, "-7": 0, "soon": 0, "99999999999999999999": 0, "9000000000000000": longestWait,
		"Mon, 23 Nov 2026 12:01:00 GMT": time.Minute, "Mon, 23 Nov 2026 11:00:00 GMT": 0, "Mon, 23 Nov 2099 11:00:00 GMT": longestWait,
	} {
		assert.Equal(t, want, parseRetryAfter(value, now), value)
	}
}

// TestLanes: events that share a user or a device, directly or through others, are in one lane, in order.
func TestLanes(t *testing.T) {
	var p partitioner
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 600).Draw(t, "events")
		people := rapid.IntRange(1, 300).Draw(t, "people")
		b := &batch{}
		for range n {
			e := batchEvent{user: event.Identity(2*rapid.IntRange(0, people).Draw(t, "user") | 1)}
			if rapid.Bool().Draw(t, "with device") {
				e.device = event.Identity(1<<40 | 2*rapid.IntRange(0, people).Draw(t, "device") | 1)
			}
			if e.device != 0 && rapid.Bool().Draw(t, "without user") {
				e.user = 0
			}
			b.events = append(b.events, e)
		}
		laneOf := map[event.Identity]int{}
		seen := 0
		for lane, indexes := range p.split(b, rapid.IntRange(1, 10).Draw(t, "lanes")) {
			last := int32(-1)
			for _, i := range indexes {
				require.Greater(t, i, last, "in order, each once")
				last = i
				seen++
				for _, id := range []event.Identity{b.events[i].user, b.events[i].device} {
					if id == 0 {
						continue
					}
					if other, ok := laneOf[id]; ok {
						require.Equal(t, other, lane)
					}
					laneOf[id] = lane
				}
			}
		}
		require.Equal(t, n, seen)
	})
}

// TestRequestSize: requests stay within the limits, measured on the body.
func TestRequestSize(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := &envelope{head: `{"api_key":"k","events":[`, tail: `]}`, limits: limits{
			bytes: rapid.IntRange(200, 5000).Draw(t, "bytes"), events: rapid.IntRange(1, 50).Draw(t, "events"),
		}}
		e.target.Store(int64(e.limits.bytes))
		b := &batch{}
		var indexes []int32
		for i := range rapid.IntRange(1, 200).Draw(t, "n") {
			size := rapid.IntRange(2, e.maxEvent()).Draw(t, "size")
			b.events = append(b.events, batchEvent{json: make([]byte, size)})
			indexes = append(indexes, int32(i))
		}
		for len(indexes) > 0 {
			n := e.take(b, indexes)
			require.Positive(t, n)
			require.LessOrEqual(t, n, e.limits.events)
			body := e.build(nil, b, indexes[:n])
			require.LessOrEqual(t, len(body), e.limits.bytes)
			if n < len(indexes) && n < e.limits.events {
				require.Greater(t, len(e.build(nil, b, indexes[:n+1])), e.limits.bytes, "as large as possible")
			}
			indexes = indexes[n:]
		}
	})
}

// TestFewRequests: a batch takes no more requests than its size requires, whatever the concurrency is.
func TestFewRequests(t *testing.T) {
	for _, tc := range []struct {
		name                               string
		events, padding, concurrency, want int
	}{
		{"one event", 1, 0, 8, 1},
		{"what fits into one request", 1999, 0, 8, 1},
		{"one event more", 2000, 0, 8, 2},
		{"fewer, but larger events", 700, 1000, 8, 1},
		{"more bytes than fit into one request", 1000, 1000, 8, 2},
		{"more requests than lanes", 7000, 0, 2, 4},
	} {
		t.Run(tc.name, func(t *testing.T) {
			server := newScript(t)
			r := newRig(t, map[string]any{"endpoint": server.url(), "concurrency": tc.concurrency}, nil)
			logs := numbered(tc.events)
			for p := range records.All(logs) {
				p.Record.Attributes().PutStr("padding", strings.Repeat("x", tc.padding))
			}
			require.NoError(t, r.ConsumeLogs(t.Context(), logs))
			assert.Len(t, server.received(), tc.want)
		})
	}
}

// TestByteTarget: it drops after a refusal and slowly rises again.
func TestByteTarget(t *testing.T) {
	e := newEnvelope(newConfig(t, nil))
	e.tooLarge(800_000)
	assert.Equal(t, int64(400_000), e.target.Load())
	e.tooLarge(900_000)
	assert.Equal(t, int64(400_000), e.target.Load(), "a refusal does not raise it")
	e.accepted(1000)
	assert.Equal(t, int64(400_000), e.target.Load(), "a small request shows nothing")
	e.accepted(399_000)
	assert.Greater(t, e.target.Load(), int64(400_000))
	for range 1000 {
		e.accepted(int(e.target.Load()))
	}
	assert.Equal(t, int64(1_000_000), e.target.Load(), "at most the documented limit")
	for range 100 {
		e.tooLarge(1)
	}
	assert.Equal(t, int64(minTarget), e.target.Load())
}
