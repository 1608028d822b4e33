// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudeexporter

import (
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/otelcol-amplitude/otelcol-amplitude/exporter/amplitudeexporter/internal/orderedqueue"
)

// TestSendersDoNotWaitForEver for room in a queue that is full.
func TestSendersDoNotWaitForEver(t *testing.T) {
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
	assert.False(t, consumererror.IsPermanent(err), "the sender may come again")
	assert.Equal(t, map[string]int{"": taken - 1}, r.counts("received_events", ""))
}

// TestRequestLargerThanTheQueue is taken in pieces, in order.
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

// TestOneNoisyUserDoesNotFillTheSlowLane: beyond its share only its own events are given up, and all others arrive.
func TestOneNoisyUserDoesNotFillTheSlowLane(t *testing.T) {
	server := newScript(t, throttled("bot0"))
	r := newRig(t, map[string]any{"endpoint": server.url(), "slow_lane": map[string]any{"max_events": 50, "max_share": 0.2}}, nil)
	for round := range 4 {
		logs := plog.NewLogs()
		records := newRecords(logs)
		for i := range 15 {
			exposure(records, "bot-000001", fmt.Sprintf("bot%d", round*15+i))
			exposure(records, fmt.Sprintf("user-%d-%d", round, i), fmt.Sprintf("good%d", round*15+i))
		}
		require.NoError(t, r.ConsumeLogs(t.Context(), logs))
	}
	assert.Equal(t, map[string]int{"delivered": 60, "throttled": 10, "dropped": 50}, r.counts("events", "outcome"))
	assert.Equal(t, map[string]int{"slow_lane_share": 50}, r.counts("undelivered_events", "reason"))
	assert.Equal(t, 10, r.slowLane())
	var bot []string
	server.then()
	for range 5 {
		r.clock.Advance(slowBackOffMax)
		require.Eventually(t, func() bool { return r.clock.waiting() || r.slowLane() == 0 }, patience, poll)
	}
	for _, q := range server.received() {
		for _, e := range q.events {
			if e.UserID == "bot-000001" && !slices.Contains(bot, e.InsertID) {
				bot = append(bot, e.InsertID)
			}
		}
	}
	assert.True(t, slices.IsSortedFunc(bot[1:min(9, len(bot))], func(a, b string) int { return len(a) - len(b) }), "in order: %v", bot)
}
