// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package dedup

import (
	"context"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componentstatus"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/redistest"
)

// statusHost collects what a component reports of itself.
type statusHost struct {
	mu     sync.Mutex
	events []componentstatus.Status
}

func (*statusHost) GetExtensions() map[component.ID]component.Component { return nil }

func (h *statusHost) Report(event *componentstatus.Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.events = append(h.events, event.Status())
}

func (h *statusHost) reported() []componentstatus.Status {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]componentstatus.Status(nil), h.events...)
}

func openReplica(t *testing.T, host component.Host, address string, options ...func(*Settings)) *State {
	t.Helper()
	set := Settings{
		MaxEntries: 100_000,
		Clock:      func() time.Time { return time.UnixMilli(testNow) },
		Redis: &RedisSettings{
			Options:   redis.UniversalOptions{Addrs: []string{address}},
			KeyPrefix: "test:",
			Timeout:   2 * time.Second, // the machine may be busy; the bound has a test of its own
		},
	}
	for _, option := range options {
		option(&set)
	}
	state, err := New(set)
	require.NoError(t, err)
	require.NoError(t, state.Start(t.Context(), host))
	t.Cleanup(func() { require.NoError(t, state.Shutdown(context.Background())) })
	return state
}

func clientOf(t *testing.T, server *redistest.Server) *redis.Client {
	t.Helper()
	client := redis.NewClient(&redis.Options{Addr: server.Address})
	t.Cleanup(func() { require.NoError(t, client.Close()) })
	return client
}

func TestReplicasShareWhatTheyCommit(t *testing.T) {
	server := redistest.Start(t)
	one, two := openReplica(t, &statusHost{}, server.Address), openReplica(t, &statusHost{}, server.Address)
	at := func(result uint64, second int64) Record {
		return Record{Subject: Key{1}, Result: result, Bucket: 20_000, Time: testNow - 100_000 + second*1000}
	}
	assert.Equal(t, Verdict{}, decideOne(t, one, at(1, 0)))
	assert.Equal(t, Verdict{Outcome: Repeat}, decideOne(t, two, at(1, 1)))
	assert.Equal(t, Verdict{Transition: 1, Changed: true}, decideOne(t, two, at(2, 2)))
	assert.Equal(t, Verdict{Transition: 2, Changed: true}, decideOne(t, one, at(1, 3)), "A, B, A over two replicas")
	assert.Equal(t, Verdict{Outcome: Late}, decideOne(t, two, at(3, 1)))
	for _, state := range []*State{one, two} {
		for second, result := range []uint64{1, 2, 1} {
			assert.Equal(t, Verdict{Outcome: Repeat}, decideOne(t, state, at(result, int64(second))), "a replay")
		}
		assert.Equal(t, Verdict{Outcome: Repeat}, decideOne(t, state, at(3, 1)), "a late one again")
	}
	// What was refused is nobody's.
	refused := Record{Subject: Key{2}, Result: 1, Bucket: 20_000, Time: testNow}
	one.Reserve(t.Context(), []Record{refused}, make([]Verdict, 1)).Release()
	assert.Equal(t, Verdict{}, decideOne(t, two, refused))
	assert.Zero(t, one.Stats().RedisFailures+two.Stats().RedisFailures)

	client := clientOf(t, server)
	keys, err := client.Keys(t.Context(), "*").Result()
	require.NoError(t, err)
	require.Len(t, keys, 2)
	for _, key := range keys {
		assert.Contains(t, key, "test:")
		ttl, err := client.PTTL(t.Context(), key).Result()
		require.NoError(t, err)
		assert.InDelta(t, DefaultForget, ttl, float64(time.Minute))
	}
}

func TestAnotherProcessorDoesNotShare(t *testing.T) {
	server := redistest.Start(t)
	assert.Equal(t, Send, decideOne(t, openReplica(t, &statusHost{}, server.Address), benchRecord(1)).Outcome)
	for name, change := range map[string]func(*Settings){
		"another name":    func(set *Settings) { set.Owner = component.MustNewIDWithName("amplitude_experiment", "eu") },
		"another zone":    func(set *Settings) { set.Scope = "day Asia/Tokyo" },
		"another mode":    func(set *Settings) { set.Mode = UniquePerDay },
		"another prefix":  func(set *Settings) { set.Redis.KeyPrefix = "edge:" },
		"another machine": func(set *Settings) { set.Redis.Options.Addrs = []string{redistest.Start(t).Address} },
	} {
		assert.Equal(t, Send, decideOne(t, openReplica(t, &statusHost{}, server.Address, change), benchRecord(1)).Outcome, name)
	}
	assert.Equal(t, Repeat, decideOne(t, openReplica(t, &statusHost{}, server.Address), benchRecord(1)).Outcome)
}

