// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package dedup // import "github.com/otelcol-amplitude/otelcol-amplitude/processor/amplitudeexperimentprocessor/internal/dedup"

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/collector/extension/xextension/storage"
	"go.uber.org/zap"
)

const (
	// flushInterval is how long a commit may wait for the storage, and so how much a crash may lose.
	flushInterval = 50 * time.Millisecond
	// syncTimeout is how long a batch that changes a result waits for its row to be stored.
	syncTimeout = 250 * time.Millisecond
	// flushSize is how many bytes make the journal write immediately.
	flushSize = 256 << 10
	// bufferSize is how much may wait for a slow storage; beyond it, a snapshot has to make up for the loss.
	bufferSize = 16 << 20
	// The last block of the journal is rewritten with more rows, up to this size.
	tailSize = 64 << 10
	// blockSize bounds a block, so that no storage has to accept a huge value.
	blockSize = 1 << 20
	pageSize  = 256 << 10
	// The journal is replaced by a snapshot when it outgrows both this and the last snapshot.
	minCompaction = 1 << 20
	// After a failure a snapshot is retried, with these pauses.
	minRetry = time.Second
	maxRetry = time.Minute

	// If a storage failed for longer than this before a kill, or a process was away for longer, the stored state is
	// not trusted.
	aliveLimit = 10 * time.Minute

	unknownEnd = math.MaxUint64

	metaKey = "meta"
	// lostKey exists while the storage lacks changes, provided that it could store even that.
	lostKey = "lost"
	// aliveKey says up to when the storage had everything, and whether the process shut down after that.
	aliveKey    = "alive"
	readAhead   = 16
	deleteBatch = 256
)

// journal keeps the ledger in a storage extension. Changes are appended to blocks as rows, off the path of the
// records; a snapshot of the whole state replaces the blocks once they have grown.
type journal struct {
	ledger *Ledger
	client storage.Client
	logger *zap.Logger
	// patience is syncTimeout, or longer in tests that need what is stored.
	patience time.Duration

	failures atomic.Int64
	life     atomic.Uint64 // counts the processes that used the storage

	mu      sync.Mutex
	buffer  []byte
	spare   []byte
	waiters []chan struct{}
	closed  bool
	lost    bool // the storage lacks changes that only a snapshot can make up for

	dirty  chan struct{}
	urgent chan struct{}
	quit   chan struct{}
	done   chan struct{}

	// Used only by the writing goroutine.
	meta         meta
	scope        string
	next         uint64 // block to write next
	tail         []byte
	written      int // bytes of journal since the snapshot
	snapshotSize int
	retryAt      time.Time
	retryPause   time.Duration
	warned       bool
}

func newJournal(l *Ledger, client storage.Client) *journal {
	return &journal{
		ledger:   l,
		client:   client,
		logger:   l.set.Logger,
		patience: syncTimeout,
		scope:    l.scope(),
		dirty:    make(chan struct{}, 1),
		urgent:   make(chan struct{}, 1),
		quit:     make(chan struct{}),
		done:     make(chan struct{}),
	}
}

func pageKey(generation, n uint64) string {
	return "page/" + strconv.FormatUint(generation, 10) + "/" + strconv.FormatUint(n, 10)
}

func blockKey(n uint64) string { return "journal/" + strconv.FormatUint(n, 10) }

// start reads the stored state, then writes in the background until shutdown.
func (j *journal) start(ctx context.Context) {
	if err := j.load(ctx); err != nil {
		j.failures.Add(1)
		j.logger.Warn("Failed to load the de-duplication state; starting without it. For a day, the first report "+
			"of each property sets it again", zap.Error(err))
		j.ledger.clear()
		j.ledger.distrust()
		j.clean(ctx)
	}
	go j.run() //nolint:gosec // it outlives the start, and ends with shutdown
}

