// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package bookkeeper_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/extension/xextension/storage"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/diagnostics"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/pattern"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/redistest"
	"github.com/otelcol-amplitude/otelcol-amplitude/processor/amplitudeexperimentprocessor/internal/bookkeeper"
	"github.com/otelcol-amplitude/otelcol-amplitude/processor/amplitudeexperimentprocessor/internal/dedup"
)

var now = time.UnixMilli(1_768_478_400_000)

const (
	patience = time.Minute
	often    = 10 * time.Millisecond
)

func newBook() *diagnostics.Book {
	return diagnostics.NewBook(diagnostics.Settings{
		Flags: pattern.NewList([]string{"*"}), MaxFlags: 10, MaxVariants: 5, MaxAllVariants: 50, MaxPersons: 1000, Forget: time.Hour,
	})
}

func expose(b *diagnostics.Book, flag, user string) {
	b.Expose(&diagnostics.Exposure{Flag: flag, Variant: "on", Person: diagnostics.PersonOf(user, ""), Time: now.UnixMilli()}, now.UnixMilli())
}

// persons returns the number of persons of a flag, 0 if it is not counted.
func persons(b *diagnostics.Book, flag string) int {
	for _, c := range b.Read() {
		if c.Flag == flag {
			return c.Persons
		}
	}
	return 0
}

func settings(b *diagnostics.Book) bookkeeper.Settings {
	return bookkeeper.Settings{
		Book: b, Owner: component.MustNewID("amplitude_experiment"), Forget: time.Hour, Interval: often,
		Clock: func() time.Time { return now }, Logger: zap.NewNop(),
	}
}

func start(t *testing.T, set bookkeeper.Settings, host component.Host) *bookkeeper.Keeper {
	t.Helper()
	k := bookkeeper.New(set)
	require.NoError(t, k.Start(t.Context(), host))
	t.Cleanup(func() { assert.NoError(t, k.Shutdown(context.Background())) })
	return k
}

// TestReplicasExchange their counts, even after Redis was unavailable and came back empty, and whatever it contains.
func TestReplicasExchange(t *testing.T) {
	server := redistest.Start(t)
	books := []*diagnostics.Book{newBook(), newBook()}
	core, logs := observer.New(zap.WarnLevel)
	var keepers []*bookkeeper.Keeper
	for _, b := range books {
		set := settings(b)
		set.Logger = zap.New(core)
		set.Redis = &dedup.RedisSettings{Options: redis.UniversalOptions{Addrs: []string{server.Address}}, KeyPrefix: "test:", Timeout: 5 * time.Second}
		keepers = append(keepers, start(t, set, componenttest.NewNopHost()))
	}
	both := func(flag string, n int) {
		t.Helper()
		require.Eventually(t, func() bool { return persons(books[0], flag) == n && persons(books[1], flag) == n }, patience, often)
	}
	expose(books[0], "f", "user-1")
	expose(books[1], "f", "user-1")
	expose(books[1], "f", "user-2")
	both("f", 2)
	expose(books[1], "g", "user-1")
	both("g", 1)

	server.Kill()
	require.Eventually(t, func() bool { return keepers[0].RedisFailures() > 0 && keepers[1].RedisFailures() > 0 }, patience, often)
	expose(books[0], "f", "user-3")
	server.Revive()
	both("f", 3)
	assert.NotEmpty(t, logs.FilterMessageSnippet("Failed to share the flag counts").All())
	assert.Zero(t, keepers[0].StorageFailures())

	client := redis.NewClient(&redis.Options{Addr: server.Address})
	defer func() { require.NoError(t, client.Close()) }()
	keys, err := client.Keys(t.Context(), "test:diagnostics:*").Result()
	require.NoError(t, err)
	for _, key := range keys {
		if kind, err := client.Type(t.Context(), key).Result(); err == nil && kind == "string" {
			require.NoError(t, client.Set(t.Context(), key, "7", time.Hour).Err())
		}
	}
	expose(books[1], "f", "user-4")
	both("f", 4)
}

