// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudeexperimentprocessor

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/open-telemetry/opentelemetry-collector-contrib/extension/storage/filestorage"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/extension/extensiontest"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/processor/processortest"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/amplitude"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/redistest"
	"github.com/otelcol-amplitude/otelcol-amplitude/processor/amplitudeexperimentprocessor/internal/metadata"
)

// extensions is a host with these extensions.
type extensions map[component.ID]component.Component

func (e extensions) GetExtensions() map[component.ID]component.Component { return e }

// fileStorage starts a file_storage over a directory.
func fileStorage(t *testing.T, directory string) extensions {
	t.Helper()
	factory := filestorage.NewFactory()
	cfg := factory.CreateDefaultConfig().(*filestorage.Config)
	cfg.Directory = directory
	extension, err := factory.Create(t.Context(), extensiontest.NewNopSettings(factory.Type()), cfg)
	require.NoError(t, err)
	require.NoError(t, extension.Start(t.Context(), componenttest.NewNopHost()))
	t.Cleanup(func() { require.NoError(t, extension.Shutdown(context.Background())) })
	return extensions{component.MustNewID("file_storage"): extension}
}

func TestStorageKeepsTheStateOverARestart(t *testing.T) {
	host := fileStorage(t, t.TempDir())
	cfg := configOf(t, "{dedup: {storage: file_storage}}")
	var exposures []exposureOf
	for i := range 1000 {
		exposures = append(exposures, exposureOf{fmt.Sprintf("user-%d", i), "checkout", "on", testTime})
	}
	f := newTestFactory()
	first := startWith(t, f, host, cfg)
	assert.Len(t, first.send(t, logsOf(t, exposures...)), 1000)
	assert.Equal(t, 1000, first.counter(t, "otelcol_processor_amplitude_experiment_dedup_entries", "", ""))
	require.NoError(t, first.Shutdown(t.Context()))

	second := startWith(t, f, host, cfg)
	assert.Empty(t, second.send(t, logsOf(t, exposures...)))
	changed := second.send(t, logsOf(t, exposureOf{"user-1", "checkout", "off", testTime + 1}))
	require.Len(t, changed, 2, "the event, and what sets the property")
	assert.Regexp(t, `^user-1  [0-9a-f]{32} 20468$`, insertIDOf(changed[0]))
	assert.Equal(t, amplitude.EventIdentify, changed[1].EventName())
	assert.Zero(t, second.counter(t, "otelcol_processor_amplitude_experiment_dedup_storage_failures", "", ""))
}

func TestStorageThatIsNotThere(t *testing.T) {
	id := component.MustNewID("file_storage")
	for want, host := range map[string]component.Host{
		`storage extension "file_storage" not found`: componenttest.NewNopHost(),
		`extension "file_storage" is not a storage extension`: extensions{id: struct {
			component.StartFunc
			component.ShutdownFunc
		}{}},
	} {
		p, err := NewFactory().CreateLogs(t.Context(), processortest.NewNopSettings(metadata.Type), configOf(t, "{dedup: {storage: file_storage}}"), consumer.Logs(nil))
		require.NoError(t, err)
		require.ErrorContains(t, p.Start(t.Context(), host), want)
		require.NoError(t, p.Shutdown(t.Context()))
	}
}

func TestEvictionsAreCounted(t *testing.T) {
	r := start(t, configOf(t, "{dedup: {max_entries: 2}}"), nil)
	for user := range 5 {
		r.send(t, logsOf(t, exposureOf{fmt.Sprintf("user-%d", user), "checkout", "on", testTime}))
	}
	assert.Equal(t, 2, r.counter(t, "otelcol_processor_amplitude_experiment_dedup_entries", "", ""))
	assert.Equal(t, 3, r.counter(t, "otelcol_processor_amplitude_experiment_dedup_evictions", "reason", "max_entries"))
	assert.Zero(t, r.counter(t, "otelcol_processor_amplitude_experiment_dedup_evictions", "reason", "age"))
}

// replica is a processor with its own state that shares a Redis, and what it sent.
func replica(t *testing.T, address string) (*rig, *delivered) {
	t.Helper()
	next := &unreliable{delivered: newDelivered(), before: func() error { return nil }}
	return start(t, configOf(t, fmt.Sprintf("{dedup: {redis: {endpoint: %q, timeout: 5s}}}", address)), next), next.delivered
}

