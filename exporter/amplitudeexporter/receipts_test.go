// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudeexporter

import (
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/otelcol-amplitude/otelcol-amplitude/exporter/amplitudeexporter/internal/orderedqueue"
	"github.com/otelcol-amplitude/otelcol-amplitude/exporter/amplitudeexporter/internal/records"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/amplitude/receipts"
)

// collected is a Sink that stores receipts by token.
type collected struct {
	mu       sync.Mutex
	outcomes map[uint64]receipts.Outcome
	twice    int
}

func (c *collected) Settle(tokens []uint64, outcome receipts.Outcome) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, token := range tokens {
		if _, ok := c.outcomes[token]; ok {
			c.twice++
		}
		c.outcomes[token] = outcome
	}
}

func (*collected) SettleFormer(uint64, receipts.Outcome) bool { return false }

func (c *collected) all() map[uint64]receipts.Outcome {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.outcomes)
}

// registered returns a context, as a processor would make it, in which the records of logs are registered under the
// tokens 0, 1, ...
func registered(t *testing.T, logs plog.Logs) (context.Context, *receipts.Batch, *collected) {
	t.Helper()
	sink := &collected{outcomes: map[uint64]receipts.Outcome{}}
	id := receipts.Register(sink)
	t.Cleanup(func() {
		receipts.Retire(id, func(context.Context) {})
		assert.Zero(t, sink.twice, "one receipt for each copy")
	})
	batch := &receipts.Batch{}
	batch.Begin(id)
	i := uint64(0)
	for ref := range records.All(logs) {
		batch.Add(records.Receipt(ref.Record), i)
		i++
	}
	return batch.Context(t.Context()), batch, sink
}

// TestReceipts: the component that registered the events learns once what became of each.
func TestReceipts(t *testing.T) {
	invalid := scriptedAnswer{
		Status: http.StatusBadRequest, Body: json.RawMessage(`{"code":400,"error":"x"}`),
		Lists: map[string][]string{"events_with_invalid_fields/time": {"e1"}},
	}
	for name, c := range map[string]struct {
		settings map[string]any
		answers  []scriptedAnswer
		prepare  func(logs plog.Logs)
		want     map[uint64]receipts.Outcome
	}{
		"delivered": {
			want: map[uint64]receipts.Outcome{0: receipts.Delivered, 1: receipts.Delivered, 2: receipts.Delivered},
		},
		"one is dropped": {
			answers: []scriptedAnswer{invalid},
			want:    map[uint64]receipts.Outcome{0: receipts.Delivered, 1: receipts.NotDelivered, 2: receipts.Delivered},
		},
		"one cannot be encoded": {
			prepare: func(logs plog.Logs) {
				logs.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().At(1).Attributes().PutStr("amplitude.nonsense", "x")
			},
			want: map[uint64]receipts.Outcome{0: receipts.Delivered, 1: receipts.NotDelivered, 2: receipts.Delivered},
		},
		"one is not allowed": {
			prepare: func(logs plog.Logs) {
				logs.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().At(1).SetEventName("other")
			},
			want: map[uint64]receipts.Outcome{0: receipts.Delivered, 1: receipts.Delivered, 2: receipts.Delivered},
		},
		"the first answer is lost": {
			answers: []scriptedAnswer{{Reset: true}},
			want:    map[uint64]receipts.Outcome{0: receipts.Ambiguous, 1: receipts.Ambiguous, 2: receipts.Ambiguous},
		},
		"dry run": {
			settings: map[string]any{"dry_run": true},
			want:     map[uint64]receipts.Outcome{0: receipts.Delivered, 1: receipts.Delivered, 2: receipts.Delivered},
		},
	} {
		t.Run(name, func(t *testing.T) {
			server := newScript(t, c.answers...)
			settings := map[string]any{
				"endpoint":         server.url(),
				"sending_queue":    map[string]any{"enabled": true, "batch": map[string]any{"flush_timeout": "1ms"}},
				"retry_on_failure": map[string]any{"enabled": true, "initial_interval": "1ms", "randomization_factor": 0},
			}
			maps.Copy(settings, c.settings)
			r := newRig(t, settings, nil)
			logs := numbered(3)
			if c.prepare != nil {
				c.prepare(logs)
			}
			ctx, batch, sink := registered(t, logs)
			require.NoError(t, r.ConsumeLogs(ctx, logs))
			batch.Close()
			for i := range 3 {
				require.Equal(t, 1, batch.Claims(i))
			}
			require.Eventually(t, func() bool { return len(sink.all()) == 3 }, patience, poll)
			assert.Equal(t, c.want, sink.all())
		})
	}
}

// TestRefusedEventsAreNotClaimed: the exporter does not settle what it did not accept.
func TestRefusedEventsAreNotClaimed(t *testing.T) {
	server := newScript(t, scriptedAnswer{Status: http.StatusServiceUnavailable, Times: -1})
	r := newRig(t, map[string]any{"endpoint": server.url()}, nil)
	logs := numbered(3)
	ctx, batch, sink := registered(t, logs)
	require.Error(t, r.ConsumeLogs(ctx, logs))
	batch.Close()
	for i := range 3 {
		assert.Zero(t, batch.Claims(i))
	}
	assert.Empty(t, sink.all())
}

