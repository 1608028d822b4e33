// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/otelcol-amplitude/otelcol-amplitude/e2e/harness"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/redistest"
)

// TestReplicasShareARedis spreads 50,000 exposures, 80 % of them repeats, at random over two Collectors
// that share a Redis: the sandbox has exactly one event for each state, and what one Collector
// committed is a repeat for the other.
func TestReplicasShareARedis(t *testing.T) {
	const total, users, batch = 50_000, 10_000, 250
	redis := redistest.Start(t)
	far := harness.Start(t, "testdata/sandbox.yaml", harness.Options{})
	var replicas []*harness.Collector
	for range 2 {
		replicas = append(replicas, harness.Start(t, "testdata/sender.yaml", harness.Options{
			Env: []string{"E2E_TARGET=" + far.Sandbox},
			// The machine of a test may be busy: the default of 50ms is for those that are not.
			Sets: []string{fmt.Sprintf("processors::amplitude_experiment::dedup::redis: {endpoint: %q, timeout: 2s}", redis.Address)},
		}))
	}
	order := rand.Perm(total)
	spread := func() {
		var working sync.WaitGroup
		for i, replica := range replicas {
			working.Go(func() {
				for from := i * batch; from < total; from += len(replicas) * batch {
					logs := plog.NewLogs()
					for _, number := range order[from : from+batch] {
						exposures(number%users, 1).ResourceLogs().MoveAndAppendTo(logs.ResourceLogs())
					}
					replica.SendLogs(t, logs)
				}
			})
		}
		working.Wait()
	}
	sent := func() (n float64) {
		for _, replica := range replicas {
			n += replica.Metric(t, "otelcol_processor_amplitude_experiment_records", `outcome="exposure"`)
		}
		return n
	}
	spread()
	ids, seen := map[string]bool{}, map[string]int{}
	for _, event := range far.WaitForEvents(t, users) {
		ids[event.Text("insert_id")] = true
		seen[event.Text("user_id")]++
	}
	assert.Len(t, seen, users)
	assert.Len(t, ids, users, "exactly one event for each state")

	first := sent()
	t.Logf("%d exposures, %d states, %.0f events left the two Collectors", total, users, first)
	assert.Less(t, first, 2.0*users)
	replicas[0], replicas[1] = replicas[1], replicas[0]
	spread()
	assert.InDelta(t, first, sent(), 0, "what one Collector committed the other does not forward")
	for _, replica := range replicas {
		assert.Zero(t, replica.Metric(t, "otelcol_processor_amplitude_experiment_dedup_redis_failures"))
	}
}
