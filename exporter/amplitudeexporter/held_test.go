// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudeexporter

import (
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componentstatus"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
)

// held are answers that do not say anything about the events themselves.
var held = []scriptedAnswer{
	{Status: 400, Text: "<html>blocked</html>"},
	{Status: 400, Body: json.RawMessage(`{"code":400,"error":"Invalid API key: x"}`)},
	{Status: 401},
	{Status: 402},
	{Status: 403},
	{Status: 404, Text: "default backend - 404"},
	{Status: 405},
	{Status: 406},
	{Status: 407},
	{Status: 409},
	{Status: 410},
	{Status: 411},
	{Status: 415},
	{Status: 421},
	{Status: 451},
	{Status: 499},
	{Status: 500},
	{Status: 530},
	{Status: 301},
	{Status: 307},
	{Status: 200, Text: "<html>Sign in to the network</html>"},
	{Status: 200, Text: "\ufeff\r\n<html>Sign in to the network</html>"},
	{Reset: true},
}

// TestHeldNotDropped: something in between answers a few times, then all is well again. With retries that never end,
// everything arrives, and the status follows.
func TestHeldNotDropped(t *testing.T) {
	for _, answer := range held {
		t.Run(fmt.Sprint(answer.Status, answer.Text, string(answer.Body)), func(t *testing.T) {
			answer.Times = 6
			server := newScript(t, answer)
			r := newRig(t, map[string]any{
				"endpoint":         server.url(),
				"sending_queue":    map[string]any{"enabled": true, "batch": map[string]any{"flush_timeout": "1ms"}},
				"retry_on_failure": map[string]any{"enabled": true, "initial_interval": "1ms", "multiplier": 1, "max_interval": "1ms"},
			}, nil)
			require.NoError(t, r.ConsumeLogs(t.Context(), numbered(20)))
			require.Eventually(t, func() bool { return r.counts("events", "outcome")["delivered"] == 20 }, patience, poll)
			require.Eventually(t, func() bool {
				all := r.host.statuses()
				return len(all) > 0 && all[len(all)-1] == componentstatus.StatusOK
			}, patience, poll)
			assert.NotContains(t, r.host.statuses(), componentstatus.StatusPermanentError)
			assert.Contains(t, r.host.statuses(), componentstatus.StatusRecoverableError)
			outcomes := r.counts("events", "outcome")
			assert.Zero(t, outcomes["dropped"]+outcomes["dead_lettered"])
		})
	}
}

// TestRetriesEnd: held events go to the dead letter file after the configured time, whatever the reason.
func TestRetriesEnd(t *testing.T) {
	for _, answer := range held {
		t.Run(fmt.Sprint(answer.Status, answer.Text, string(answer.Body)), func(t *testing.T) {
			answer.Times = -1
			path := filepath.Join(t.TempDir(), "dead.jsonl")
			r := newRig(t, map[string]any{
				"endpoint":         newScript(t, answer).url(),
				"dead_letter":      map[string]any{"path": path},
				"sending_queue":    map[string]any{"enabled": true, "batch": map[string]any{"flush_timeout": "1ms"}},
				"retry_on_failure": map[string]any{"enabled": true, "initial_interval": "1ms", "multiplier": 1, "max_interval": "1ms", "max_elapsed_time": "30ms"},
			}, nil)
			require.NoError(t, r.ConsumeLogs(t.Context(), numbered(3)))
			require.Eventually(t, func() bool { return r.counts("events", "outcome")["dead_lettered"] == 3 }, patience, poll)
			for _, letter := range readDeadLetters(t, path) {
				assert.Contains(t, letter, "retries_ended")
				if !answer.Reset {
					assert.Contains(t, letter, strconv.Itoa(answer.Status))
				}
			}
			assert.Equal(t, map[string]int{"": 3}, r.counts("received_events", ""))
		})
	}
}

// TestWithoutRetries: one failure, and the events are in the dead letter file, not lost between two counters.
func TestWithoutRetries(t *testing.T) {
	path := filepath.Join(t.TempDir(), "dead.jsonl")
	r := newRig(t, map[string]any{
		"endpoint":      newScript(t, scriptedAnswer{Status: 503}).url(),
		"dead_letter":   map[string]any{"path": path},
		"sending_queue": map[string]any{"enabled": true, "batch": map[string]any{"flush_timeout": "1ms"}},
	}, nil)
	require.NoError(t, r.ConsumeLogs(t.Context(), numbered(2)))
	require.Eventually(t, func() bool { return r.counts("events", "outcome")["dead_lettered"] == 2 }, patience, poll)
	assert.Equal(t, []string{"e0 retries_ended 503", "e1 retries_ended 503"}, readDeadLetters(t, path))
}

// TestCountersAddUpWithoutAQueue: events that the sender has to retry do not count as received.
func TestCountersAddUpWithoutAQueue(t *testing.T) {
	for name, queue := range map[string]map[string]any{
		"queue off":       {"enabled": false},
		"wait_for_result": {"enabled": true, "wait_for_result": true, "batch": map[string]any{"flush_timeout": "1ms"}},
	} {
		t.Run(name, func(t *testing.T) {
			server := newScript(t,
				scriptedAnswer{Status: http.StatusBadRequest, Lists: map[string][]string{"events_with_invalid_fields/time": {"e1"}}},
				scriptedAnswer{Status: 503})
			r := newRig(t, map[string]any{"endpoint": server.url(), "sending_queue": queue}, nil)
			require.Error(t, r.ConsumeLogs(t.Context(), numbered(3)))
			assert.Equal(t, map[string]int{"dropped": 1, "retried": 2}, r.counts("events", "outcome"))
			assert.Equal(t, map[string]int{"": 1}, r.counts("received_events", ""))
			require.NoError(t, r.ConsumeLogs(t.Context(), numbered(3)))
			assert.Equal(t, map[string]int{"dropped": 1, "retried": 2, "delivered": 3}, r.counts("events", "outcome"))
			assert.Equal(t, map[string]int{"": 4}, r.counts("received_events", ""))
		})
	}
}

