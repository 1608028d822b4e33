// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudeexporter

import (
	"encoding/json"
	"fmt"
	"maps"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/otelcol-amplitude/otelcol-amplitude/exporter/amplitudeexporter/internal/orderedqueue"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/amplitude/receipts"
)

// TestSendersDoNotWaitForever for room in a queue that is full.
func TestSendersDoNotWaitForever(t *testing.T) {
	server := newScript(t, scriptedAnswer{Status: 503, Times: -1})
	settings := impatient(server.url())
	settings["max_queue_wait"] = "10ms"
	settings["sending_queue"] = map[string]any{"enabled": true, "queue_size": 2, "batch": map[string]any{"flush_timeout": "1ms", "min_size": 1, "max_size": 1}}
	r := newRig(t, settings, nil)
	var err error
	taken := 0
	for ; err == nil; taken++ {
		require.Less(t, taken, 20)
		err = r.ConsumeLogs(t.Context(), numbered(1))
	}
	require.ErrorIs(t, err, orderedqueue.ErrFull)
	assert.False(t, consumererror.IsPermanent(err), "the sender may retry")
	assert.Equal(t, map[string]int{"": taken - 1}, r.counts("received_events", ""))
}

// TestRequestLargerThanTheQueue is accepted in pieces, in order.
func TestRequestLargerThanTheQueue(t *testing.T) {
	for _, sizer := range []string{"items", "bytes"} {
		for _, onDisk := range []bool{false, true} {
			t.Run(fmt.Sprint(sizer, " on disk: ", onDisk), func(t *testing.T) {
				server := newScript(t)
				queue := map[string]any{"enabled": true, "sizer": sizer, "queue_size": 100, "batch": map[string]any{"flush_timeout": "1ms", "min_size": 1}}
				if sizer == "bytes" {
					queue["queue_size"] = 20_000
				}
				settings := map[string]any{"endpoint": server.url(), "sending_queue": queue}
				host := &statusHost{}
				if onDisk {
					var closeStorage func()
					host, closeStorage = storageHost(t, t.TempDir())
					defer closeStorage()
					queue["storage"] = "file_storage"
				}
				r := newRig(t, settings, host)
				require.NoError(t, r.ConsumeLogs(t.Context(), numbered(1000)))
				require.Eventually(t, func() bool { return r.counts("events", "outcome")["delivered"] == 1000 }, patience, poll)
				assert.Equal(t, insertIDs(numbered(1000)), delivered(server))
				assert.Equal(t, map[string]int{"": 1000}, r.counts("received_events", ""))
				r.stop()
			})
		}
	}
}

// TestRequestLargerThanTheQueueIsWaitedFor in pieces; if one fails, the sender repeats all of them.
func TestRequestLargerThanTheQueueIsWaitedFor(t *testing.T) {
	server := newScript(t, scriptedAnswer{Status: 503, When: "e700"})
	queue := map[string]any{"enabled": true, "wait_for_result": true, "sizer": "items", "queue_size": 500, "batch": map[string]any{"flush_timeout": "1ms", "min_size": 1}}
	r := newRig(t, map[string]any{"endpoint": server.url(), "sending_queue": queue}, nil)
	err := r.ConsumeLogs(t.Context(), numbered(1000))
	require.Error(t, err)
	assert.False(t, consumererror.IsPermanent(err))
	assert.NotErrorAs(t, err, &consumererror.Logs{}, "or a sender would repeat only a part of this piece, and none behind it")
	require.NoError(t, r.ConsumeLogs(t.Context(), numbered(1000)))
	assert.Equal(t, map[string]int{"delivered": 500 + 1000, "retried": 250}, r.counts("events", "outcome"), "in pieces of 250")
	assert.Equal(t, insertIDs(numbered(1000)), delivered(server)[750:])
}

