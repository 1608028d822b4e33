// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package dedup

import (
	"context"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
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

const wait, tick = time.Minute, time.Millisecond

// statusHost collects the status events of a component.
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
	return slices.Clone(h.events)
}

func openReplica(t *testing.T, host component.Host, address string, options ...func(*Settings)) *Ledger {
	t.Helper()
	set := Settings{
		MaxEntries: 100_000,
		Clock:      func() time.Time { return time.UnixMilli(testNow) },
		Redis: &RedisSettings{
			Options:   redis.UniversalOptions{Addrs: []string{address}},
			KeyPrefix: "test:",
			Timeout:   wait, // the machine may be busy; another test covers the bound
		},
	}
	for _, option := range options {
		option(&set)
	}
	l, err := New(set)
	require.NoError(t, err)
	require.NoError(t, l.Start(t.Context(), host))
	t.Cleanup(func() { require.NoError(t, l.Shutdown(context.Background())) })
	return l
}

// settledAndTold waits until all receipts are written to Redis.
func settledAndTold(t *testing.T, l *Ledger) {
	t.Helper()
	require.Eventually(t, func() bool {
		l.remote.mu.Lock()
		defer l.remote.mu.Unlock()
		return l.Stats().OnWay == 0 && len(l.remote.finished)+len(l.remote.updates) == 0 && !l.remote.busy
	}, wait, tick)
}

func clientOf(t *testing.T, server *redistest.Server) *redis.Client {
	t.Helper()
	client := redis.NewClient(&redis.Options{Addr: server.Address})
	t.Cleanup(func() { require.NoError(t, client.Close()) })
	return client
}

func TestReplicasShareWhatWasDelivered(t *testing.T) {
	server := redistest.Start(t)
	one, two := openReplica(t, &statusHost{}, server.Address), openReplica(t, &statusHost{}, server.Address)
	at := func(second int64) int64 { return testNow - 100_000 + second*1000 }
	say := func(l *Ledger, value uint64, second int64) string {
		answer := report(l, "u", value, at(second))
		settledAndTold(t, l)
		return answer
	}
	assert.Equal(t, sendsEvent, say(one, 1, 0))
	assert.Equal(t, sendsNothing, say(two, 1, 1))
	assert.Equal(t, sendsBoth, say(two, 2, 2))
	assert.Equal(t, sendsIdentify, say(one, 1, 3), "A, B, A over two replicas")
	assert.Equal(t, sendsEvent, say(two, 3, 1), "late: an event without its operation")
	for _, l := range []*Ledger{one, two} {
		for second, value := range []uint64{1, 2, 1} {
			assert.Equal(t, sendsNothing, say(l, value, int64(second)), "a replay")
		}
		assert.Equal(t, sendsNothing, say(l, 3, 1), "a late one again")
	}
	// What was refused belongs to nobody.
	refused, _ := reserveOne(one, exposure("refused", 1, testNow), 1)
	refused.Release()
	assert.Equal(t, sendsEvent, report(two, "refused", 1, testNow))
	// On every replica, a device belongs to the user of its last delivered event.
	login := exposure("v", 1, at(5))
	login.Device = DeviceID("phone")
	r, _ := reserveOne(one, login, 1)
	r.Accept()
	settledAndTold(t, one)
	alone := Record{Device: DeviceID("phone"), Event: testHash(2, 1), Day: testDay, Time: at(6), To: 1}
	r, v := reserveOne(two, alone, 2)
	assert.Equal(t, sendsBoth, answerOf(v), "it moves the property of the user")
	r.Accept()
	settledAndTold(t, two)
	assert.Equal(t, sendsIdentify, say2(one, login, 1, at(7)))
	assert.Zero(t, one.Stats().RedisFailures+two.Stats().RedisFailures)

	client := clientOf(t, server)
	keys, err := client.Keys(t.Context(), "*").Result()
	require.NoError(t, err)
	require.NotEmpty(t, keys)
	for _, key := range keys {
		assert.True(t, strings.HasPrefix(key, one.remote.prefix), "%q", key)
		ttl, err := client.PTTL(t.Context(), key).Result()
		require.NoError(t, err)
		assert.InDelta(t, DefaultForget, ttl, float64(time.Minute))
		value, err := client.Get(t.Context(), key).Result()
		require.NoError(t, err)
		assert.True(t, strings.HasPrefix(value, redisMagic), "%q", value)
	}
}

