// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

// Package bookkeeper keeps what the processor counts of flags over a restart, on a storage extension, and brings it together
// with what other replicas count, through Redis.
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

// DefaultInterval is how often what has changed is written and shared: what a kill may lose of the counts.
const DefaultInterval = 30 * time.Second

// Settings say where a book is kept.
type Settings struct {
	Book *diagnostics.Book
	// Owner is the component whose book it is; it names the storage.
	Owner component.ID
	// Storage is the storage extension; nil means that the book is in memory only.
	Storage *component.ID
	// Redis shares the book between replicas; nil means that it is not shared.
	Redis *dedup.RedisSettings
	// Forget is how long Redis keeps what nobody writes.
	Forget time.Duration
	// Interval is how often what has changed is written; zero means DefaultInterval.
	Interval time.Duration
	// Clock tells the time of arrival.
	Clock  func() time.Time
	Logger *zap.Logger
}

// Keeper keeps a book.
type Keeper struct {
	set    Settings
	disk   *disk   // nil without a storage
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

// Start reads what was kept and what other replicas know, then writes and reads in the background. A storage extension that is not there
// is an error; what cannot be read is counted and told to the log.
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

// Keep writes what has changed, and takes up what other replicas have written.
func (k *Keeper) Keep(ctx context.Context) {
	k.set.Book.Expire(k.set.Clock().UnixMilli())
	if k.shared != nil {
		k.shared.sync(ctx)
	}
	if k.disk != nil {
		k.disk.save(ctx)
	}
}

// Shutdown writes what is left, and closes what is open.
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

// lastTries is how often a stop tries to share what Redis did not take.
const lastTries = 3

// last keeps what is left. What Redis does not take then is lost to the other replicas.
func (k *Keeper) last(ctx context.Context) {
	k.Keep(ctx)
	for n := 1; n < lastTries && k.shared != nil && k.shared.failures.failing && ctx.Err() == nil; n++ {
		k.shared.sync(ctx)
	}
}

// StorageFailures are how often the storage refused something.
func (k *Keeper) StorageFailures() int64 {
	if k.disk == nil {
		return 0
	}
	return k.disk.failures.Load()
}

// RedisFailures are how often Redis was away or too slow.
func (k *Keeper) RedisFailures() int64 {
	if k.shared == nil {
		return 0
	}
	return k.shared.failures.Load()
}

// failures are counted, and the first of a row is told to the log.
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