func TestReplicasInModeUniquePerDay(t *testing.T) {
	server := redistest.Start(t)
	unique := func(set *Settings) { set.Mode = UniquePerDay }
	one, two := openReplica(t, &statusHost{}, server.Address, unique), openReplica(t, &statusHost{}, server.Address, unique)
	rec := benchRecord(1)
	other := rec
	other.Result = 2
	assert.Equal(t, Verdict{}, decideOne(t, one, rec))
	assert.Equal(t, Verdict{}, decideOne(t, two, other))
	for _, state := range []*State{one, two} {
		assert.Equal(t, Repeat, decideOne(t, state, rec).Outcome)
		assert.Equal(t, Repeat, decideOne(t, state, other).Outcome)
	}
	// What is known here needs no look-up.
	server.Kill()
	assert.Equal(t, Repeat, decideOne(t, one, rec).Outcome)
	assert.Zero(t, one.Stats().RedisFailures)
}

// TestReplicasUnderLoad spreads 50,000 exposures, 80 % of them repeats, at random over two replicas
// that work at the same time.
func TestReplicasUnderLoad(t *testing.T) {
	server := redistest.Start(t)
	replicas := []*State{openReplica(t, &statusHost{}, server.Address), openReplica(t, &statusHost{}, server.Address)}
	const total, distinct = 50_000, 10_000
	records := make([]Record, total)
	for i := range records {
		records[i] = benchRecord(uint64(i % distinct))
	}
	rand.Shuffle(total, func(i, j int) { records[i], records[j] = records[j], records[i] })

	sent := make([]map[eventID]bool, len(replicas))
	var working sync.WaitGroup
	for i, state := range replicas {
		sent[i] = make(map[eventID]bool)
		working.Go(func() {
			verdicts := make([]Verdict, 100)
			for start := i * len(verdicts); start < total; start += len(replicas) * len(verdicts) {
				batch := records[start : start+len(verdicts)]
				r := state.Reserve(t.Context(), batch, verdicts)
				for j, v := range verdicts {
					if v.Outcome != Repeat {
						sent[i][eventID{batch[j].Subject, batch[j].Result, batch[j].Bucket, v.Transition}] = true
					}
				}
				r.Commit(t.Context())
			}
		})
	}
	working.Wait()
	collapsed := make(map[eventID]bool)
	for i := range sent {
		for event := range sent[i] {
			collapsed[event] = true
		}
	}
	t.Logf("%d and %d events sent, %d after insert_id", len(sent[0]), len(sent[1]), len(collapsed))
	assert.Len(t, collapsed, distinct)
	for _, state := range replicas {
		assert.Zero(t, state.Stats().RedisFailures)
		assert.Equal(t, map[Outcome]int{Repeat: total}, outcomes(state, records), "a second pass forwards nothing")
	}
}

func TestRedisKilledAndRevived(t *testing.T) {
	server := redistest.Start(t)
	core, logs := observer.New(zapcore.InfoLevel)
	host := &statusHost{}
	one := openReplica(t, host, server.Address, func(set *Settings) { set.Logger = zap.New(core) })
	two := openReplica(t, &statusHost{}, server.Address)
	assert.Equal(t, map[Outcome]int{Send: 100}, outcomes(one, numbered(0, 100)))

	server.Kill()
	assert.Equal(t, map[Outcome]int{Send: 100, Repeat: 100}, outcomes(one, numbered(0, 200)), "without Redis: own memory")
	assert.Positive(t, one.Stats().RedisBypassed)
	assert.Positive(t, one.Stats().RedisFailures)
	require.Eventually(t, func() bool { return len(host.reported()) == 1 }, 5*time.Second, time.Millisecond)

	server.Revive()
	require.Eventually(t, func() bool { return one.remote.up.Load() && two.remote.up.Load() }, 20*time.Second, 5*time.Millisecond)
	require.Eventually(t, func() bool { return len(host.reported()) == 2 }, 5*time.Second, time.Millisecond)
	assert.Equal(t, []componentstatus.Status{componentstatus.StatusRecoverableError, componentstatus.StatusOK}, host.reported())
	assert.Len(t, logs.All(), 2, "one line when it goes, one when it comes back")
	// The commits made meanwhile were told to it, though it came back empty. The older ones are told
	// when they come up again.
	assert.Equal(t, map[Outcome]int{Repeat: 100}, outcomes(two, numbered(100, 200)))
	assert.Equal(t, map[Outcome]int{Repeat: 100}, outcomes(one, numbered(0, 100)))
	assert.Equal(t, map[Outcome]int{Repeat: 100}, outcomes(two, numbered(0, 100)))
}

func TestRedisAwayAtTheStart(t *testing.T) {
	server := redistest.Start(t)
	server.Kill()
	host := &statusHost{}
	state := openReplica(t, host, server.Address)
	assert.Equal(t, Send, decideOne(t, state, benchRecord(1)).Outcome)
	assert.Equal(t, Repeat, decideOne(t, state, benchRecord(1)).Outcome)
	server.Revive()
	require.Eventually(t, state.remote.up.Load, 20*time.Second, 5*time.Millisecond)
	assert.Equal(t, Repeat, decideOne(t, openReplica(t, host, server.Address), benchRecord(1)).Outcome)
}