func say2(l *Ledger, rec Record, value uint64, at int64) string {
	rec.Time = at
	r, v := reserveOne(l, rec, value)
	r.Accept()
	return answerOf(v)
}

// slowAnswer delays the answer of Redis to new events.
type slowAnswer struct {
	shared
	added, held chan struct{}
}

func (s *slowAnswer) add(ctx context.Context, keys []string) ([]bool, error) {
	existed, err := s.shared.add(ctx, keys)
	s.added <- struct{}{}
	<-s.held
	return existed, err
}

// TestRepeatBeforeRedisHasAnswered: an exposure is repeated after its event was written to Redis, but before Redis has
// answered that no other replica delivered it. The replica's own write must not look like another one's delivery.
func TestRepeatBeforeRedisHasAnswered(t *testing.T) {
	server := redistest.Start(t)
	one, two := openReplica(t, &statusHost{}, server.Address), openReplica(t, &statusHost{}, server.Address)
	slow := &slowAnswer{shared: one.remote.store, added: make(chan struct{}, 1), held: make(chan struct{})}
	one.remote.store = slow
	assert.Equal(t, sendsEvent, report(one, "u", 1, testNow))
	<-slow.added
	assert.Equal(t, sendsNothing, report(one, "u", 1, testNow))
	close(slow.held)
	settledAndTold(t, one)
	for _, l := range []*Ledger{one, two} {
		assert.Equal(t, sendsNothing, report(l, "u", 1, testNow+1), "the property is known, too")
	}
}

func TestAnotherProcessorDoesNotShare(t *testing.T) {
	server := redistest.Start(t)
	first := openReplica(t, &statusHost{}, server.Address)
	assert.Equal(t, sendsEvent, report(first, "u", 1, testNow))
	settledAndTold(t, first)
	for name, change := range map[string]func(*Settings){
		"another name":    func(set *Settings) { set.Owner = component.MustNewIDWithName("amplitude_experiment", "eu") },
		"another zone":    func(set *Settings) { set.Scope = "day Asia/Tokyo" },
		"another mode":    func(set *Settings) { set.Mode = UniquePerDay },
		"another prefix":  func(set *Settings) { set.Redis.KeyPrefix = "edge:" },
		"another machine": func(set *Settings) { set.Redis.Options.Addrs = []string{redistest.Start(t).Address} },
	} {
		assert.Equal(t, sendsEvent, report(openReplica(t, &statusHost{}, server.Address, change), "u", 1, testNow), name)
	}
	assert.Equal(t, sendsNothing, report(openReplica(t, &statusHost{}, server.Address), "u", 1, testNow))
}

// TestReplicasUnderLoad spreads 8,000 exposures, 80 % of them repeats, at random over two replicas that work at the same time.
func TestReplicasUnderLoad(t *testing.T) {
	server := redistest.Start(t)
	replicas := []*Ledger{openReplica(t, &statusHost{}, server.Address), openReplica(t, &statusHost{}, server.Address)}
	const total, distinct = 8_000, 1_600
	users := rand.Perm(total)
	sent := make([]map[int]int, len(replicas))
	var working sync.WaitGroup
	for i, l := range replicas {
		sent[i] = make(map[int]int)
		working.Go(func() {
			for at := i; at < total; at += len(replicas) {
				user := users[at] % distinct
				for answer, n := range reportMany(l, user, user+1) {
					if answer == sendsEvent || answer == sendsBoth { // a $identify may follow if both sent it
						sent[i][user] += n
					}
				}
			}
		})
	}
	working.Wait()
	both := 0
	for user := range distinct {
		assert.Positive(t, sent[0][user]+sent[1][user])
		if sent[0][user] > 0 && sent[1][user] > 0 {
			both++
		}
		assert.LessOrEqual(t, max(sent[0][user], sent[1][user]), 1)
	}
	t.Logf("%d and %d events sent, %d by both, which insert_id collapses", len(sent[0]), len(sent[1]), both)
	for _, l := range replicas {
		settledAndTold(t, l)
	}
	for _, l := range replicas {
		assert.Zero(t, l.Stats().RedisFailures)
		count := reportMany(l, 0, distinct)
		// If both sent it, the second receipt changed nothing. If that was not known in time, the property is set again.
		assert.Equal(t, distinct, count[sendsNothing]+count[sendsIdentify])
		assert.LessOrEqual(t, count[sendsIdentify], both)
	}
}