// begin starts an empty journal.
func (j *journal) begin(ctx context.Context) {
	epoch := rand.Uint64() //nolint:gosec // distinguishes journals, not a secret
	// Numbering starts where no other journal has blocks, in case the storage cannot be cleaned.
	j.meta = meta{epoch: epoch, generation: epoch >> 16, first: epoch >> 16, scope: j.scope}
	j.next, j.tail, j.written, j.snapshotSize = j.meta.first, nil, 0, 0
	if err := j.client.Set(ctx, metaKey, j.meta.encode()); err != nil {
		j.fail(err)
		return
	}
	j.stamp(ctx, aliveRunning)
}

// stamp records that the storage has everything.
func (j *journal) stamp(ctx context.Context, state byte) {
	now, _ := j.ledger.now()
	if err := j.client.Set(ctx, aliveKey, encodeAlive(state, now, j.ledger.former.until.Load())); err != nil {
		j.fail(err)
	}
}

// clean deletes what cannot be used.
func (j *journal) clean(ctx context.Context) {
	if walker, ok := j.client.(storage.Walker); ok {
		err := walker.Walk(ctx, func(key string, _ []byte) ([]*storage.Operation, error) {
			return []*storage.Operation{storage.DeleteOperation(key)}, nil
		})
		if err != nil {
			j.fail(err)
		}
	}
	j.begin(ctx)
}

// add appends the row of a change. It never blocks on the storage.
func (j *journal) add(row []byte) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.closed || j.lost {
		return
	}
	if len(j.buffer) > bufferSize {
		j.lost = true
		j.buffer = j.buffer[:0]
		signal(j.urgent)
		return
	}
	if len(j.buffer) == 0 {
		signal(j.dirty)
	}
	j.buffer = append(j.buffer, row...)
	if len(j.buffer) >= flushSize {
		signal(j.urgent)
	}
}

// sync waits until everything added so far is written, for a bounded time.
func (j *journal) sync(ctx context.Context) {
	written := make(chan struct{})
	j.mu.Lock()
	if j.closed || j.lost {
		j.mu.Unlock()
		return
	}
	j.waiters = append(j.waiters, written)
	j.mu.Unlock()
	signal(j.urgent)

	timeout := time.NewTimer(j.patience)
	defer timeout.Stop()
	select {
	case <-written:
	case <-ctx.Done():
	case <-timeout.C:
		j.failures.Add(1)
	}
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

func (j *journal) run() {
	defer close(j.done)
	timer := time.NewTimer(max(0, time.Until(j.retryAt))) // immediately, unless a failure delays it
	defer timer.Stop()
	alive := false // it is time for a stamp
	raises := time.NewTicker(raiseInterval)
	defer raises.Stop()
	for {
		select {
		case <-j.dirty:
			timer.Reset(flushInterval)
			continue
		case <-raises.C:
			j.ledger.writeRaised()
			alive = true
		case <-timer.C:
		case <-j.urgent:
		case <-j.quit:
			j.flush()
			if j.lacks() {
				j.compact()
			}
			if !j.lacks() {
				j.stamp(context.Background(), aliveStopped)
			}
			return
		}
		j.flush()
		j.compactIfDue()
		if alive && !j.lacks() {
			j.stamp(context.Background(), aliveRunning)
		}
		alive = false
		if !j.retryAt.IsZero() {
			timer.Reset(max(0, time.Until(j.retryAt)))
		}
	}
}

func (j *journal) shutdown(ctx context.Context) error {
	j.mu.Lock()
	if j.closed {
		j.mu.Unlock()
		return nil
	}
	j.mu.Unlock()
	j.ledger.writeRaised()
	j.mu.Lock()
	j.closed = true
	j.mu.Unlock()
	close(j.quit)
	select {
	case <-j.done:
		return j.client.Close(ctx)
	case <-ctx.Done():
		return fmt.Errorf("storing the de-duplication state: %w", ctx.Err())
	}
}

// flush writes what was added. If the storage fails, a later snapshot makes up for it.
func (j *journal) flush() {
	j.mu.Lock()
	rows, waiters, lost := j.buffer, j.waiters, j.lost
	j.buffer, j.spare, j.waiters = j.spare[:0], nil, nil
	j.mu.Unlock()

	ctx := context.Background()
	for rest := rows; len(rest) > 0 && !lost; {
		room := tailSize - len(j.tail)
		if len(rest) > tailSize {
			room = blockSize
		}
		chunk := rest[:wholeRows(rest, room)]
		if j.tail == nil || len(chunk) == 0 {
			j.tail = newBlock(j.tail, j.meta.epoch)
			j.next++
			chunk = rest[:max(rowSize(rest), wholeRows(rest, max(tailSize, room)))]
		}
		rest = rest[len(chunk):]
		j.tail = append(j.tail, chunk...)
		if err := j.client.Set(ctx, blockKey(j.next-1), bytes.Clone(seal(j.tail))); err != nil {
			j.fail(err)
			break
		}
		j.written += len(chunk)
	}

	j.mu.Lock()
	j.spare = rows[:0]
	j.mu.Unlock()
	for _, waiter := range waiters {
		close(waiter)
	}
}

// fail notes that the storage lacks changes.
func (j *journal) fail(err error) {
	j.failures.Add(1)
	j.mu.Lock()
	j.lost = true
	j.buffer = j.buffer[:0]
	j.mu.Unlock()
	// If the process dies before a snapshot makes up for it, the next process has to know.
	_ = j.client.Set(context.Background(), lostKey, []byte{1}) // best effort: it fails like the rest, or helps
	j.retryPause = min(max(minRetry, 2*j.retryPause), maxRetry)
	j.retryAt = time.Now().Add(j.retryPause)
	if !j.warned {
		j.warned = true
		j.logger.Warn("Failed to store the de-duplication state; continuing from memory", zap.Error(err))
	}
}

// lacks reports whether the storage lacks changes.
func (j *journal) lacks() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.lost
}