func TestRedisWithPassword(t *testing.T) {
	server := redistest.Start(t, "--requirepass", "the right one")
	login := func(password string) func(*Settings) {
		return func(set *Settings) { set.Redis.Options.Password = password }
	}
	right := openReplica(t, &statusHost{}, server.Address, login("the right one"))
	assert.Equal(t, Send, decideOne(t, right, benchRecord(1)).Outcome)
	assert.Zero(t, right.Stats().RedisFailures)

	core, logs := observer.New(zapcore.InfoLevel)
	host := &statusHost{}
	wrong := openReplica(t, host, server.Address, login("not this one"), func(set *Settings) { set.Logger = zap.New(core) })
	assert.Equal(t, Send, decideOne(t, wrong, benchRecord(1)).Outcome, "forwarded")
	require.Eventually(t, func() bool { return len(host.reported()) == 1 }, 5*time.Second, time.Millisecond)
	require.Equal(t, 1, logs.Len())
	line := logs.All()[0]
	assert.Contains(t, line.ContextMap()["error"], "WRONGPASS")
	assert.NotContains(t, line.Message+line.ContextMap()["error"].(string), "not this one")
}

// TestSilentRedisCostsOneTimeout lets Redis accept connections and never answer: the batches that
// find out wait for the timeout, all others are not held up.
func TestSilentRedisCostsOneTimeout(t *testing.T) {
	server := redistest.Start(t)
	state := openReplica(t, &statusHost{}, server.Address, func(set *Settings) { set.Redis.Timeout = 50 * time.Millisecond })
	client := clientOf(t, server)
	require.NoError(t, client.Do(t.Context(), "CLIENT", "PAUSE", strconv.Itoa(int(time.Hour/time.Millisecond)), "ALL").Err())

	for i := range 1000 {
		assert.Equal(t, Send, decideOne(t, state, benchRecord(uint64(i))).Outcome)
	}
	assert.EqualValues(t, 1000, state.Stats().RedisBypassed, "every batch is decided without Redis")
	// The first look-up, and the probes of the background: not one failure per batch.
	assert.Less(t, state.Stats().RedisFailures, int64(100))
}

func TestRedisThatForgotTheScript(t *testing.T) {
	server := redistest.Start(t)
	one, two := openReplica(t, &statusHost{}, server.Address), openReplica(t, &statusHost{}, server.Address)
	client := clientOf(t, server)
	require.NoError(t, client.ScriptFlush(t.Context()).Err())
	decideOne(t, one, benchRecord(1))
	assert.Equal(t, Repeat, decideOne(t, two, benchRecord(1)).Outcome)
	assert.Zero(t, one.Stats().RedisFailures)
}

func TestForeignValueInRedisIsOverwritten(t *testing.T) {
	server := redistest.Start(t)
	state := openReplica(t, &statusHost{}, server.Address)
	client := clientOf(t, server)
	for i, value := range []string{"", "short", "four and twenty bytes and a half", string(make([]byte, 1000))} {
		rec := benchRecord(uint64(i))
		require.NoError(t, client.Set(t.Context(), state.remote.key(rec.Subject.id()), value, 0).Err())
		assert.NotEqual(t, Repeat, decideOne(t, state, rec).Outcome, "value %d", i)
		assert.Equal(t, Repeat, decideOne(t, state, rec).Outcome, "value %d", i)
	}
	assert.Zero(t, state.Stats().RedisFailures)
}

func TestRedisCluster(t *testing.T) {
	server := redistest.Start(t, "--cluster-enabled", "yes")
	client := clientOf(t, server)
	require.NoError(t, client.Do(t.Context(), "CLUSTER", "ADDSLOTSRANGE", "0", "16383").Err())
	require.Eventually(t, func() bool {
		info, err := client.ClusterInfo(t.Context()).Result()
		return err == nil && strings.Contains(info, "cluster_state:ok")
	}, 20*time.Second, 10*time.Millisecond)

	cluster := func(set *Settings) { set.Redis.Options.IsClusterMode = true }
	one, two := openReplica(t, &statusHost{}, server.Address, cluster), openReplica(t, &statusHost{}, server.Address, cluster)
	assert.Equal(t, map[Outcome]int{Send: 500}, outcomes(one, numbered(0, 500)))
	assert.Equal(t, map[Outcome]int{Repeat: 500, Send: 100}, outcomes(two, numbered(0, 600)))
	assert.Zero(t, one.Stats().RedisFailures+two.Stats().RedisFailures)
}

func TestRedisSentinel(t *testing.T) {
	server := redistest.Start(t)
	file := filepath.Join(t.TempDir(), "sentinel.conf")
	require.NoError(t, os.WriteFile(file, []byte("sentinel monitor themaster 127.0.0.1 "+server.Port()+" 1\n"), 0o600))
	sentinel := redistest.Start(t, file, "--sentinel")
	one := openReplica(t, &statusHost{}, sentinel.Address, func(set *Settings) { set.Redis.Options.MasterName = "themaster" })
	two := openReplica(t, &statusHost{}, server.Address)
	assert.Equal(t, map[Outcome]int{Send: 50}, outcomes(one, numbered(0, 50)))
	assert.Equal(t, map[Outcome]int{Repeat: 50}, outcomes(two, numbered(0, 50)))
	assert.Zero(t, one.Stats().RedisFailures)
}