func TestRedisKilledAndRevived(t *testing.T) {
	server := redistest.Start(t)
	core, logs := observer.New(zapcore.InfoLevel)
	host := &statusHost{}
	one := openReplica(t, host, server.Address, func(set *Settings) { set.Logger = zap.New(core) })
	two := openReplica(t, &statusHost{}, server.Address)
	assert.Equal(t, map[string]int{sendsEvent: 100}, reportMany(one, 0, 100))
	settledAndTold(t, one)

	server.Kill()
	assert.Equal(t, map[string]int{sendsEvent: 100, sendsNothing: 100}, reportMany(one, 0, 200), "without Redis: own memory")
	assert.Positive(t, one.Stats().RedisBypassed)
	assert.Positive(t, one.Stats().RedisFailures)
	require.Eventually(t, func() bool { return len(host.reported()) == 1 }, wait, tick)

	server.Revive()
	require.Eventually(t, func() bool { return one.remote.up.Load() && two.remote.up.Load() }, wait, tick)
	require.Eventually(t, func() bool { return len(host.reported()) == 2 }, wait, tick)
	assert.Equal(t, []componentstatus.Status{componentstatus.StatusRecoverableError, componentstatus.StatusOK}, host.reported())
	assert.Len(t, logs.All(), 2, "one line when it fails, one when it recovers")
	// Although it came back empty, what was delivered in the meantime was written to it before it was read again.
	assert.Equal(t, map[string]int{sendsNothing: 100}, reportMany(two, 100, 200))
}

// TestReplicaThatWasAwayWritesFirst: while one replica was without Redis, it sent B to Amplitude. Redis still has the
// earlier A.
func TestReplicaThatWasAwayWritesFirst(t *testing.T) {
	server := redistest.Start(t)
	now := time.UnixMilli(testNow)
	host := &statusHost{}
	one, two := openReplica(t, host, server.Address, clockOf(&now)), openReplica(t, &statusHost{}, server.Address, clockOf(&now))
	assert.Equal(t, sendsEvent, report(one, "u", 1, testNow))
	settledAndTold(t, one)
	now = now.Add(time.Second)
	one.remote.fail(context.DeadlineExceeded)
	assert.Equal(t, sendsBoth, report(one, "u", 2, now.UnixMilli()))
	require.Eventually(t, func() bool { return len(host.reported()) == 2 }, wait, tick, "away, and back with all told")
	settledAndTold(t, one) // if it was back before it was asked
	now = now.Add(time.Second)
	assert.Equal(t, sendsNothing, report(one, "u", 2, now.UnixMilli()), "the old value in Redis did not replace the newer one")
	assert.Equal(t, sendsNothing, report(two, "u", 2, now.UnixMilli()))
	now = now.Add(time.Second)
	assert.Equal(t, sendsIdentify, report(two, "u", 1, now.UnixMilli()))
	settledAndTold(t, two)
	now = now.Add(time.Second)
	assert.Equal(t, sendsIdentify, report(one, "u", 2, now.UnixMilli()))
}

func TestRedisAwayAtTheStart(t *testing.T) {
	server := redistest.Start(t)
	server.Kill()
	l := openReplica(t, &statusHost{}, server.Address)
	assert.Equal(t, sendsEvent, report(l, "u", 1, testNow))
	assert.Equal(t, sendsNothing, report(l, "u", 1, testNow))
	server.Revive()
	require.Eventually(t, l.remote.up.Load, wait, tick)
	assert.Equal(t, sendsNothing, report(openReplica(t, &statusHost{}, server.Address), "u", 1, testNow))
}