func (j *journal) compactIfDue() {
	if j.lacks() {
		if !time.Now().Before(j.retryAt) {
			j.compact()
		}
		return
	}
	if j.written > max(minCompaction, j.snapshotSize) {
		j.compact()
	}
}

// compact writes a snapshot and drops the journal before it. A crash at any moment leaves either the old or the new
// one intact: the meta entry decides which one is valid.
func (j *journal) compact() {
	ctx := context.Background()
	old, oldNext := j.meta, j.next
	// From here on, changes go to blocks that come after the snapshot.
	j.mu.Lock()
	j.lost = false
	j.mu.Unlock()
	j.tail, j.written = nil, 0
	fresh := meta{epoch: old.epoch, generation: old.generation + 1, first: oldNext, life: old.life, scope: j.scope}

	size, failed := 0, false
	page := newBlock(nil, fresh.epoch)
	write := func(least int) {
		if failed || len(page) <= least {
			return
		}
		if err := j.client.Set(ctx, pageKey(fresh.generation, fresh.pages), bytes.Clone(seal(page))); err != nil {
			j.fail(err)
			failed = true
			return
		}
		fresh.pages++
		size += len(page)
		page = newBlock(page, fresh.epoch)
		j.flush()
	}
	j.ledger.snapshot(func(row []byte) { page = append(page, row...) }, func() { write(pageSize) })
	write(headerSize)
	if !failed {
		if err := j.client.Batch(ctx, storage.SetOperation(metaKey, fresh.encode()), storage.DeleteOperation(lostKey)); err != nil {
			j.fail(err)
			failed = true
		}
	}
	if failed {
		j.drop(ctx, fresh.generation, fresh.pages, 0, 0)
		return
	}
	j.meta, j.snapshotSize = fresh, size
	j.retryAt, j.retryPause, j.warned = time.Time{}, 0, false
	j.drop(ctx, old.generation, old.pages, old.first, oldNext)
}

// drop deletes blocks that are no longer valid. A failure only costs space.
func (j *journal) drop(ctx context.Context, generation, pages, first, next uint64) {
	var ops []*storage.Operation
	for n := range pages {
		ops = append(ops, storage.DeleteOperation(pageKey(generation, n)))
	}
	for n := first; n < next; n++ {
		ops = append(ops, storage.DeleteOperation(blockKey(n)))
	}
	for len(ops) > 0 {
		batch := ops[:min(len(ops), deleteBatch)]
		ops = ops[len(batch):]
		if err := j.client.Batch(ctx, batch...); err != nil {
			j.failures.Add(1)
			return
		}
	}
}