// TestFullRefusalSendsFewRequests: while nothing gets through, an attempt makes a handful of requests, however large
// the batch is.
func TestFullRefusalSendsFewRequests(t *testing.T) {
	server := newScript(t, scriptedAnswer{Status: http.StatusForbidden, Text: "<html>Request blocked</html>", Times: -1})
	r := newRig(t, map[string]any{"endpoint": server.url()}, nil)
	for try := range 3 {
		before := len(server.received())
		require.Error(t, r.ConsumeLogs(t.Context(), numbered(9000)))
		assert.LessOrEqual(t, len(server.received())-before, 5+8, "try %d", try)
	}
	assert.Equal(t, map[string]int{"retried": 3 * 9000}, r.counts("events", "outcome"))
}

// TestShortRetryAfterIsHonored when the project is throttled.
func TestShortRetryAfterIsHonored(t *testing.T) {
	server := newScript(t, scriptedAnswer{Status: 429, Headers: map[string]string{"Retry-After": "2"}, Text: "<html>429</html>"})
	r := newRig(t, map[string]any{"endpoint": server.url()}, nil)
	require.ErrorContains(t, r.ConsumeLogs(t.Context(), numbered(1)), "Throttle (2s)")
}

// TestLongListOfThrottledIDs: more is read of a 429 than of other answers, so that only the listed ids have to wait.
func TestLongListOfThrottledIDs(t *testing.T) {
	throttledUsers := map[string]int{}
	for i := range 1900 {
		throttledUsers[fmt.Sprintf("user-%05d", i)+strings.Repeat("x", 900)] = 31
	}
	body, err := json.Marshal(map[string]any{"code": 429, "error": "Too many requests for some devices and users", "throttled_users": throttledUsers})
	require.NoError(t, err)
	server := newScript(t, scriptedAnswer{Status: 429, Body: body})
	r := newRig(t, map[string]any{"endpoint": server.url(), "api": "batch"}, nil)
	logs := numbered(1901)
	for i := range 1900 {
		setUser(logs, i, fmt.Sprintf("user-%05d", i)+strings.Repeat("x", 900))
	}
	require.NoError(t, r.ConsumeLogs(t.Context(), logs))
	assert.Equal(t, map[string]int{"delivered": 1, "throttled": 1900}, r.counts("events", "outcome"))
}

// TestRefusalsThatEndMidAttempt: an event is refused on its own, and then another one gets through. It is sent once
// more, or retried later if a later event of its user has overtaken it, so nothing is given up.
func TestRefusalsThatEndMidAttempt(t *testing.T) {
	for _, answer := range held {
		for times := range 12 {
			oneUser := times%2 == 1
			t.Run(fmt.Sprint(answer.Status, answer.Text, string(answer.Body), " ", times/2+1, " times, of one user: ", oneUser), func(t *testing.T) {
				answer := answer
				answer.Times = times/2 + 1
				server := newScript(t, answer)
				r := newRig(t, map[string]any{"endpoint": server.url()}, nil)
				logs := numbered(4)
				for i := 0; oneUser && i < 4; i++ {
					setUser(logs, i, "user-00000")
				}
				require.Eventually(t, func() bool { return r.ConsumeLogs(t.Context(), logs) == nil }, patience, poll)
				assert.Zero(t, r.counts("events", "outcome")["dropped"])
			})
		}
	}
}

// TestHeldEventsAreLoggedOnceAMinute: one line at the first answer, whatever the answers are and however many attempts
// there are.
func TestHeldEventsAreLoggedOnceAMinute(t *testing.T) {
	for _, answer := range held {
		t.Run(fmt.Sprint(answer.Status, answer.Text, string(answer.Body)), func(t *testing.T) {
			t.Parallel()
			answer.Times = -1
			server := newScript(t, answer)
			settings := impatient(server.url())
			settings["retry_on_failure"].(map[string]any)["multiplier"] = 1
			r := newRig(t, settings, nil)
			atStart := r.logs.FilterLevelExact(zapcore.WarnLevel).Len()
			require.NoError(t, r.ConsumeLogs(t.Context(), numbered(20)))
			for minute := 1; minute <= 3; minute++ {
				tries := r.counts("events", "outcome")["retried"]
				require.Eventually(t, func() bool { return r.counts("events", "outcome")["retried"] > tries+5*20 }, patience, poll)
				lines := r.logs.Filter(func(e observer.LoggedEntry) bool { return e.Level > zapcore.DebugLevel && e.Level != zapcore.InfoLevel }).All()[atStart:]
				assert.Len(t, lines, minute)
				assert.Empty(t, r.logs.FilterMessageSnippet("Exporting failed").Filter(func(e observer.LoggedEntry) bool { return e.Level > zapcore.DebugLevel }).All())
				r.clock.Advance(heldInterval)
			}
			server.then()
			// An event that failed on its own while others got through already waits in the slow lane.
			require.Eventually(t, func() bool {
				r.clock.Advance(heldInterval)
				return r.counts("events", "outcome")["delivered"] == 20
			}, patience, poll)
		})
	}
}
