// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package bookkeeper // import "github.com/otelcol-amplitude/otelcol-amplitude/processor/amplitudeexperimentprocessor/internal/bookkeeper"

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/zeebo/xxh3"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/diagnostics"
)

const (
	// keyPart follows the configured prefix.
	keyPart = "diagnostics:"
	// tries is how often a write is attempted when another replica gets there first.
	tries = 5
	// syncTimeout bounds the exchange with Redis for all flags together.
	syncTimeout = 10 * time.Second
)

// shared merges a book with those of other replicas. For each flag, Redis holds everything that is known: a replica
// that knows more reads it, merges its own counts and writes it back, unless another replica has written in between;
// then it starts again.
type shared struct {
	*Settings
	client   redis.UniversalClient
	failures failures
	// told are the versions of the flags last written to Redis; seen are those last read from it.
	told map[string]uint64
	seen map[string]int64
}

func openShared(set *Settings) *shared {
	return &shared{Settings: set, client: set.Redis.Client(), told: map[string]uint64{}, seen: map[string]int64{}}
}

func (s *shared) indexKey() string { return s.Redis.KeyPrefix + keyPart + "flags" }

// keys are where Redis holds a flag and its version: in one slot of a cluster.
func (s *shared) keys(flag string) (content, version string) {
	content = s.Redis.KeyPrefix + keyPart + "{" + strconv.FormatUint(xxh3.HashString(flag), 16) + "}"
	return content, content + ":version"
}

// sync merges what other replicas know, and writes what they do not.
func (s *shared) sync(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, syncTimeout)
	defer cancel()
	s.failures.note(s.exchange(ctx), s.Logger, "Failed to share the flag counts through Redis; replicas count separately until it answers")
}

func (s *shared) exchange(ctx context.Context) error {
	flags := map[string]bool{}
	listed, err := s.client.SMembers(ctx, s.indexKey()).Result()
	if err != nil {
		return err
	}
	for _, flag := range listed {
		flags[flag] = true
	}
	var added []any
	for _, flag := range s.Book.Flags() {
		if !flags[flag] {
			flags[flag] = true
			added = append(added, flag)
		}
	}
	if len(added) > 0 {
		if err := s.client.SAdd(ctx, s.indexKey(), added...).Err(); err != nil {
			return err
		}
	}
	if err := s.client.PExpire(ctx, s.indexKey(), s.Forget).Err(); err != nil {
		return err
	}
	var errs []error
	for flag := range flags {
		err := s.flag(ctx, flag)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("flag %q: %w", flag, err))
		}
	}
	return errors.Join(errs...)
}

// flag exchanges one flag.
func (s *shared) flag(ctx context.Context, flag string) error {
	content, version := s.keys(flag)
	exchange := func(tx *redis.Tx) error {
		now, err := tx.Get(ctx, version).Int64()
		gone := errors.Is(err, redis.Nil)
		if err != nil && !gone {
			return err
		}
		if told, known := s.told[flag]; known && !gone && now == s.seen[flag] && told == s.Book.Version(flag, diagnostics.Shared) {
			return nil
		}
		there, err := tx.Get(ctx, content).Bytes()
		if err != nil && !errors.Is(err, redis.Nil) {
			return err
		}
		all, knows, news := s.Book.Exchange(flag, there, s.told[flag], s.Clock().UnixMilli())
		if all == nil {
			if !gone { // another replica counts it, or it is over: looked at again when it changes
				s.told[flag], s.seen[flag] = 0, now
				return nil
			}
			return s.drop(ctx, flag)
		}
		if !news {
			s.told[flag], s.seen[flag] = knows, now
			return nil
		}
		_, err = tx.TxPipelined(ctx, func(pipe redis.Pipeliner) error {
			pipe.Set(ctx, content, all, s.Forget)
			pipe.Incr(ctx, version)
			pipe.PExpire(ctx, version, s.Forget)
			return nil
		})
		if err == nil {
			s.told[flag], s.seen[flag] = knows, now+1
		}
		return err
	}
	for range tries {
		if err := s.client.Watch(ctx, exchange, content, version); !errors.Is(err, redis.TxFailedErr) {
			return err
		}
	}
	return nil // the next exchange tries again
}

// drop removes a flag that nobody counts anymore from the list.
func (s *shared) drop(ctx context.Context, flag string) error {
	delete(s.told, flag)
	delete(s.seen, flag)
	return s.client.SRem(ctx, s.indexKey(), flag).Err()
}
