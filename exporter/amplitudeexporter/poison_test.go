// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudeexporter

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/plog"
)

// impatient are settings for a queue that retries immediately.
func impatient(url string) map[string]any {
	return map[string]any{
		"endpoint":         url,
		"sending_queue":    map[string]any{"enabled": true, "batch": map[string]any{"flush_timeout": "1ms"}},
		"retry_on_failure": map[string]any{"enabled": true, "initial_interval": "1ms", "max_interval": "1ms"},
	}
}

// TestPoisonBatchDoesNotBlock: the server always fails for one event, which is alone in its batch or among others.
func TestPoisonBatchDoesNotBlock(t *testing.T) {
	for name, answer := range map[string]scriptedAnswer{
		"500": {Status: 500, Text: "<html>Internal Server Error</html>"}, "reset": {Reset: true}, "404": {Status: 404}, "403": {Status: 403},
	} {
		for _, neighbors := range []int{0, 100} {
			t.Run(fmt.Sprint(name, " and ", neighbors), func(t *testing.T) {
				t.Parallel()
				answer := answer // of this event only
				answer.When, answer.Times = "poison", -1
				server := newScript(t, answer)
				settings := impatient(server.url())
				path := filepath.Join(t.TempDir(), "dead.jsonl")
				settings["dead_letter"] = map[string]any{"path": path}
				r := newRig(t, settings, nil)
				first := numbered(neighbors)
				if neighbors == 0 {
					newRecords(first)
				}
				exposure(first.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords(), "user-99999", "poison")
				require.NoError(t, r.ConsumeLogs(t.Context(), first))
				require.Eventually(t, func() bool { return len(server.received()) > 0 }, patience, poll)
				for i := range 10 {
					logs := plog.NewLogs()
					exposure(newRecords(logs), fmt.Sprintf("good-%05d", i), fmt.Sprintf("good%d", i))
					require.NoError(t, r.ConsumeLogs(t.Context(), logs))
				}
				require.Eventually(t, func() bool { return r.counts("events", "outcome")["delivered"] == neighbors+10 }, patience, poll)

				// In the end it is dead-lettered, as long as others get through.
				for i := 0; r.counts("events", "outcome")["dead_lettered"] == 0; i++ {
					require.Less(t, i, 3*maxFailures)
					logs := plog.NewLogs()
					exposure(newRecords(logs), fmt.Sprintf("more-%05d", i), fmt.Sprintf("more%d", i))
					before := r.counts("events", "outcome")["delivered"]
					require.NoError(t, r.ConsumeLogs(t.Context(), logs))
					require.Eventually(t, func() bool { return r.counts("events", "outcome")["delivered"] > before }, patience, poll)
					tried := r.count(answer)
					r.clock.Advance(slowBackOffMax)
					require.Eventually(t, func() bool {
						return r.count(answer) > tried || r.counts("events", "outcome")["dead_lettered"] > 0 || r.clock.waiting()
					}, patience, poll)
				}
				require.Len(t, readDeadLetters(t, path), 1)
				require.Eventually(t, func() bool { return r.slowLane() == 0 }, patience, poll)
			})
		}
	}
}

