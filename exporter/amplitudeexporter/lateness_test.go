// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudeexporter

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	attributes "go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
)

// seconds are the sum and the number of the measurements of a histogram.
func (r *rig) seconds(name string) (sum float64, count uint64) {
	r.t.Helper()
	metric, err := r.tel.GetMetric("otelcol_exporter_amplitude_" + name)
	if err != nil {
		return 0, 0
	}
	for _, point := range metric.Data.(metricdata.Histogram[float64]).DataPoints {
		sum += point.Sum
		count += point.Count
	}
	return sum, count
}

// oldest is how long the oldest event has waited in each store.
func (r *rig) oldest() map[string]float64 {
	r.t.Helper()
	metric, err := r.tel.GetMetric("otelcol_exporter_amplitude_oldest_event_age")
	require.NoError(r.t, err)
	ages := map[string]float64{}
	for _, point := range metric.Data.(metricdata.Gauge[float64]).DataPoints {
		store, _ := point.Attributes.Value(attributes.Key("store"))
		ages[store.AsString()] = point.Value
	}
	return ages
}

// happenedBefore moves the records of logs into the past.
func happenedBefore(r *rig, logs plog.Logs, ago time.Duration) plog.Logs {
	records := logs.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords()
	for i := range records.Len() {
		records.At(i).SetTimestamp(pcommon.NewTimestampFromTime(r.clock.Now().Add(-ago)))
	}
	return logs
}

// TestLateness of events that wait: during an outage, across a restart with a queue on disk, and, for some of them, in
// the slow lane.
func TestLateness(t *testing.T) {
	for name, c := range map[string]struct {
		answer  scriptedAnswer
		restart bool
		store   string
		// first is how many of the two events are delivered immediately.
		first int
	}{
		"outage":             {answer: scriptedAnswer{Status: 503, Times: -1}, store: storeQueue},
		"restart":            {answer: scriptedAnswer{Status: 503, Times: -1}, restart: true, store: storeQueue},
		"slow lane":          {answer: throttled("e1"), store: storeSlowLane, first: 1},
		"slow lane, restart": {answer: throttled("e1"), restart: true, store: storeSlowLane, first: 1},
	} {
		t.Run(name, func(t *testing.T) {
			server := newScript(t, c.answer)
			host, closeStorage := storageHost(t, t.TempDir())
			defer closeStorage()
			settings := persistent(server.url())
			settings["retry_on_failure"] = map[string]any{"enabled": true, "initial_interval": "1ms", "max_interval": "1ms"}
			r := newRig(t, settings, host)
			assert.Equal(t, map[string]float64{storeQueue: 0, storeSlowLane: 0}, r.oldest())
			arrived := r.clock.Now()
			require.NoError(t, r.ConsumeLogs(t.Context(), happenedBefore(r, numbered(2), time.Hour)))
			require.Eventually(t, func() bool {
				return r.counts("events", "outcome")["delivered"] == c.first && len(server.received()) > 0
			}, patience, poll)
			r.clock.Advance(100 * time.Second)
			want := map[string]float64{storeQueue: 0, storeSlowLane: 0}
			want[c.store] = 100
			require.Eventually(t, func() bool { return assert.ObjectsAreEqual(want, r.oldest()) }, patience, poll)
			if c.restart {
				clock := r.clock
				r.stop()
				r = newRigAt(t, settings, host, clock)
				want[c.store] = 100
				require.Eventually(t, func() bool { return assert.ObjectsAreEqual(want, r.oldest()) }, patience, poll)
			}
			waiting, delivered := 2-c.first, func() int { return r.counts("events", "outcome")["delivered"] }
			before, measured := r.seconds("arrival_lateness")
			earlier := delivered()
			server.then()
			require.Eventually(t, func() bool {
				_, count := r.seconds("arrival_lateness")
				if count > measured && delivered() == earlier+waiting && r.oldest()[c.store] == 0 {
					return true
				}
				// The slow lane may only now have started a pause.
				r.clock.Advance(10 * time.Second)
				return false
			}, patience, poll)
			sum, count := r.seconds("arrival_lateness")
			// One measurement for events that arrived together, but a lasting failure is narrowed down event by event.
			answers := count - measured
			assert.LessOrEqual(t, answers, uint64(waiting))
			assert.GreaterOrEqual(t, (sum-before)/float64(answers), 100.0)
			assert.LessOrEqual(t, (sum-before)/float64(answers), r.clock.Now().Sub(arrived).Seconds())
			sum, count = r.seconds("event_lateness")
			assert.GreaterOrEqual(t, sum/float64(count), 3600.0)
			r.stop()
		})
	}
}

// TestLatenessIsNeverNegative, even if the sender's clock is ahead of the Collector's.
func TestLatenessIsNeverNegative(t *testing.T) {
	r := newRig(t, map[string]any{"endpoint": newScript(t).url()}, nil)
	require.NoError(t, r.ConsumeLogs(t.Context(), happenedBefore(r, numbered(2), -time.Hour)))
	sum, count := r.seconds("event_lateness")
	assert.Zero(t, sum)
	assert.Equal(t, uint64(1), count)
}

// TestLatenessOfADryRun is not measured, because nothing was answered.
func TestLatenessOfADryRun(t *testing.T) {
	r := newRig(t, map[string]any{"dry_run": true}, nil)
	require.NoError(t, r.ConsumeLogs(t.Context(), numbered(2)))
	_, count := r.seconds("event_lateness")
	assert.Zero(t, count)
}
