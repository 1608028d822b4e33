// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/otelcol-amplitude/otelcol-amplitude/e2e/harness"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/redistest"
)

// shareARedis starts n Collectors from examples/scale-out that share a Redis, and the Amplitude that they send to.
func shareARedis(t *testing.T, n int) (far *harness.Collector, replicas []*harness.Collector, known *redisKnows) {
	t.Helper()
	server := redistest.Start(t)
	known = &redisKnows{client: redis.NewClient(&redis.Options{Addr: server.Address})}
	t.Cleanup(func() { assert.NoError(t, known.client.Close()) })
	far = harness.Start(t, "testdata/sandbox.yaml", harness.Options{})
	for range n {
		options := harness.ReplicaOptions(t, "http://"+far.Sandbox+"/2/httpapi")
		options.More = []string{harness.ScaleOut("redis-replica.yaml")}
		options.Env = append(options.Env, "REDIS_ENDPOINT="+server.Address)
		// A test machine may be busy, for which the default of 50ms is too short.
		options.Sets = append(options.Sets, "processors::amplitude_experiment::dedup::redis::timeout: 5s")
		replicas = append(replicas, harness.Start(t, harness.ScaleOut("replica.yaml"), options))
	}
	return far, replicas, known
}

// redisKnows is what the replicas have shared.
type redisKnows struct {
	client     *redis.Client
	properties map[string]string
}

// wait waits until Redis has a number of states, and a newer value for each property of a number of users than after
// the previous wait: a replica writes in the background, some time after its queue is empty.
func (k *redisKnows) wait(t *testing.T, states, users int) {
	t.Helper()
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		keys, err := k.client.Keys(t.Context(), "*").Result()
		require.NoError(c, err)
		require.NotEmpty(c, keys)
		values, err := k.client.MGet(t.Context(), keys...).Result()
		require.NoError(c, err)
		known, properties := 0, map[string]string{}
		for i, key := range keys {
			if text, _ := values[i].(string); text == "AXL1" {
				known++ // a delivered state is a key without a value
			} else {
				properties[key] = text
			}
		}
		require.Equal(c, states, known)
		require.Len(c, properties, users) // but not all of it
		for key, text := range properties {
			require.NotEqual(c, k.properties[key], text)
		}
		k.properties = properties
	}, patience, 20*time.Millisecond, "Redis knows what was delivered")
}

// TestReplicasShareARedis spreads 50,000 exposures, 80 % of them repeats, at random over Collectors
// that share a Redis: the sandbox has exactly one event for each state, and what one Collector
// delivered is a repeat for the others.
func TestReplicasShareARedis(t *testing.T) {
	for _, n := range []int{2, 4} {
		t.Run(strconv.Itoa(n), func(t *testing.T) { replicasShareARedis(t, n) })
	}
}

func replicasShareARedis(t *testing.T, n int) {
	t.Helper()
	const total, users, batch = 50_000, 10_000, 250
	far, replicas, known := shareARedis(t, n)
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
	for _, replica := range replicas {
		replica.Drained(t)
	}
	ids, seen := map[string]bool{}, map[string]int{}
	for _, event := range far.WaitForEvents(t, users) {
		ids[event.Text("insert_id")] = true
		seen[event.Text("user_id")]++
	}
	assert.Len(t, seen, users)
	assert.Len(t, ids, users, "exactly one event for each state")

	known.wait(t, users, users)
	first := sent()
	t.Logf("%d exposures, %d states, %.0f events left the %d Collectors", total, users, first, n)
	// All of it arrives within a second. A Collector does not know what is still on its way at the others, so each sends a
	// state at most once.
	assert.LessOrEqual(t, first, float64(n*users))
	slices.Reverse(replicas)
	spread()
	assert.InDelta(t, first, sent(), 0, "what one Collector delivered the other does not forward")
	for _, replica := range replicas {
		assert.Zero(t, replica.Metric(t, "otelcol_processor_amplitude_experiment_dedup_redis_failures"))
	}
}