// TestRedisForgets: counts that were not updated for long enough also expire in Redis, and do not come back with the
// next exposure.
func TestRedisForgets(t *testing.T) {
	server := redistest.Start(t)
	var at atomic.Int64
	at.Store(now.UnixMilli())
	var books []*diagnostics.Book
	for range 2 {
		b := newBook()
		set := settings(b)
		set.Clock = func() time.Time { return time.UnixMilli(at.Load()) }
		set.Redis = &dedup.RedisSettings{Options: redis.UniversalOptions{Addrs: []string{server.Address}}, KeyPrefix: "test:", Timeout: 5 * time.Second}
		start(t, set, componenttest.NewNopHost())
		books = append(books, b)
	}
	told := func(b *diagnostics.Book, flag, user string) {
		b.Expose(&diagnostics.Exposure{Flag: flag, Variant: "on", Person: diagnostics.PersonOf(user, ""), Time: at.Load()}, at.Load())
	}
	both := func(flag string, n int) {
		t.Helper()
		require.Eventually(t, func() bool { return persons(books[0], flag) == n && persons(books[1], flag) == n }, patience, often)
	}
	told(books[0], "over", "user-1")
	told(books[0], "lives", "user-1")
	both("over", 1)
	both("lives", 1)
	for minutes := range 4 { // the second replica only hears of it from the first, which sees nobody new
		at.Add((20 * time.Minute).Milliseconds())
		told(books[0], "lives", "user-1")
		told(books[0], "clock", fmt.Sprint("user-", minutes))
		both("clock", minutes+1)
	}
	both("lives", 1)
	told(books[1], "over", "user-2")
	for _, marker := range []string{"first", "second"} { // what arrives with the second is seen after everything that came before the first
		told(books[1], marker, "user-1")
		both(marker, 1)
	}
	assert.Equal(t, 1, persons(books[0], "over"))
	assert.Equal(t, 1, persons(books[1], "over"))
}

// kept is a storage extension in memory that can fail.
type kept struct {
	component.StartFunc
	component.ShutdownFunc
	mu     sync.Mutex
	values map[string][]byte
	fails  error
}

func (k *kept) GetClient(context.Context, component.Kind, component.ID, string) (storage.Client, error) {
	return k, nil
}

func (k *kept) Get(_ context.Context, key string) ([]byte, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.values[key], k.fails
}

func (k *kept) Set(_ context.Context, key string, value []byte) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.fails == nil {
		k.values[key] = append([]byte{}, value...)
	}
	return k.fails
}

func (k *kept) Delete(_ context.Context, key string) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.values, key)
	return k.fails
}

func (*kept) Batch(context.Context, ...*storage.Operation) error { return errors.ErrUnsupported }
func (*kept) Close(context.Context) error                        { return nil }

func (k *kept) fail(err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.fails = err
}

func (k *kept) has(key string) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.values[key] != nil
}

type extensions map[component.ID]component.Component

func (e extensions) GetExtensions() map[component.ID]component.Component { return e }

// TestStorage keeps the counts, survives failures, and drops what has expired.
func TestStorage(t *testing.T) {
	id := component.MustNewID("memory_storage")
	disk := &kept{values: map[string][]byte{}}
	life := func(b *diagnostics.Book) *bookkeeper.Keeper {
		set := settings(b)
		set.Storage = &id
		return start(t, set, extensions{id: disk})
	}
	first := newBook()
	k := life(first)
	expose(first, "f", "user-1")
	expose(first, "g", "user-1")
	require.Eventually(t, func() bool { return disk.has("flag/f") && disk.has("flag/g") }, patience, often)
	disk.fail(errors.New("full"))
	expose(first, "f", "user-2")
	require.Eventually(t, func() bool { return k.StorageFailures() > 0 }, patience, often)
	disk.fail(nil)
	require.NoError(t, k.Shutdown(t.Context()))

	second := newBook()
	require.NoError(t, life(second).Shutdown(t.Context()))
	assert.Equal(t, 2, persons(second, "f"))
	assert.Equal(t, 1, persons(second, "g"))

	require.NoError(t, disk.Set(t.Context(), "flag/f", []byte("garbage")))
	third := newBook()
	k = life(third)
	assert.Zero(t, persons(third, "f"))
	assert.Equal(t, 1, persons(third, "g"), "damaged data does not affect its neighbors")
	assert.EqualValues(t, 1, k.StorageFailures())
	require.NoError(t, k.Shutdown(t.Context()))

	nothing := diagnostics.NewBook(diagnostics.Settings{Flags: pattern.NewList([]string{"other"}), MaxFlags: 1, Forget: time.Hour})
	require.NoError(t, life(nothing).Shutdown(t.Context()))
	assert.False(t, disk.has("flag/g"), "what is no longer counted is removed")
	assert.Equal(t, "[]", string(disk.values["flags"]))
}