func TestRedisWithPassword(t *testing.T) {
	server := redistest.Start(t, "--requirepass", "the right one")
	login := func(password string) func(*Settings) {
		return func(set *Settings) { set.Redis.Options.Password = password }
	}
	right := openReplica(t, &statusHost{}, server.Address, login("the right one"))
	assert.Equal(t, sendsEvent, report(right, "u", 1, testNow))
	assert.Zero(t, right.Stats().RedisFailures)

	core, logs := observer.New(zapcore.InfoLevel)
	host := &statusHost{}
	wrong := openReplica(t, host, server.Address, login("not this one"), func(set *Settings) { set.Logger = zap.New(core) })
	assert.Equal(t, sendsEvent, report(wrong, "u", 1, testNow), "forwarded")
	require.Eventually(t, func() bool { return len(host.reported()) == 1 }, wait, tick)
	require.Equal(t, 1, logs.Len())
	line := logs.All()[0]
	assert.Contains(t, line.ContextMap()["error"], "WRONGPASS")
	assert.NotContains(t, line.Message+line.ContextMap()["error"].(string), "not this one")
}

// TestSilentRedisCostsOneTimeout: Redis accepts connections but never answers. Only the batches that notice this wait
// for the timeout.
func TestSilentRedisCostsOneTimeout(t *testing.T) {
	server := redistest.Start(t)
	l := openReplica(t, &statusHost{}, server.Address, func(set *Settings) { set.Redis.Timeout = 50 * time.Millisecond })
	client := clientOf(t, server)
	require.NoError(t, client.Do(t.Context(), "CLIENT", "PAUSE", strconv.Itoa(int(time.Hour/time.Millisecond)), "ALL").Err())
	for i := range 1000 {
		assert.Equal(t, map[string]int{sendsEvent: 1}, reportMany(l, i, i+1))
	}
	assert.EqualValues(t, 1000, l.Stats().RedisBypassed, "every batch is decided without Redis")
	// Only the first lookup and the background probes fail, not each batch.
	assert.Less(t, l.Stats().RedisFailures, int64(100))
}

func TestRedisThatForgotTheScript(t *testing.T) {
	server := redistest.Start(t)
	one, two := openReplica(t, &statusHost{}, server.Address), openReplica(t, &statusHost{}, server.Address)
	require.NoError(t, clientOf(t, server).ScriptFlush(t.Context()).Err())
	report(one, "u", 1, testNow)
	settledAndTold(t, one)
	assert.Equal(t, sendsNothing, report(two, "u", 1, testNow))
	assert.Zero(t, one.Stats().RedisFailures)
}

// TestForeignKeysInRedis: a key with another type or format affects only itself.
func TestForeignKeysInRedis(t *testing.T) {
	for _, mode := range []string{"server", "cluster"} {
		t.Run(mode, func(t *testing.T) {
			address, options := startMode(t, mode)
			one, two := openReplica(t, &statusHost{}, address, options), openReplica(t, &statusHost{}, address, options)
			client := one.remote.store.(*redisStore).client
			put := map[string]func(key string) error{
				"list":  func(key string) error { return client.LPush(t.Context(), key, "x").Err() },
				"hash":  func(key string) error { return client.HSet(t.Context(), key, "x", "y").Err() },
				"empty": func(key string) error { return client.Set(t.Context(), key, "", 0).Err() },
				"short": func(key string) error { return client.Set(t.Context(), key, "AXL", 0).Err() },
				"newer": func(key string) error {
					return client.Set(t.Context(), key, "AXL2"+strings.Repeat("x", toldSize-4), 0).Err()
				},
				"huge":   func(key string) error { return client.Set(t.Context(), key, strings.Repeat("x", 1000), 0).Err() },
				"number": func(key string) error { return client.Incr(t.Context(), key).Err() },
			}
			for name, put := range put {
				user, dev := UserID(name), DeviceID(name)
				rec := exposure(name, 1, testNow)
				rec.Device = dev
				for _, key := range []string{
					one.remote.key(keyFact, user.fact(rec.Event, rec.Day)), one.remote.key(keyProperty, user.property(7)), one.remote.key(keyOwner, dev),
				} {
					require.NoError(t, put(key))
				}
				assert.Equal(t, sendsEvent, say2(one, rec, 1, testNow), name)
				settledAndTold(t, one)
				assert.Equal(t, sendsNothing, say2(two, rec, 1, testNow), name)
				assert.Equal(t, sendsNothing, say2(one, rec, 1, testNow), name)
			}
			assert.True(t, one.remote.up.Load())
			assert.Zero(t, one.Stats().RedisFailures+two.Stats().RedisFailures)
		})
	}
}

