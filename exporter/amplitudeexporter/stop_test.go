// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudeexporter

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.uber.org/zap/zapcore"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/amplitude/receipts"
)

// TestStop in many situations: shutdown does not hang, and no event goes uncounted. What is in memory is attempted once
// more; the rest is dead-lettered, or counted and logged. What is on disk is there at the next start.
func TestStop(t *testing.T) {
	const requests, perRequest = 3, 10
	single := map[string]any{"flush_timeout": "1ms", "min_size": 1, "max_size": perRequest}
	for name, c := range map[string]struct {
		answers []scriptedAnswer
		// hang is a server that never answers.
		hang bool
		// well: the server is healthy again at shutdown.
		well     bool
		settings map[string]any
		batch    map[string]any
		// delivered is how many of the events arrive before or during a shutdown that does not time out.
		delivered int
	}{
		"outage":                  {answers: []scriptedAnswer{{Status: 503, Times: -1}}},
		"reset":                   {answers: []scriptedAnswer{{Reset: true, Times: -1}}},
		"refused key":             {answers: []scriptedAnswer{{Status: 401, Times: -1}}},
		"throttled project":       {answers: []scriptedAnswer{{Status: 429, Times: -1}}},
		"outage over at the stop": {answers: []scriptedAnswer{{Status: 503, Times: -1}}, well: true, delivered: requests * perRequest},
		"outage, no batches":      {answers: []scriptedAnswer{{Status: 503, Times: -1}}, batch: map[string]any{"enabled": false}},
		"outage, partitions":      {answers: []scriptedAnswer{{Status: 503, Times: -1}}, batch: map[string]any{"flush_timeout": "1ms", "min_size": 1, "partition": map[string]any{"metadata_keys": []string{"tenant"}}}},
		"outage, one large batch": {answers: []scriptedAnswer{{Status: 503, Times: -1}}, batch: map[string]any{"flush_timeout": "1h", "min_size": 1000}},
		"hanging server":          {hang: true},
		"hanging server, no time": {hang: true, settings: map[string]any{"timeout": 0}},
		"rate limit":              {settings: map[string]any{"rate_limit": map[string]any{"requests_per_second": 0.001}}, delivered: perRequest},
		"rate limit of events":    {settings: map[string]any{"rate_limit": map[string]any{"events_per_second": perRequest}}, delivered: -1},
		"throttled users":         {answers: []scriptedAnswer{throttled("0-3"), throttled("1-3"), throttled("2-3")}, delivered: requests * (perRequest - 1)},
	} {
		for _, where := range []string{"disk", "dead letter file", "nowhere"} {
			t.Run(name+", "+where, func(t *testing.T) {
				server := newScript(t, c.answers...)
				var hanging atomic.Bool
				hanging.Store(c.hang)
				handler := server.Config.Handler
				server.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
					if hanging.Load() {
						_, _ = io.Copy(io.Discard, q.Body) // the server only notices that the client is gone while it reads
						<-q.Context().Done()
						return
					}
					handler.ServeHTTP(w, q)
				})
				batch := single
				if c.batch != nil {
					batch = c.batch
				}
				queue := map[string]any{"enabled": true, "batch": batch}
				settings := map[string]any{
					"endpoint": server.url(), "shutdown_timeout": "50ms", "sending_queue": queue,
					"retry_on_failure": map[string]any{"enabled": true, "initial_interval": "1h", "max_interval": "1h"},
				}
				if c.well || c.delivered > perRequest {
					settings["shutdown_timeout"] = patience.String()
				}
				maps.Copy(settings, c.settings)
				path, directory := filepath.Join(t.TempDir(), "dead.jsonl"), t.TempDir()
				host, closeStorage := &statusHost{}, func() {}
				switch where {
				case "disk":
					queue["storage"] = "file_storage"
					host, closeStorage = storageHost(t, directory)
				case "dead letter file":
					settings["dead_letter"] = map[string]any{"path": path}
				}
				r := newRig(t, settings, host)
				var want []string
				outcomes := func() map[receipts.Outcome]int { return nil }
				for i := range requests {
					logs := plog.NewLogs()
					records := newRecords(logs)
					for k := range perRequest {
						id := fmt.Sprintf("%d-%d", i, k)
						exposure(records, fmt.Sprintf("user-%05d", i*perRequest+k), id)
						want = append(want, id)
					}
					ctx, done, sink := registered(t, logs)
					require.NoError(t, r.ConsumeLogs(ctx, logs))
					done.Close()
					before := outcomes
					outcomes = func() map[receipts.Outcome]int {
						all := before()
						if all == nil {
							all = map[receipts.Outcome]int{}
						}
						for _, o := range sink.all() {
							all[o]++
						}
						return all
					}
				}
				tried := func() bool {
					if c.delivered == perRequest {
						return r.counts("events", "outcome")["delivered"] == perRequest
					}
					return len(server.received()) > 0 || c.hang || c.batch["min_size"] == 1000
				}
				require.Eventually(t, tried, patience, poll)
				if c.well {
					server.then()
				}
				r.shutdown()
				closeStorage()

				events := r.counts("events", "outcome")
				total := events["delivered"] + events["dead_lettered"] + events["dropped"]
				if c.delivered >= 0 && where != "disk" {
					assert.Equal(t, c.delivered, events["delivered"])
				}
				if where == "disk" {
					assert.Zero(t, events["dead_lettered"]+events["dropped"])
					server.then()
					hanging.Store(false)
					host, closeStorage = storageHost(t, directory)
					defer closeStorage()
					delete(settings, "rate_limit")
					queue["batch"] = single
					already, before := events["delivered"], len(server.received())
					second := newRig(t, settings, host)
					require.Eventually(t, func() bool {
						arrived := map[string]struct{}{}
						for _, q := range server.received()[before:] {
							for _, id := range q.ids() {
								arrived[id] = struct{}{}
							}
						}
						return already+len(arrived) >= len(want) && second.slowLane() == 0
					}, patience, poll)
					second.stop()
					return
				}
				assert.Equal(t, len(want), total)
				got := outcomes()
				// It is unknown whether Amplitude has what was sent without an answer.
				assert.Equal(t, events["delivered"], got[receipts.Delivered]+got[receipts.Ambiguous])
				assert.Equal(t, len(want)-events["delivered"], got[receipts.NotDelivered]+got[receipts.Unknown], "each is settled")
				lost := len(want) - events["delivered"]
				if lost == 0 {
					return
				}
				reasons := r.counts("undelivered_events", "reason")
				assert.Equal(t, map[string]int{"shutdown": lost}, reasons)
				message, field, level := "Dropping data: events in memory at shutdown", "dropped_items", zapcore.ErrorLevel
				if where == "dead letter file" {
					letters := readDeadLetters(t, path)
					assert.Len(t, letters, lost)
					assert.True(t, slices.IsSorted(letters), "in their order: %v", letters)
					message, field, level = "in memory at shutdown could not be delivered; they are in the dead letter file", "events", zapcore.WarnLevel
				}
				said := r.logs.FilterMessageSnippet(message).FilterLevelExact(level).All()
				if assert.Len(t, said, 1) {
					assert.EqualValues(t, lost, said[0].ContextMap()[field])
				}
				assert.Empty(t, r.logs.FilterMessageSnippet("Exporting failed").FilterLevelExact(zapcore.ErrorLevel).All(), "exporterhelper logs nothing else")
			})
		}
	}
}

// TestStopWhenTheDeadLetterFileCannotBeWritten: what is lost is counted and logged.
func TestStopWhenTheDeadLetterFileCannotBeWritten(t *testing.T) {
	server := newScript(t, scriptedAnswer{Status: 503, Times: -1})
	directory := t.TempDir()
	settings := impatient(server.url())
	settings["dead_letter"] = map[string]any{"path": filepath.Join(directory, "dead", "dead.jsonl")}
	r := newRig(t, settings, nil)
	require.NoError(t, r.ConsumeLogs(t.Context(), numbered(10)))
	require.Eventually(t, func() bool { return len(server.received()) > 0 }, patience, poll)
	require.NoError(t, os.RemoveAll(filepath.Join(directory, "dead")))
	require.NoError(t, os.WriteFile(filepath.Join(directory, "dead"), nil, 0o600))
	_ = r.Shutdown(context.WithoutCancel(t.Context())) // reports that the file does not exist
	assert.Equal(t, map[string]int{"shutdown": 10}, r.counts("undelivered_events", "reason"))
	assert.Equal(t, 10, r.counts("events", "outcome")["dropped"])
	r.once.Do(func() { assert.NoError(t, r.tel.Shutdown(context.WithoutCancel(t.Context()))) })
}