// TestPoisonBatchDoesNotBlockAnyQueue: with each kind of queue, the events behind it are delivered; some share its
// user.
func TestPoisonBatchDoesNotBlockAnyQueue(t *testing.T) {
	for name, batch := range map[string]map[string]any{
		"batches":    {"flush_timeout": "1ms", "min_size": 1},
		"no batches": {"enabled": false},
		"partitions": {"flush_timeout": "1ms", "min_size": 1, "partition": map[string]any{"metadata_keys": []string{"tenant"}}},
	} {
		for _, onDisk := range []bool{false, true} {
			t.Run(fmt.Sprint(name, ", on disk: ", onDisk), func(t *testing.T) {
				t.Parallel()
				server := newScript(t, scriptedAnswer{When: "poison", Status: 500, Times: -1})
				settings := impatient(server.url())
				queue := settings["sending_queue"].(map[string]any)
				queue["batch"] = batch
				host, closeStorage := &statusHost{}, func() {}
				if onDisk {
					host, closeStorage = storageHost(t, t.TempDir())
					queue["storage"] = "file_storage"
				}
				defer closeStorage()
				r := newRig(t, settings, host)
				for _, one := range []string{"poison", "behind0", "behind1", "good0", "good1", "good2"} {
					logs := plog.NewLogs()
					user := "user-00666"
					if strings.HasPrefix(one, "good") {
						user = "user-" + one
					}
					exposure(newRecords(logs), user, one)
					require.NoError(t, r.ConsumeLogs(t.Context(), logs))
				}
				// All of them are queued before the first has failed for long enough.
				require.Eventually(t, func() bool {
					return r.counts("events", "outcome")["delivered"] == 3 && r.slowLane() == 3
				}, patience, poll, "the good ones are delivered; it and what is behind it are in the slow lane")
				server.then()
				require.Eventually(t, func() bool {
					r.clock.Advance(slowBackOffMax)
					return r.counts("events", "outcome")["delivered"] == 6
				}, patience, poll)
				var own []string
				for _, id := range delivered(server) {
					if !strings.HasPrefix(id, "good") {
						own = append(own, id)
					}
				}
				assert.Equal(t, []string{"poison", "behind0", "behind1"}, own[len(own)-3:], "in order")
				r.stop()
			})
		}
	}
}

// count is how many requests got this answer.
func (r *rig) count(answer scriptedAnswer) int {
	if answer.Reset {
		return r.counts("requests", "status")["network_error"]
	}
	return r.counts("requests", "status")[strconv.Itoa(answer.Status)]
}

// TestOutageKeepsTheOrder: nothing gets through for many attempts of several batches; afterward, all events arrive, in
// order for each user.
func TestOutageKeepsTheOrder(t *testing.T) {
	server := newScript(t, scriptedAnswer{Status: 503, Times: -1})
	r := newRig(t, impatient(server.url()), nil)
	var want []string
	for i := range 20 {
		logs := plog.NewLogs()
		records := newRecords(logs)
		for u := range 3 {
			exposure(records, fmt.Sprintf("user-%05d", u), fmt.Sprintf("e%d-%d", u, i))
		}
		want = append(want, fmt.Sprintf("e0-%d", i))
		require.NoError(t, r.ConsumeLogs(t.Context(), logs))
	}
	require.Eventually(t, func() bool { return len(server.received()) > 20 || r.slowLane() > 0 }, patience, poll)
	failed := len(server.received())
	server.then()
	require.Eventually(t, func() bool {
		r.clock.Advance(slowBackOffMax)
		return r.counts("events", "outcome")["delivered"] == 60
	}, patience, poll)
	var got []string
	for _, q := range server.received()[failed:] {
		for _, e := range q.events {
			if e.UserID == "user-00000" && e.InsertID != "" {
				got = append(got, e.InsertID)
			}
		}
	}
	assert.Equal(t, want, got[len(got)-len(want):])
}

// TestOutageFromTheStartIsNotSetAside batch after batch: as long as nothing gets through, each batch needs more
// attempts before it is set aside.
func TestOutageFromTheStartIsNotSetAside(t *testing.T) {
	x, err := newExporter(newConfig(t, map[string]any{"sending_queue": map[string]any{"enabled": true}}), newRig(t, nil, nil).settings, newFakeClock())
	require.NoError(t, err)
	for tries := range firstAside - 1 {
		d := &delivery{sender: x.sender, batch: &batch{events: make([]batchEvent, 1)}, prober: &lane{}, tries: tries}
		x.setAside(d)
		require.Equal(t, statePending, d.batch.events[0].state, "after %d tries", tries+1)
	}
}