// startMode starts a single server, or a cluster of one.
func startMode(t *testing.T, mode string) (address string, option func(*Settings)) {
	t.Helper()
	if mode == "server" {
		return redistest.Start(t).Address, func(*Settings) {}
	}
	server := redistest.Start(t, "--cluster-enabled", "yes")
	client := clientOf(t, server)
	require.NoError(t, client.Do(t.Context(), "CLUSTER", "ADDSLOTSRANGE", "0", "16383").Err())
	require.Eventually(t, func() bool {
		info, err := client.ClusterInfo(t.Context()).Result()
		return err == nil && strings.Contains(info, "cluster_state:ok")
	}, wait, 10*tick)
	return server.Address, func(set *Settings) { set.Redis.Options.IsClusterMode = true }
}

func TestRedisCluster(t *testing.T) {
	address, cluster := startMode(t, "cluster")
	one, two := openReplica(t, &statusHost{}, address, cluster), openReplica(t, &statusHost{}, address, cluster)
	assert.Equal(t, map[string]int{sendsEvent: 500}, reportMany(one, 0, 500))
	settledAndTold(t, one)
	assert.Equal(t, map[string]int{sendsNothing: 500, sendsEvent: 100}, reportMany(two, 0, 600))
	assert.Zero(t, one.Stats().RedisFailures+two.Stats().RedisFailures)
}

func TestRedisSentinel(t *testing.T) {
	server := redistest.Start(t)
	file := filepath.Join(t.TempDir(), "sentinel.conf")
	require.NoError(t, os.WriteFile(file, []byte("sentinel monitor themaster 127.0.0.1 "+server.Port()+" 1\n"), 0o600))
	sentinel := redistest.Start(t, file, "--sentinel")
	one := openReplica(t, &statusHost{}, sentinel.Address, func(set *Settings) { set.Redis.Options.MasterName = "themaster" })
	two := openReplica(t, &statusHost{}, server.Address)
	assert.Equal(t, map[string]int{sendsEvent: 50}, reportMany(one, 0, 50))
	settledAndTold(t, one)
	assert.Equal(t, map[string]int{sendsNothing: 50}, reportMany(two, 0, 50))
	assert.Zero(t, one.Stats().RedisFailures)
}

// TestKilledWithRedis: if a replica is killed and loses everything, the other one, and the next process, still know
// what was delivered.
func TestKilledWithRedis(t *testing.T) {
	server := redistest.Start(t)
	one := openReplica(t, &statusHost{}, server.Address)
	assert.Equal(t, sendsEvent, report(one, "u", 1, testNow))
	assert.Equal(t, sendsBoth, report(one, "u", 2, testNow))
	settledAndTold(t, one)
	for _, next := range []*Ledger{openReplica(t, &statusHost{}, server.Address), openReplica(t, &statusHost{}, server.Address)} {
		assert.Equal(t, sendsNothing, report(next, "u", 2, testNow))
	}
	assert.Equal(t, sendsIdentify, report(openReplica(t, &statusHost{}, server.Address), "u", 1, testNow))
}

// TestRedisKnowsNothingOfTheQueue: events that a killed process left in its queue on disk still change a property, so
// the next process must not trust the value in Redis.
func TestRedisKnowsNothingOfTheQueue(t *testing.T) {
	server, kept := redistest.Start(t), newMemStorage()
	stored := func(set *Settings) { set.Storage, set.Scope = &storageID, "day UTC" }
	l := openReplica(t, kept, server.Address, stored)
	assert.Equal(t, sendsEvent, report(l, "u", 1, testNow-100))
	assert.Equal(t, sendsBoth, report(l, "u", 2, testNow-90))
	settledAndTold(t, l)
	r, v := reserveOne(l, exposure("u", 1, testNow-80), 1)
	require.Equal(t, sendsIdentify, answerOf(v))
	q := &queue{}
	logs := q.name(r, v)
	q.book.Claim(r.HandOver(t.Context()), logs)
	r.Accept()

	next := openReplica(t, kept.after(), server.Address, stored)
	assert.Equal(t, sendsIdentify, report(next, "u", 2, testNow-50), "the queue may have told Amplitude 1 meanwhile")
	settledAndTold(t, next)
	assert.Equal(t, sendsNothing, report(next, "u", 2, testNow-40))
	q.book.Close(t.Context(), true)
}
