// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudeexporter

import (
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/extension/xextension/storage"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.uber.org/zap"
)

// TestRestartKeepsTheOrder restarts twice during an outage, with requests in flight and others behind them in the
// queue. All events are of one user.
func TestRestartKeepsTheOrder(t *testing.T) {
	directory := t.TempDir()
	server := newScript(t, scriptedAnswer{Status: http.StatusServiceUnavailable, Times: -1})
	settings := persistent(server.url())
	settings["retry_on_failure"] = map[string]any{"enabled": true, "initial_interval": "1ms", "max_interval": "1ms"}
	settings["sending_queue"].(map[string]any)["batch"] = map[string]any{"flush_timeout": "1ms", "min_size": 1}
	n, want := 0, []string(nil)
	for range 2 {
		host, closeStorage := storageHost(t, directory)
		r := newRig(t, settings, host)
		before := len(server.received())
		for range 8 {
			logs := plog.NewLogs()
			id := fmt.Sprintf("e%02d", n)
			exposure(newRecords(logs), "user-00001", id)
			require.NoError(t, r.ConsumeLogs(t.Context(), logs))
			want = append(want, id)
			n++
		}
		require.Eventually(t, func() bool { return len(server.received()) > before+2 }, patience, poll)
		r.stop()
		closeStorage()
	}
	before := len(server.received())
	server.then()
	host, closeStorage := storageHost(t, directory)
	defer closeStorage()
	r := newRig(t, settings, host)
	require.Eventually(t, func() bool { return r.counts("events", "outcome")["delivered"] == n }, patience, poll)
	assert.Equal(t, want, delivered(server)[before:][:n])
	r.stop()
	closeStorage()
}

// TestUnreadableRequestsAreReported corrupts the data of the queue and the slow lane on disk.
func TestUnreadableRequestsAreReported(t *testing.T) {
	for store, spoiled := range map[string]struct {
		client string
		key    string
	}{
		storeQueue:    {"logs", "0"},
		storeSlowLane: {slowStoreName, chunkKey(0)},
	} {
		t.Run(store, func(t *testing.T) {
			directory := t.TempDir()
			// The first run leaves e0 in the queue, or in the slow lane.
			answer := scriptedAnswer{Status: http.StatusServiceUnavailable, Times: -1}
			if store == storeSlowLane {
				answer = throttled("e0")
			}
			server := newScript(t, answer)
			host, closeStorage := storageHost(t, directory)
			settings := persistent(server.url())
			settings["retry_on_failure"] = map[string]any{"enabled": true}
			first := newRig(t, settings, host)
			require.NoError(t, first.ConsumeLogs(t.Context(), numbered(1)))
			require.Eventually(t, func() bool {
				return len(server.received()) > 0 && (store == storeQueue || first.slowLane() == 1)
			}, patience, poll)
			first.stop()
			client, err := host.extensions[storageID].(storage.Extension).GetClient(t.Context(), component.KindExporter, first.settings.ID, spoiled.client)
			require.NoError(t, err)
			was, err := client.Get(t.Context(), spoiled.key)
			require.NoError(t, err)
			require.NotEmpty(t, was)
			require.NoError(t, client.Set(t.Context(), spoiled.key, append([]byte{0x0a, 0xff, 0x01}, was[:len(was)/2]...)))
			require.NoError(t, client.Close(t.Context()))
			closeStorage()

			server.then()
			before := len(server.received())
			host, closeStorage = storageHost(t, directory)
			defer closeStorage()
			second := newRig(t, settings, host)
			later := plog.NewLogs()
			exposure(newRecords(later), "user-00002", "later")
			require.NoError(t, second.ConsumeLogs(t.Context(), later))
			require.Eventually(t, func() bool { return len(server.received()) > before }, patience, poll)
			assert.Equal(t, map[string]int{store: 1}, second.counts("unreadable_requests", "store"))
			second.stop()
			assert.Equal(t, []string{"later"}, delivered(server)[len(delivered(server))-1:], "the neighbors arrive")
			assert.Len(t, second.logs.FilterMessageSnippet("cannot be read").FilterField(zap.String("store", store)).All(), 1)
			assert.NotContains(t, fmt.Sprint(second.logs.All()), "user-00000")
		})
	}
}

// TestDeepValuesDoNotAffectNeighbors sends what only OTLP/JSON can carry: a value nested more deeply than the queue on
// disk can read back.
func TestDeepValuesDoNotAffectNeighbors(t *testing.T) {
	server := newScript(t)
	host, closeStorage := storageHost(t, t.TempDir())
	defer closeStorage()
	r := newRig(t, persistent(server.url()), host)
	logs := numbered(3)
	deep := logs.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().At(1).Attributes().PutEmptyMap("deep")
	for range 5_000 {
		deep = deep.PutEmptyMap("deep")
	}
	logs.MarkReadOnly()
	require.NoError(t, r.ConsumeLogs(t.Context(), logs))
	require.Eventually(t, func() bool {
		return r.counts("events", "outcome")["delivered"] == 3 || r.counts("unreadable_requests", "store")[storeQueue] > 0
	}, patience, poll)
	assert.Equal(t, []string{"e0", "e1", "e2"}, delivered(server))
	assert.Positive(t, r.counts("dropped_values", "cause")["too_deep"])
	r.stop()
	closeStorage()
}

// TestFlushMeetsFill makes batches time out at the moment when the next one is full.
func TestFlushMeetsFill(t *testing.T) {
	for name, batch := range map[string]map[string]any{
		"whole": {"flush_timeout": "1ms", "min_size": 5},
		"split": {"flush_timeout": "1ms", "min_size": 3, "max_size": 4},
	} {
		t.Run(name, func(t *testing.T) {
			const rounds = 60
			server := newScript(t)
			r := newRig(t, map[string]any{
				"endpoint":         server.url(),
				"sending_queue":    map[string]any{"enabled": true, "batch": batch},
				"shutdown_timeout": "0s", // on a busy machine, much is left to send at the end
			}, nil)
			garbage := makeGarbage()
			defer garbage()
			var want []string
			for round := range rounds {
				for _, size := range []int{1, 5} {
					logs := plog.NewLogs()
					records := newRecords(logs)
					for range size {
						id := strconv.Itoa(len(want))
						exposure(records, "user-00001", id)
						want = append(want, id)
					}
					require.NoError(t, r.ConsumeLogs(t.Context(), logs))
					if size == 1 {
						// The second is sent about when the first times out.
						for at := time.Now().Add(980*time.Microsecond + time.Duration(round%60)*time.Microsecond); time.Now().Before(at); {
						}
					}
				}
			}
			require.NoError(t, r.Shutdown(t.Context()))
			assert.Equal(t, want, delivered(server))
		})
	}
}

// makeGarbage keeps the garbage collector busy, so that goroutines are interrupted in unusual places.
func makeGarbage() (stop func()) {
	done := make(chan struct{})
	var workers sync.WaitGroup
	for range 4 {
		workers.Go(func() {
			for kept := [][]byte{}; ; kept = append(kept, make([]byte, 1000)) {
				select {
				case <-done:
					return
				default:
				}
				if len(kept) > 2000 {
					kept = nil
				}
			}
		})
	}
	return func() { close(done); workers.Wait() }
}