// TestRecordLargerThanTheQueue: no repetition would ever make room for it, so it is counted and explained, and its
// neighbors arrive. What is large outside of a record is left out.
func TestRecordLargerThanTheQueue(t *testing.T) {
	for name, queue := range map[string]map[string]any{
		"in memory":  {},
		"on disk":    {"storage": "file_storage"},
		"waited for": {"wait_for_result": true},
	} {
		for _, letters := range []bool{true, false} {
			t.Run(fmt.Sprint(name, ", dead letters: ", letters), func(t *testing.T) {
				server := newScript(t)
				host, closeStorage := storageHost(t, t.TempDir())
				defer closeStorage()
				sending := map[string]any{"enabled": true, "sizer": "bytes", "queue_size": 20_000, "batch": map[string]any{"flush_timeout": "1ms", "min_size": 1}}
				maps.Copy(sending, queue)
				settings := map[string]any{"endpoint": server.url(), "sending_queue": sending, "max_queue_wait": "10s"}
				path := filepath.Join(t.TempDir(), "dead.jsonl")
				ended := "dropped"
				if letters {
					settings["dead_letter"] = map[string]any{"path": path}
					ended = "dead_lettered"
				}
				r := newRig(t, settings, host)
				logs := numbered(5)
				resource := logs.ResourceLogs().At(0)
				resource.Resource().Attributes().PutStr("padding", strings.Repeat("r", 30_000))
				large := resource.ScopeLogs().At(0).LogRecords()
				large.At(2).Attributes().PutStr("padding", strings.Repeat("x", 30_000))
				foreign := large.AppendEmpty()
				foreign.SetEventName("of somebody else")
				foreign.Attributes().PutStr("padding", strings.Repeat("y", 30_000))
				ctx, batch, sink := registered(t, logs)
				require.NoError(t, r.ConsumeLogs(ctx, logs))
				batch.Close()
				want := map[string]int{"delivered": 4, ended: 1, "ignored": 1}
				require.Eventually(t, func() bool { return maps.Equal(want, r.counts("events", "outcome")) }, patience, poll)
				assert.Equal(t, []string{"e0", "e1", "e3", "e4"}, delivered(server))
				assert.Equal(t, map[string]int{"too_large": 1, "not_allowed": 1}, r.counts("undelivered_events", "reason"))
				assert.Equal(t, map[string]int{"": 6}, r.counts("received_events", ""))
				if letters {
					assert.Equal(t, []string{"e2 too_large"}, readDeadLetters(t, path))
				}
				r.stop()
				outcomes := map[uint64]receipts.Outcome{2: receipts.NotDelivered}
				for _, token := range []uint64{0, 1, 3, 4} {
					outcomes[token] = receipts.Delivered
				}
				assert.Equal(t, outcomes, sink.all())
				said := r.logs.FilterMessageSnippet("larger than the sending queue").All()
				require.Len(t, said, 1)
				assert.Contains(t, said[0].ContextMap()["hint"], "sending_queue::queue_size")
			})
		}
	}
}

// TestNoisyUsersDoNotFillTheSlowLane: only the events of noisy users beyond their share go elsewhere, and all others
// arrive, however many users are noisy.
func TestNoisyUsersDoNotFillTheSlowLane(t *testing.T) {
	const rounds, perRound, lane = 4, 15, 50
	for name, c := range map[string]struct {
		noisy  int
		letter bool
		kept   int
	}{
		"one":                     {noisy: 1, letter: true, kept: 10},
		"one, no dead letters":    {noisy: 1, kept: rounds * perRound},
		"three":                   {noisy: 3, letter: true, kept: 10 + 8 + 6},
		"twelve":                  {noisy: 12, letter: true, kept: lane},
		"three, no dead letters":  {noisy: 3, kept: 10 + 8 + 6 + lane},
		"twelve, no dead letters": {noisy: 12, kept: 2 * lane},
	} {
		t.Run(name, func(t *testing.T) {
			noisy := map[string]int{}
			for n := range c.noisy {
				noisy[fmt.Sprintf("bot-%06d", n)] = 31
			}
			body, err := json.Marshal(map[string]any{"code": 429, "error": "Too many requests for some devices and users", "exceeded_daily_quota_users": noisy})
			require.NoError(t, err)
			server := newScript(t, scriptedAnswer{Status: 429, Body: body})
			path := filepath.Join(t.TempDir(), "dead.jsonl")
			settings := map[string]any{"endpoint": server.url(), "slow_lane": map[string]any{"max_events": lane, "max_share": 0.2}}
			if c.letter {
				settings["dead_letter"] = map[string]any{"path": path}
			}
			r := newRig(t, settings, nil)
			for round := range rounds {
				logs := plog.NewLogs()
				records := newRecords(logs)
				for n := range c.noisy {
					for i := range perRound {
						exposure(records, fmt.Sprintf("bot-%06d", n), fmt.Sprintf("bot%d-%d", n, round*perRound+i))
					}
				}
				for i := range perRound {
					exposure(records, fmt.Sprintf("user-%d-%d", round, i), fmt.Sprintf("good%d", round*perRound+i))
				}
				require.NoError(t, r.ConsumeLogs(t.Context(), logs))
			}
			all := c.noisy * rounds * perRound
			want := map[string]int{"delivered": rounds * perRound, "throttled": c.kept}
			if all > c.kept && c.letter {
				want["dead_lettered"] = all - c.kept
			} else if all > c.kept {
				want["dropped"] = all - c.kept
			}
			assert.InDelta(t, c.kept, r.slowLane(), lane/5)
			want["throttled"] = r.slowLane()
			for _, outcome := range []string{"dead_lettered", "dropped"} {
				if want[outcome] > 0 {
					want[outcome] = all - r.slowLane()
					assert.Equal(t, map[string]int{"slow_lane_share": want[outcome]}, r.counts("undelivered_events", "reason"))
				}
			}
			assert.Equal(t, want, r.counts("events", "outcome"))

			// The events that are kept arrive in order for each user.
			before := len(server.received())
			require.Eventually(t, func() bool { r.clock.Advance(quotaWait); return r.slowLane() == 0 }, patience, poll)
			next := map[string]int{}
			for _, q := range server.received()[before:] {
				for _, e := range q.events {
					number, err := strconv.Atoi(e.InsertID[strings.Index(e.InsertID, "-")+1:])
					require.NoError(t, err)
					assert.GreaterOrEqual(t, number, next[e.UserID])
					next[e.UserID] = number + 1
				}
			}
			assert.Len(t, next, c.noisy)
		})
	}
}
