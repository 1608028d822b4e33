// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudeexporter // import "github.com/otelcol-amplitude/otelcol-amplitude/exporter/amplitudeexporter"

import (
	"context"
	"iter"
	"slices"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/otel/metric"
	"go.uber.org/zap"

	"github.com/otelcol-amplitude/otelcol-amplitude/exporter/amplitudeexporter/internal/chunk"
	"github.com/otelcol-amplitude/otelcol-amplitude/exporter/amplitudeexporter/internal/event"
	"github.com/otelcol-amplitude/otelcol-amplitude/exporter/amplitudeexporter/internal/records"
)

var _ slowLaneExporter = (*amplitudeExporter)(nil)

// startSlowLane starts the slow lane, which uses the storage of the sending queue.
func (x *amplitudeExporter) startSlowLane(ctx context.Context, host component.Host) (err error) {
	err = x.tel.RegisterExporterAmplitudeSlowLaneEventsCallback(func(_ context.Context, o metric.Int64Observer) error {
		o.Observe(int64(x.slow.waiting()), x.tel.all)
		return nil
	})
	if err != nil {
		return err
	}
	var store *slowStore
	var left []*slowChunk
	if queue := x.cfg.QueueConfig.Get(); queue != nil && queue.StorageID != nil {
		store, left, err = openSlowStore(ctx, host, x.set.ID, *queue.StorageID, slowStoreName, func(number uint64, err error) {
			x.unreadable(storeSlowLane, err, zap.String("key", chunkKey(number)))
		})
		if err != nil {
			return err
		}
	}
	x.slow.start(store, left)
	return nil
}

// identify yields the user and device of each record, or zeros for one that this configuration no longer accepts.
func (x *amplitudeExporter) identify(refs iter.Seq[records.Ref]) iter.Seq2[records.Ref, [2]event.Identity] {
	return func(yield func(records.Ref, [2]event.Identity) bool) {
		all := slices.Collect(refs)
		ids := make([][2]event.Identity, len(all))
		c, done := x.lend(slices.Values(all))
		defer done()
		for _, part := range chunk.Whole(c) {
			for e := range part.Events() {
				ids[e.Record()] = [2]event.Identity{e.User, e.Device}
			}
		}
		for i, ref := range all {
			if !yield(ref, ids[i]) {
				return
			}
		}
	}
}

// attempt delivers events of the slow lane, in order and one request at a time, and settles the results.
func (x *amplitudeExporter) attempt(ctx context.Context, tries []slowTry) attemptResult {
	ctx, release := x.untilCut(ctx)
	defer release()
	b := x.getBatch()
	defer x.putBatch(b)
	c, done := x.lend(records.From(tries, func(t slowTry) records.Ref { return t.ref }))
	defer done()
	b.take(chunk.Whole(c))
	// at is the index in tries of an event.
	at := func(i int) uint32 { return b.events[i].number }
	indexes := make([]int32, len(b.events))
	for i := range indexes {
		indexes[i] = int32(i)
	}
	d := &delivery{sender: x.sender, batch: b, tries: x.slowTries, refused: &x.slowRefused}
	accepts := x.sender.accepts.Load()
	d.elsewhere = accepts != x.slowAccepts
	d.last = func(i int) bool { return x.isOver(tries[at(i)].since) }
	x.slowTries++
	if len(indexes) > 0 {
		d.run(ctx, [][]int32{indexes})
	}
	d.failures = func(i int) int { return tries[at(i)].failures }
	x.settle(ctx, d)
	x.slowAccepts = x.sender.accepts.Load()
	if d.accepted > 0 {
		x.slowTries = 0
		x.health.fine()
	}
	if d.failure != nil {
		x.health.holding(d.failure, len(tries))
	}
	others := stateEnded
	if len(b.rejected) > 0 {
		others = statePending
	}
	a := attemptResult{results: make([]eventResult, len(tries)), failure: d.failure, wait: d.wait}
	for i := range a.results {
		a.results[i].state = others
	}
	for i, e := range b.events {
		a.results[at(i)] = eventResult{e.state, e.wait}
	}
	return a
}

// giveUp ends events that cannot be delivered anymore.
func (x *amplitudeExporter) giveUp(ctx context.Context, refs []records.Ref, why event.Failure) {
	ctx = context.WithoutCancel(ctx)
	left := make([]undeliverable, len(refs))
	for i, ref := range refs {
		left[i] = undeliverable{origin{Ref: ref, receipt: records.Receipt(ref.Record)}, why}
	}
	if n, err := x.writeDeadLetters(ctx, left); err != nil {
		x.log.Error("Failed to write the dead letter file", zap.Error(err))
		x.drop(ctx, left[n:])
	}
}

func (x *amplitudeExporter) pauseEnds() time.Time { return x.sender.pauseEnds() }

func (x *amplitudeExporter) endPause() { x.sender.pausedUntil.Store(nil) }