// exposureAt makes an exposure of one user to this variant at this time.
func exposureAt(user int, variant string, at time.Time) plog.Logs {
	logs := exposures(user, 1)
	record := logs.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().At(0)
	record.SetTimestamp(pcommon.NewTimestampFromTime(at))
	record.Attributes().PutStr("variant", variant)
	return logs
}

// TestEveryReplicaKnowsTheHistory takes users through A, B, A, C, each step at a different replica and then repeated at
// all of them: every state is one event, the return to A and all repeats are not events, and the property is right
// after each step.
func TestEveryReplicaKnowsTheHistory(t *testing.T) {
	const users, n = 200, 4
	far, replicas, known := shareARedis(t, n)
	steps := []string{"a", "b", "a", "c"}
	begin := time.Now().Truncate(24 * time.Hour) // UTC, far from midnight
	for step, variant := range steps {
		for turn := range n {
			for i, replica := range replicas {
				logs := plog.NewLogs()
				for user := (step + turn + i) % n; user < users; user += n {
					exposureAt(user, variant, begin.Add(time.Duration(step)*time.Millisecond)).ResourceLogs().MoveAndAppendTo(logs.ResourceLogs())
				}
				replica.SendLogs(t, logs)
			}
		}
		// Each replica has its own queue, so later events at another one only arrive later if this one is empty.
		for _, replica := range replicas {
			replica.Drained(t)
		}
		known.wait(t, users*[]int{1, 2, 2, 3}[step], users)
		for user := range users {
			id := fmt.Sprintf("user-%06d", user)
			assert.Equal(t, variant, far.UserProperties(t, id)["[Experiment] delivery"], id)
		}
	}
	history := map[string][]string{}
	for _, event := range far.WaitForEvents(t, users*(len(steps)-1)) { // by time
		variant, _ := event["event_properties"].(map[string]any)["[Experiment] Variant"].(string)
		history[event.Text("user_id")] = append(history[event.Text("user_id")], variant)
	}
	assert.Len(t, history, users)
	for user, variants := range history {
		assert.Equal(t, []string{"a", "b", "c"}, variants, user)
	}
}

// TestUserMovesToAnotherReplica: A and B at one replica, then A again at another. With Redis, the return sets the
// property. A replica that does not know the user sends the first A again, and Amplitude drops it.
func TestUserMovesToAnotherReplica(t *testing.T) {
	move := func(t *testing.T, far *harness.Collector, replicas []*harness.Collector, known *redisKnows) (stored int, property any) {
		t.Helper()
		begin := time.Now().Truncate(24 * time.Hour)
		for step, variant := range []string{"a", "b", "a"} {
			replica := replicas[step/2]
			replica.SendLogs(t, exposureAt(1, variant, begin.Add(time.Duration(step)*time.Millisecond)))
			replica.Drained(t)
			if known != nil {
				known.wait(t, []int{1, 2, 2}[step], 1)
			}
		}
		return len(far.Events(t)), far.UserProperties(t, "user-000001")["[Experiment] delivery"]
	}
	t.Run("with Redis", func(t *testing.T) {
		far, replicas, known := shareARedis(t, 2)
		stored, property := move(t, far, replicas, known)
		assert.Equal(t, 2, stored)
		assert.Equal(t, "a", property)
	})
	t.Run("without", func(t *testing.T) {
		far := harness.Start(t, "testdata/sandbox.yaml", harness.Options{})
		var replicas []*harness.Collector
		for range 2 {
			replicas = append(replicas, harness.Start(t, harness.ScaleOut("replica.yaml"), harness.ReplicaOptions(t, "http://"+far.Sandbox+"/2/httpapi")))
		}
		stored, property := move(t, far, replicas, nil)
		assert.Equal(t, 2, stored)
		assert.Equal(t, "b", property, "what docs/scaling.md warns of")
	})
}