// TestReplicasGiveOneEventPerState spreads 50,000 exposures, 80 % of them repeats, at random over two
// processors that work at the same time and share a Redis.
func TestReplicasGiveOneEventPerState(t *testing.T) {
	const total, distinct, size = 50_000, 10_000, 250
	server := redistest.Start(t)
	exposures := make([]exposureOf, total)
	for i := range exposures {
		exposures[i] = exposureOf{fmt.Sprintf("user-%d", i%distinct/2), fmt.Sprintf("flag-%d", i%2), "on", testTime + int64(i)}
	}
	rand.Shuffle(total, func(i, j int) { exposures[i], exposures[j] = exposures[j], exposures[i] })
	one, sentByOne := replica(t, server.Address)
	two, sentByTwo := replica(t, server.Address)
	spread := func() {
		var working sync.WaitGroup
		for i, r := range []*rig{one, two} {
			working.Go(func() {
				for from := i * size; from < total; from += 2 * size {
					assert.NoError(t, r.ConsumeLogs(t.Context(), logsOf(t, exposures[from:from+size]...)))
				}
			})
		}
		working.Wait()
	}
	collapsed := func() int {
		all := map[string]bool{}
		for _, d := range []*delivered{sentByOne, sentByTwo} {
			for id := range d.ids {
				all[id] = true
			}
		}
		return len(all)
	}
	events := func() (n int) {
		for _, d := range []*delivered{sentByOne, sentByTwo} {
			for _, times := range d.ids {
				n += times
			}
		}
		return n
	}
	spread()
	t.Logf("%d exposures, %d events sent, %d after insert_id", total, events(), collapsed())
	assert.Equal(t, distinct, collapsed(), "one event per state")
	settled(t, one.Logs.(following).Logs)
	settled(t, two.Logs.(following).Logs)
	first := events()
	rand.Shuffle(total, func(i, j int) { exposures[i], exposures[j] = exposures[j], exposures[i] })
	spread()
	assert.Equal(t, first, events(), "a second pass forwards nothing, whoever sent it the first time")
	for _, r := range []*rig{one, two} {
		assert.Zero(t, r.counter(t, "otelcol_processor_amplitude_experiment_dedup_redis_failures", "", ""))
	}
}

// TestRedisHoldsNoIDs: keys and values in Redis are hashes. There is no id of a user, device or group, and flags and
// variants are only named by the diagnostics.
func TestRedisHoldsNoIDs(t *testing.T) {
	server := redistest.Start(t)
	yaml := fmt.Sprintf("{dedup: {redis: {endpoint: %q, timeout: 5s}}, diagnostics: {flags: [counted]}}", server.Address)
	r := start(t, configOf(t, yaml), nil)
	ld := plog.NewLogs()
	who := map[string]any{"user.id": "secret-user", "device.id": "secret-device", "groups": map[string]any{"org": "secret-group"}}
	for _, flag := range []string{"counted", "secret-flag"} {
		maps.Copy(who, map[string]any{"flag_key": flag, "variant": "variant-of-" + flag, "experiment_key": "run-of-" + flag})
		record(t, ld, "$exposure", who)
	}
	record(t, ld, "$assignment", map[string]any{"user.id": "secret-user", "variants": map[string]any{"secret-flag": "secret-variant"}})
	require.NotEmpty(t, r.send(t, ld))
	require.NoError(t, r.Shutdown(t.Context())) // everything is written

	client := redis.NewClient(&redis.Options{Addr: server.Address})
	defer func() { assert.NoError(t, client.Close()) }()
	keys, err := client.Keys(t.Context(), "*").Result()
	require.NoError(t, err)
	var all strings.Builder
	for _, key := range keys {
		fmt.Fprintln(&all, key)
		kind, err := client.Type(t.Context(), key).Result()
		require.NoError(t, err)
		switch kind {
		case "string":
			all.WriteString(client.Get(t.Context(), key).Val())
		case "set":
			fmt.Fprintln(&all, client.SMembers(t.Context(), key).Val())
		default:
			assert.Fail(t, "a kind of key that this test does not check", kind)
		}
	}
	assert.Contains(t, all.String(), "variant-of-counted", "counted variants are shared")
	assert.Greater(t, len(keys), 5)
	assert.NotContains(t, all.String(), "secret")
}

// TestRedisAwayInMidStream kills and restarts Redis while two processors share a stream.
func TestRedisAwayInMidStream(t *testing.T) {
	const users, size = 3000, 50
	server := redistest.Start(t)
	one, sentByOne := replica(t, server.Address)
	two, sentByTwo := replica(t, server.Address)
	replicas := []*rig{one, two}
	for from := 0; from < users; from += size {
		switch from {
		case users / 3 / size * size:
			server.Kill()
		case users * 2 / 3 / size * size:
			server.Revive()
		}
		var exposures []exposureOf
		for user := from; user < from+size; user++ {
			exposures = append(exposures, exposureOf{fmt.Sprintf("user-%d", user), "checkout", "on", testTime})
		}
		for range 2 {
			require.NoError(t, replicas[rand.N(2)].ConsumeLogs(t.Context(), logsOf(t, exposures...)))
		}
	}
	all := map[string]bool{}
	for _, d := range []*delivered{sentByOne, sentByTwo} {
		for id := range d.ids {
			all[id] = true
		}
	}
	assert.Len(t, all, users, "nothing lost, and insert_id collapses what went out twice")
	require.Eventually(t, func() bool {
		before := one.counter(t, "otelcol_processor_amplitude_experiment_dedup_redis_bypassed", "", "")
		one.send(t, logsOf(t, exposureOf{"user-1", "checkout", "on", testTime}))
		return one.counter(t, "otelcol_processor_amplitude_experiment_dedup_redis_bypassed", "", "") == before
	}, time.Minute, 10*time.Millisecond, "it is used again automatically")
}
