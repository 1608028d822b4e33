// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudeexporter

import (
	"maps"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/amplitude/receipts"
)

// TestEveryQueueGivesTheSameResults: requests, metrics and dead letters of a batch with every kind of event do not
// depend on where its records wait and in which form, nor on how batches are split.
func TestEveryQueueGivesTheSameResults(t *testing.T) {
	queues := map[string]map[string]any{
		"none":         {"enabled": false},
		"in memory":    {},
		"cut by items": {"batch": map[string]any{"flush_timeout": "1ms", "min_size": 1, "max_size": 3}},
		"cut by bytes": {"sizer": "bytes", "queue_size": 1 << 20, "batch": map[string]any{"flush_timeout": "1ms", "min_size": 1, "max_size": 1000}},
		"small":        {"sizer": "items", "queue_size": 4, "block_on_overflow": true, "batch": map[string]any{"flush_timeout": "1ms", "min_size": 1}},
		"waited for":   {"wait_for_result": true},
		"on disk":      {"storage": "file_storage", "batch": map[string]any{"flush_timeout": "1ms", "min_size": 1}},
	}
	for name, queue := range queues {
		t.Run(name, func(t *testing.T) {
			if queue["enabled"] == nil {
				queue["enabled"] = true
			}
			// e2 is invalid, user-00003 is throttled, and the first attempt always fails.
			bad := scriptedAnswer{Status: http.StatusBadRequest, When: "e2", Times: -1, Lists: map[string][]string{"events_with_invalid_fields/time": {"e2"}}}
			server := newScript(t, scriptedAnswer{Status: http.StatusServiceUnavailable}, bad, throttled("e3"))
			path := filepath.Join(t.TempDir(), "dead.jsonl")
			host, closeStorage := storageHost(t, t.TempDir())
			defer closeStorage()
			r := newRig(t, map[string]any{
				"endpoint": server.url(), "dead_letter": map[string]any{"path": path}, "sending_queue": queue,
				"retry_on_failure": map[string]any{"enabled": true, "initial_interval": "1ms", "max_interval": "1ms"},
			}, host)
			logs := numbered(8)
			resource := logs.ResourceLogs().At(0)
			resource.Resource().Attributes().PutStr("service.name", "shop")
			resource.ScopeLogs().At(0).Scope().SetName("scope")
			records := resource.ScopeLogs().At(0).LogRecords()
			records.At(1).Attributes().PutDouble("nan", math.NaN())
			records.At(2).Body().SetStr("kept in the dead letter")
			records.At(4).SetEventName("of somebody else")
			records.At(5).Attributes().PutStr("amplitude.user_id", "x") // too short, and it is the only id
			ctx, batch, sink := registered(t, logs)
			require.NoError(t, r.ConsumeLogs(ctx, logs))
			batch.Close()
			want := map[string]int{"delivered": 4, "dead_lettered": 2, "throttled": 1, "ignored": 1}
			require.Eventually(t, func() bool {
				got := r.counts("events", "outcome")
				delete(got, "retried") // once per request
				return maps.Equal(want, got)
			}, patience, poll)
			assert.Equal(t, map[string]int{"not_finite": 1, "short_id": 1}, r.counts("dropped_values", "cause"), "once, though it was tried twice")
			assert.ElementsMatch(t, []string{"e2 rejected_field time 400", "e5 invalid_id"}, readDeadLetters(t, path))
			raw, err := os.ReadFile(path)
			require.NoError(t, err)
			for _, text := range []string{"kept in the dead letter", `"shop"`, `"scope"`} {
				assert.Contains(t, string(raw), text)
			}

			server.then() // without a storage, the slow lane tries once more at shutdown
			r.stop()
			outcomes := map[uint64]receipts.Outcome{2: receipts.NotDelivered, 3: receipts.Delivered, 5: receipts.NotDelivered}
			for _, token := range []uint64{0, 1, 4, 6, 7} {
				outcomes[token] = receipts.Delivered
			}
			if queue["storage"] != nil {
				delete(outcomes, 3) // the next process settles it
			}
			assert.Equal(t, outcomes, sink.all())
		})
	}
}

// TestDeepValuesInMemory are sent down to the depth that Amplitude accepts, and a dead letter has all of them: only the
// queue on disk has to leave some out.
func TestDeepValuesInMemory(t *testing.T) {
	bad := scriptedAnswer{Status: http.StatusBadRequest, When: "e1", Times: -1, Lists: map[string][]string{"events_with_invalid_fields/time": {"e1"}}}
	server := newScript(t, bad)
	path := filepath.Join(t.TempDir(), "dead.jsonl")
	r := newRig(t, map[string]any{
		"endpoint": server.url(), "dead_letter": map[string]any{"path": path},
		"sending_queue": map[string]any{"enabled": true, "batch": map[string]any{"flush_timeout": "1ms"}},
	}, nil)
	logs := numbered(3)
	deep := logs.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().At(1).Attributes().PutEmptyMap("deep")
	for range 200 {
		deep = deep.PutEmptyMap("deep")
	}
	deep.PutStr("end", "reached")
	logs.MarkReadOnly()
	require.NoError(t, r.ConsumeLogs(t.Context(), logs))
	require.Eventually(t, func() bool {
		return maps.Equal(map[string]int{"delivered": 2, "dead_lettered": 1}, r.counts("events", "outcome"))
	}, patience, poll)
	raw, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.Contains(t, string(raw), `"reached"`)
}

// TestNewConfigurationAppliesToQueuedEvents on disk: events are encoded again when the queue is read back.
func TestNewConfigurationAppliesToQueuedEvents(t *testing.T) {
	directory := t.TempDir()
	server := newScript(t, scriptedAnswer{Status: http.StatusServiceUnavailable, Times: -1})
	settings := persistent(server.url())
	settings["retry_on_failure"] = map[string]any{"enabled": true, "initial_interval": "1ms"}
	host, closeStorage := storageHost(t, directory)
	first := newRig(t, settings, host)
	logs := plog.NewLogs()
	exposure(newRecords(logs), "user-00001", "e0").Attributes().PutStr("amplitude.device_id", "tv")
	require.NoError(t, first.ConsumeLogs(t.Context(), logs))
	require.Eventually(t, func() bool { return len(server.received()) > 0 }, patience, poll)
	first.stop()
	closeStorage()
	assert.Empty(t, server.received()[0].events[0].DeviceID, "too short for this configuration")

	settings["min_id_length"] = 2
	before := len(server.received())
	server.then()
	host, closeStorage = storageHost(t, directory)
	defer closeStorage()
	second := newRig(t, settings, host)
	require.Eventually(t, func() bool { return second.counts("events", "outcome")["delivered"] == 1 }, patience, poll)
	second.stop()
	closeStorage()
	assert.Equal(t, "tv", server.received()[before].events[0].DeviceID)
}
