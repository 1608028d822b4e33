// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package dedup // import "github.com/otelcol-amplitude/otelcol-amplitude/processor/amplitudeexperimentprocessor/internal/dedup"

import (
	"context"
	"fmt"
	"time"

	"go.opentelemetry.io/collector/extension/xextension/storage"
	"go.uber.org/zap"
)

// load reads the snapshot and the journal after it.
func (j *journal) load(ctx context.Context) error {
	begun := time.Now()
	kept, err := j.client.Get(ctx, metaKey)
	if err != nil {
		return fmt.Errorf("reading: %w", err)
	}
	if kept == nil {
		j.begin(ctx)
		return nil
	}
	if j.meta, err = readMeta(kept, j.scope); err != nil {
		return err
	}
	lost, alive := storage.GetOperation(lostKey), storage.GetOperation(aliveKey)
	if err := j.client.Batch(ctx, lost, alive); err != nil {
		return fmt.Errorf("reading: %w", err)
	}
	loader := newLoader(j.ledger)
	page := func(n uint64) string { return pageKey(j.meta.generation, n) }
	if _, err = j.read(ctx, page, 0, j.meta.pages, loader); err != nil {
		return err
	}
	j.snapshotSize = loader.bytes
	if j.next, err = j.read(ctx, blockKey, j.meta.first, unknownEnd, loader); err != nil {
		return err
	}
	j.written = loader.bytes - j.snapshotSize
	loader.finish()
	j.meta.life++
	j.life.Store(j.meta.life)
	if err = j.client.Set(ctx, metaKey, j.meta.encode()); err != nil {
		j.fail(err)
	}
	state, at, until, ok := readAlive(alive.Value)
	now, _ := j.ledger.now()
	j.ledger.former.until.Store(until)
	switch {
	case lost.Value != nil || !ok || (state != aliveStopped && max(now-at, at-now) > aliveLimit.Milliseconds()):
		j.logger.Warn("The stored de-duplication state may be incomplete. For a day, the first report of each property sets it again")
		j.ledger.distrust()
		j.lost, j.retryAt = true, time.Now()
	case state != aliveStopped:
		j.ledger.killed(max(loader.last, seconds(at)))
		fallthrough
	default:
		j.stamp(ctx, aliveRunning)
	}
	j.logger.Info("De-duplication state loaded",
		zap.Int64("entries", j.ledger.entries.Load()), zap.Int64("on_the_way", j.ledger.former.count.Load()), zap.Duration("duration", time.Since(begun)))
	return nil
}

// read loads the blocks from first up to end, or as many as there are if end is unknown. It returns the number after
// the last.
func (j *journal) read(ctx context.Context, key func(uint64) string, first, end uint64, loader *loader) (uint64, error) {
	n := first
	for n < end {
		ops := make([]*storage.Operation, 0, readAhead)
		for i := n; i < min(n+readAhead, end); i++ {
			ops = append(ops, storage.GetOperation(key(i)))
		}
		if err := j.client.Batch(ctx, ops...); err != nil {
			return n, fmt.Errorf("reading: %w", err)
		}
		for _, op := range ops {
			if op.Value == nil && end == unknownEnd {
				return n, nil
			}
			rows, err := openBlock(op.Value, j.meta.epoch)
			if err == nil {
				err = loader.load(rows)
			}
			if err != nil {
				return n, err
			}
			n++
		}
	}
	return n, nil
}
