// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package dedup // import "github.com/otelcol-amplitude/otelcol-amplitude/processor/amplitudeexperimentprocessor/internal/dedup"

import (
	"context"
	_ "embed"
	"errors"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

const (
	redisMagic = "AXL1"
	// keysPerCommand bounds a command, so that one batch does not occupy Redis for long.
	keysPerCommand = 500
	connectTimeout = time.Second
)

//go:embed update.lua
var updateSource string

var errScripts = errors.New("redis refused the script")

// shared is the state that replicas share. Each call is one round trip.
type shared interface {
	// get returns the values of the keys, "" for missing ones.
	get(ctx context.Context, keys []string) ([]string, error)
	// add adds facts, and returns which of them existed before.
	add(ctx context.Context, keys []string) (existed []bool, err error)
	// update writes what was sent to Amplitude.
	update(ctx context.Context, updates []update) error
	// probe checks whether everything needed answers.
	probe(ctx context.Context) error
	close() error
}

// update is one thing for the other replicas to know: a property, a doubt about one, a fact, or, with a user, the last
// user on a device.
type update struct {
	key          string
	fact         bool
	value        uint64
	sure, doubt  bool
	told, newest int64
	user         ID
}

// redisStore implements shared with one Redis server, a cluster or sentinels.
type redisStore struct {
	client  redis.UniversalClient
	script  *redis.Script
	cluster bool
	ttl     time.Duration
}

// Client returns a client that waits for one timeout only, and connects on first use.
func (set *RedisSettings) Client() redis.UniversalClient {
	options := set.Options
	options.MaxRetries = -1 // a batch waits once
	// The context of a batch bounds what takes longer than the timeout.
	longest := max(set.Timeout, connectTimeout)
	options.DialTimeout = longest
	options.DialerRetries = 1
	options.ReadTimeout, options.WriteTimeout, options.PoolTimeout = longest, longest, set.Timeout
	options.ContextTimeoutEnabled = true
	options.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	return redis.NewUniversalClient(&options)
}

func openRedis(set RedisSettings, ttl time.Duration) *redisStore {
	s := &redisStore{client: set.Client(), script: redis.NewScript(updateSource), ttl: ttl}
	_, s.cluster = s.client.(*redis.ClusterClient)
	return s
}

func (s *redisStore) close() error { return s.client.Close() }

func (s *redisStore) get(ctx context.Context, keys []string) ([]string, error) {
	pipe := s.client.Pipeline()
	var lists []*redis.SliceCmd
	var singles []*redis.StringCmd
	if s.cluster {
		for _, key := range keys {
			singles = append(singles, pipe.Get(ctx, key))
		}
	} else {
		for rest := keys; len(rest) > 0; {
			chunk := rest[:min(len(rest), keysPerCommand)]
			rest = rest[len(chunk):]
			lists = append(lists, pipe.MGet(ctx, chunk...))
		}
	}
	if _, err := pipe.Exec(ctx); err != nil && !nothing(err) {
		return nil, err
	}
	values := make([]string, 0, len(keys))
	for _, list := range lists {
		found, err := list.Result()
		if err != nil {
			return nil, err
		}
		for _, value := range found {
			text, _ := value.(string)
			values = append(values, text)
		}
	}
	for _, single := range singles {
		value, err := single.Result()
		if err != nil && !nothing(err) {
			return nil, err
		}
		values = append(values, value)
	}
	return values, nil
}

// nothing reports whether a key is missing or holds something that no replica wrote.
func nothing(err error) bool {
	return errors.Is(err, redis.Nil) || redis.HasErrorPrefix(err, "WRONGTYPE")
}

func (s *redisStore) add(ctx context.Context, keys []string) ([]bool, error) {
	pipe := s.client.Pipeline()
	set := make([]*redis.BoolCmd, len(keys))
	for i, key := range keys {
		set[i] = pipe.SetNX(ctx, key, redisMagic, s.ttl)
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return nil, err
	}
	existed := make([]bool, len(keys))
	var there []string
	for i := range set {
		if existed[i] = !set[i].Val(); existed[i] {
			there = append(there, keys[i])
		}
	}
	if len(there) == 0 {
		return existed, nil
	}
	return existed, s.checkFacts(ctx, keys, existed, there)
}

// checkFacts checks what is stored under the keys of facts, and replaces what is not a fact.
func (s *redisStore) checkFacts(ctx context.Context, keys []string, existed []bool, there []string) error {
	values, err := s.get(ctx, there)
	if err != nil {
		return err
	}
	pipe := s.client.Pipeline()
	at := 0
	for i, key := range keys {
		if !existed[i] {
			continue
		}
		if values[at] != redisMagic {
			existed[i] = false
			pipe.Set(ctx, key, redisMagic, s.ttl)
		}
		at++
	}
	if pipe.Len() == 0 {
		return nil
	}
	_, err = pipe.Exec(ctx)
	return err
}

func (s *redisStore) update(ctx context.Context, updates []update) error {
	err := s.updateOnce(ctx, updates)
	if err != nil && redis.HasErrorPrefix(err, "NOSCRIPT") {
		if err = s.script.Load(ctx, s.client).Err(); err == nil {
			err = s.updateOnce(ctx, updates)
		}
	}
	return err
}

func (s *redisStore) updateOnce(ctx context.Context, updates []update) error {
	flag := func(b bool) int {
		if b {
			return 1
		}
		return 0
	}
	pipe := s.client.Pipeline()
	for i := range updates {
		u := &updates[i]
		if u.fact {
			pipe.SetNX(ctx, u.key, redisMagic, s.ttl)
			continue
		}
		if u.user != (ID{}) {
			pipe.Set(ctx, u.key, append([]byte(redisMagic), appendID(nil, u.user)...), s.ttl)
			continue
		}
		s.script.EvalSha(ctx, pipe, []string{u.key}, le.AppendUint64(nil, u.value), flag(u.sure), u.told, u.newest, flag(u.doubt), s.ttl.Milliseconds())
	}
	_, err := pipe.Exec(ctx)
	return err
}

func (s *redisStore) probe(ctx context.Context) error {
	if err := s.client.Ping(ctx).Err(); err != nil {
		return err
	}
	if err := s.script.Load(ctx, s.client).Err(); err != nil {
		return errors.Join(errScripts, err)
	}
	return nil
}

// told is a property as the other replicas know it.
type told struct {
	value        uint64
	sure         bool
	told, newest int64
}

const toldSize = len(redisMagic) + 8 + 1 + 8 + 8

func (t *told) encode() string {
	b := le.AppendUint64([]byte(redisMagic), t.value)
	sure := byte(0)
	if t.sure {
		sure = 1
	}
	b = append(b, sure)
	return string(le.AppendUint64(le.AppendUint64(b, uint64(t.told)), uint64(t.newest)))
}

func readTold(text string) (t told, ok bool) {
	if len(text) != toldSize || text[:len(redisMagic)] != redisMagic {
		return t, false
	}
	b := []byte(text[len(redisMagic):])
	return told{value: le.Uint64(b), sure: b[8] != 0, told: int64(le.Uint64(b[9:])), newest: int64(le.Uint64(b[17:]))}, true
}

func readOwner(text string) (user ID, ok bool) {
	if len(text) != len(redisMagic)+idSize || text[:len(redisMagic)] != redisMagic {
		return ID{}, false
	}
	return readID([]byte(text[len(redisMagic):])), true
}