// TestRequestRefusedInPart: of a request larger than the queue, the exporter settles the part that it accepted before
// it refused the rest.
func TestRequestRefusedInPart(t *testing.T) {
	server := newScript(t, scriptedAnswer{Status: http.StatusServiceUnavailable, Times: -1})
	settings := impatient(server.url())
	maps.Copy(settings, map[string]any{"max_queue_wait": "10ms", "shutdown_timeout": "30s"})
	settings["sending_queue"] = map[string]any{"enabled": true, "sizer": "items", "queue_size": 4, "batch": map[string]any{"flush_timeout": "1ms", "min_size": 1, "max_size": 1}}
	r := newRig(t, settings, nil)
	const all = 100
	logs := numbered(all)
	ctx, batch, sink := registered(t, logs)
	require.ErrorIs(t, r.ConsumeLogs(ctx, logs), orderedqueue.ErrFull)
	batch.Close()
	taken := r.counts("received_events", "")[""]
	require.Positive(t, taken)
	require.Less(t, taken, all)
	want := map[uint64]receipts.Outcome{}
	for i := range all {
		claims := 0
		if i < taken {
			claims, want[uint64(i)] = 1, receipts.NotDelivered
		}
		require.Equal(t, claims, batch.Claims(i), i)
	}
	r.stop()
	assert.Equal(t, want, sink.all())
}

// TestReceiptsOfTheSlowLane come when the events leave it, or are lost at shutdown.
func TestReceiptsOfTheSlowLane(t *testing.T) {
	throttled := scriptedAnswer{
		Status: http.StatusTooManyRequests, Body: json.RawMessage(`{"code":429,"error":"x"}`), Times: -1, When: "e1",
		Lists: map[string][]string{"throttled_events": {"e1"}},
	}
	server := newScript(t, throttled)
	r := newRig(t, map[string]any{"endpoint": server.url()}, nil)
	logs := numbered(3)
	ctx, batch, sink := registered(t, logs)
	require.NoError(t, r.ConsumeLogs(ctx, logs))
	batch.Close()
	assert.Equal(t, map[uint64]receipts.Outcome{0: receipts.Delivered, 2: receipts.Delivered}, sink.all())
	r.stop()
	assert.Equal(t, map[uint64]receipts.Outcome{0: receipts.Delivered, 1: receipts.NotDelivered, 2: receipts.Delivered}, sink.all())
}

// TestReceiptsOfAbandonedEvents: events that are given up are settled as not delivered, wherever they waited.
func TestReceiptsOfAbandonedEvents(t *testing.T) {
	queue := map[string]any{"enabled": true, "batch": map[string]any{"flush_timeout": "1ms", "min_size": 1, "max_size": 1}}
	retry := map[string]any{"enabled": true, "initial_interval": "1ms", "randomization_factor": 0}
	brief := map[string]any{"enabled": true, "initial_interval": "1ms", "max_interval": "5ms", "randomization_factor": 0, "max_elapsed_time": "10ms"}
	long := map[string]any{"enabled": true, "initial_interval": "1h", "max_interval": "1h", "randomization_factor": 0}
	dead := filepath.Join(t.TempDir(), "dead.jsonl")
	for name, c := range map[string]struct {
		settings map[string]any
		stop     bool
	}{
		"max_elapsed_time":          {map[string]any{"sending_queue": queue, "retry_on_failure": brief}, false},
		"no retries":                {map[string]any{"sending_queue": queue, "retry_on_failure": map[string]any{"enabled": false}}, false},
		"dead-lettered":             {map[string]any{"sending_queue": queue, "retry_on_failure": brief, "dead_letter": map[string]any{"path": dead}}, false},
		"stopped during an outage":  {map[string]any{"sending_queue": queue, "retry_on_failure": retry, "shutdown_timeout": "30s"}, true},
		"stopped between two tries": {map[string]any{"sending_queue": queue, "retry_on_failure": long, "shutdown_timeout": "30s"}, true},
	} {
		t.Run(name, func(t *testing.T) {
			server := newScript(t, scriptedAnswer{Status: http.StatusServiceUnavailable, Times: -1})
			settings := map[string]any{"endpoint": server.url()}
			maps.Copy(settings, c.settings)
			r := newRig(t, settings, nil)
			logs := numbered(3)
			ctx, batch, sink := registered(t, logs)
			require.NoError(t, r.ConsumeLogs(ctx, logs))
			batch.Close()
			if c.stop {
				require.Eventually(t, func() bool { return len(server.received()) > 0 }, patience, poll)
				r.stop()
			}
			require.Eventually(t, func() bool { return len(sink.all()) == 3 }, patience, poll)
			assert.Equal(t, map[uint64]receipts.Outcome{0: receipts.NotDelivered, 1: receipts.NotDelivered, 2: receipts.NotDelivered}, sink.all())
		})
	}
}

// TestReceiptsOfAQueueOnDisk: the next process settles what is left in it.
func TestReceiptsOfAQueueOnDisk(t *testing.T) {
	server := newScript(t, scriptedAnswer{Status: http.StatusServiceUnavailable, Times: -1})
	host, closeStorage := storageHost(t, t.TempDir())
	t.Cleanup(closeStorage)
	r := newRig(t, map[string]any{
		"endpoint": server.url(), "shutdown_timeout": "30s",
		"sending_queue":    map[string]any{"enabled": true, "storage": storageID.String(), "batch": map[string]any{"flush_timeout": "1ms"}},
		"retry_on_failure": map[string]any{"enabled": true, "initial_interval": "1ms"},
	}, host)
	logs := numbered(3)
	ctx, batch, sink := registered(t, logs)
	require.NoError(t, r.ConsumeLogs(ctx, logs))
	batch.Close()
	require.Eventually(t, func() bool { return len(server.received()) > 0 }, patience, poll)
	r.stop()
	assert.Empty(t, sink.all())
}
