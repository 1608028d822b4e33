// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudeexporter

import (
	"fmt"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/plog"
)

// impatient are settings of a queue that tries again at once.
func impatient(url string) map[string]any {
	return map[string]any{
		"endpoint":         url,
		"sending_queue":    map[string]any{"enabled": true, "batch": map[string]any{"flush_timeout": "1ms"}},
		"retry_on_failure": map[string]any{"enabled": true, "initial_interval": "1ms", "max_interval": "1ms"},
	}
}

// TestPoisonBlocksNobody: an event for which the server always fails, alone in its batch or among others.
func TestPoisonBlocksNobody(t *testing.T) {
	for name, answer := range map[string]scriptedAnswer{
		"500": {Status: 500, Text: "<html>Internal Server Error</html>"}, "reset": {Reset: true}, "404": {Status: 404}, "403": {Status: 403},
	} {
		for _, neighbors := range []int{0, 100} {
			t.Run(fmt.Sprint(name, " and ", neighbors), func(t *testing.T) {
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

				// In the end it is set aside for good, as long as others get through.
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

// count is how many requests were answered so.
func (r *rig) count(answer scriptedAnswer) int {
	if answer.Reset {
		return r.counts("requests", "status")["network_error"]
	}
	return r.counts("requests", "status")[fmt.Sprint(answer.Status)]
}

// TestOutageKeepsTheOrder: nothing gets through for many tries of several batches; afterwards all arrive, each user's in order.
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

// TestOutageFromTheStartIsNotSetAside batch after batch: what nothing has contradicted yet needs as many tries as any other.
func TestOutageFromTheStartIsNotSetAside(t *testing.T) {
	x, err := newExporter(newConfig(t, map[string]any{"sending_queue": map[string]any{"enabled": true}}), newRig(t, nil, nil).settings, newFakeClock())
	require.NoError(t, err)
	for tries := range firstAside - 1 {
		d := &delivery{sender: x.sender, batch: &batch{events: make([]batchEvent, 1)}, prober: &lane{}, tries: tries}
		x.setAside(d)
		require.Equal(t, statePending, d.batch.events[0].state, "after %d tries", tries+1)
	}
}
