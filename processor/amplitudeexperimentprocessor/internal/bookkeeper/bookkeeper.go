// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

// Package bookkeeper keeps the processor's counts of flags across restarts, on a storage extension, and merges them
// with the counts of other replicas through Redis.
package bookkeeper // import "github.com/otelcol-amplitude/otelcol-amplitude/processor/amplitudeexperimentprocessor/internal/bookkeeper"

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.uber.org/zap"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/diagnostics"
	"github.com/otelcol-amplitude/otelcol-amplitude/processor/amplitudeexperimentprocessor/internal/dedup"
)

// DefaultInterval is how often changes are written and shared, and so how much a kill may lose.
const DefaultInterval = 30 * time.Second

// Settings configure where a book is kept.
type Settings struct {
	Book *diagnostics.Book
	// Owner is the component that owns the book; it names the storage.
	Owner component.ID
	// Storage is the storage extension; nil keeps the book in memory only.
	Storage *component.ID
	// Redis shares the book between replicas; nil does not share it.
	Redis *dedup.RedisSettings
	// Forget is how long Redis keeps what nobody writes.
	Forget time.Duration
	// Interval is how often changes are written; zero means DefaultInterval.
	Interval time.Duration
	// Clock gives the arrival time.
	Clock  func() time.Time
	Logger *zap.Logger
}

// Keeper keeps a book.
type Keeper struct {
	set    Settings
	disk   *disk   // nil without storage
	shared *shared // nil without Redis

	quit    chan struct{}
	done    sync.WaitGroup
	closing sync.Once
}

// New makes a Keeper. It opens nothing before Start.
func New(set Settings) *Keeper {
	if set.Interval <= 0 {
		set.Interval = DefaultInterval
	}
	return &Keeper{set: set, quit: make(chan struct{})}
}

// Start reads the stored counts and those of other replicas, then reads and writes in the background. A missing
// storage extension is an error; unreadable counts are counted and logged.
func (k *Keeper) Start(ctx context.Context, host component.Host) error {
	if k.set.Storage != nil {
		disk, err := openDisk(ctx, host, &k.set)
		if err != nil {
			return err
		}
		k.disk = disk
		k.disk.load(ctx)
	}
	if k.set.Redis != nil {
		k.shared = openShared(&k.set)
		k.shared.sync(ctx)
	}
	k.done.Go(k.run)
	return nil
}

func (k *Keeper) run() {
	ticker := time.NewTicker(k.set.Interval)
	defer ticker.Stop()
	for {
		select {
		case <-k.quit:
			return
		case <-ticker.C:
			k.Keep(context.Background())
		}
	}
}

// Keep writes what has changed, and merges what other replicas have written.
func (k *Keeper) Keep(ctx context.Context) {
	k.set.Book.Expire(k.set.Clock().UnixMilli())
	if k.shared != nil {
		k.shared.sync(ctx)
	}
	if k.disk != nil {
		k.disk.save(ctx)
	}
}

// Shutdown writes what is left, and closes storage and Redis.
func (k *Keeper) Shutdown(ctx context.Context) (err error) {
	k.closing.Do(func() {
		close(k.quit)
		k.done.Wait()
		k.last(ctx)
		if k.shared != nil {
			err = k.shared.client.Close()
		}
		if k.disk != nil {
			if closing := k.disk.client.Close(ctx); err == nil {
				err = closing
			}
		}
	})
	return err
}

// lastTries is how often a shutdown tries to share what Redis did not accept.
const lastTries = 3

// last writes what is left. The other replicas lose what Redis does not accept by then.
func (k *Keeper) last(ctx context.Context) {
	k.Keep(ctx)
	for n := 1; n < lastTries && k.shared != nil && k.shared.failures.failing && ctx.Err() == nil; n++ {
		k.shared.sync(ctx)
	}
}

// StorageFailures is the number of operations that the storage refused.
func (k *Keeper) StorageFailures() int64 {
	if k.disk == nil {
		return 0
	}
	return k.disk.failures.Load()
}

// RedisFailures is how often Redis was unavailable or too slow.
func (k *Keeper) RedisFailures() int64 {
	if k.shared == nil {
		return 0
	}
	return k.shared.failures.Load()
}

// failures counts failures, and logs the first of a series.
type failures struct {
	atomic.Int64
	failing bool
}

func (f *failures) note(err error, log *zap.Logger, message string) {
	if err == nil {
		f.failing = false
		return
	}
	f.Add(1)
	if !f.failing {
		log.Warn(message, zap.Error(err))
	}
	f.failing = true
}
