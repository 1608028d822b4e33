// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package dedup // import "github.com/otelcol-amplitude/otelcol-amplitude/processor/amplitudeexperimentprocessor/internal/dedup"

import (
	"context"
	"errors"
	"fmt"
	"math/bits"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/extension/xextension/storage"
	"go.uber.org/zap"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/freelist"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/storageclient"
)

const (
	// maxShards is the number of parts with a lock of their own.
	maxShards = 64
	// A state this small is kept in one part, so that max_entries and the order of eviction are exact.
	oneShardEntries = 4096
	// maxIdle bounds the reservations that wait to be used again.
	maxIdle = 64
	// Below this many slots the index fits the cache and is not worth warming.
	warmIndex = 4096
)

var errMaxEntries = errors.New("max_entries must be positive")

// State remembers what was sent. It is safe for concurrent use, and one State may serve several pipelines.
type State struct {
	set    Settings
	forget uint32 // seconds
	seed   seed
	shift  uint8 // what of a hash is left to choose the shard
	shards []shard
	idle   freelist.List[*Reservation]

	batches atomic.Uint64
	entries atomic.Int64
	evicted atomic.Int64
	expired atomic.Int64

	lifecycle sync.Mutex
	users     int
	journal   *journal // nil without storage
	remote    *remote  // nil without Redis
}

// New makes a State. It keeps nothing and connects to nothing before Start.
func New(set Settings) (*State, error) {
	if set.MaxEntries <= 0 {
		return nil, errMaxEntries
	}
	if set.Forget <= 0 {
		set.Forget = DefaultForget
	}
	if set.Clock == nil {
		set.Clock = time.Now
	}
	if set.Logger == nil {
		set.Logger = zap.NewNop()
	}
	count := maxShards
	if set.MaxEntries <= oneShardEntries {
		count = 1
	}
	s := &State{
		set:    set,
		forget: seconds(set.Forget.Milliseconds()),
		seed:   newSeed(),
		shift:  uint8(64 - bits.TrailingZeros(uint(count))),
		shards: make([]shard, count),
		idle:   freelist.New[*Reservation](maxIdle),
	}
	for i := range s.shards {
		s.shards[i].table.seed = s.seed
	}
	if set.Redis != nil {
		s.remote = newRemote(s, *set.Redis)
	}
	return s, nil
}

// Start reads back what the storage kept and connects to Redis. Each pipeline that uses the State
// calls it once; the first call does the work. A Redis that is away does not fail it.
func (s *State) Start(ctx context.Context, host component.Host) error {
	s.lifecycle.Lock()
	defer s.lifecycle.Unlock()
	if s.users == 0 {
		if err := s.openJournal(ctx, host); err != nil {
			return err
		}
		if s.remote != nil {
			s.remote.start(host)
		}
	}
	s.users++
	return nil
}

func (s *State) openJournal(ctx context.Context, host component.Host) error {
	if s.set.Storage == nil {
		return nil
	}
	found, ok := host.GetExtensions()[*s.set.Storage]
	if !ok {
		return fmt.Errorf("storage extension %q not found", s.set.Storage)
	}
	extension, ok := found.(storage.Extension)
	if !ok {
		return fmt.Errorf("extension %q is not a storage extension", s.set.Storage)
	}
	client, err := storageclient.Open(ctx, extension, *s.set.Storage, component.KindProcessor, s.set.Owner, "dedup")
	if err != nil {
		return err
	}
	s.journal = newJournal(s, client)
	s.journal.start(ctx)
	return nil
}

// Shutdown writes what is to be kept. The last of the pipelines that started the State ends it;
// without Start, and once more afterward, it does nothing.
func (s *State) Shutdown(ctx context.Context) error {
	s.lifecycle.Lock()
	defer s.lifecycle.Unlock()
	if s.users == 0 {
		return nil
	}
	s.users--
	if s.users > 0 {
		return nil
	}
	var errs []error
	if s.remote != nil {
		errs = append(errs, s.remote.shutdown())
	}
	if s.journal != nil {
		errs = append(errs, s.journal.shutdown(ctx))
	}
	return errors.Join(errs...)
}

// Stats are counts since New, and the present number of entries.
type Stats struct {
	// Entries are remembered now.
	Entries int64
	// Evicted entries made room below max_entries; Expired ones were not touched for long enough.
	Evicted, Expired int64
	// StorageFailures counts writes and reads of the storage that failed.
	StorageFailures int64
	// RedisFailures counts round trips to Redis that failed; RedisBypassed counts the batches decided without it.
	RedisFailures, RedisBypassed int64
}

// Stats reads the counts.
func (s *State) Stats() Stats {
	stats := Stats{Entries: s.entries.Load(), Evicted: s.evicted.Load(), Expired: s.expired.Load()}
	if s.journal != nil {
		stats.StorageFailures = s.journal.failures.Load()
	}
	if s.remote != nil {
		stats.RedisFailures, stats.RedisBypassed = s.remote.failures.Load(), s.remote.bypassed.Load()
	}
	return stats
}

// scope names what is kept or shared: only states of one scope can be compared.
func (s *State) scope() string { return strconv.Itoa(int(s.set.Mode)) + " " + s.set.Scope }

func (s *State) shardOf(k id) uint32 { return s.seed.shard(k.hi, s.shift) }

// idOf is the subject of a record, or in the mode unique_per_day the very result: remembered once
// and never changing, it is a repeat whatever came between.
func (s *State) idOf(rec *Record) id {
	k := rec.Subject.id()
	if s.set.Mode == UniquePerDay {
		return k.sent(rec.Bucket, rec.Result)
	}
	return k
}
