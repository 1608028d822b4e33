// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudeexporter // import "github.com/otelcol-amplitude/otelcol-amplitude/exporter/amplitudeexporter"

import (
	"context"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/otel/metric"
	"go.uber.org/zap"

	"github.com/otelcol-amplitude/otelcol-amplitude/exporter/amplitudeexporter/internal/event"
)

// startDeadLetters opens the dead letter file, and the storage of the letters that wait for it, which is the sending
// queue's.
func (x *amplitudeExporter) startDeadLetters(ctx context.Context, host component.Host) (err error) {
	// Reported as 0 without a file, because it is part of a sum.
	err = x.tel.RegisterExporterAmplitudeDeadLettersWaitingCallback(func(_ context.Context, o metric.Int64Observer) error {
		o.Observe(int64(x.dead.waits()), x.tel.all)
		return nil
	})
	if err != nil {
		return err
	}
	if x.dead, err = openDeadLetters(x.cfg.DeadLetter, !x.cfg.senderWaits(), x.clock, x.log); err != nil || x.dead == nil {
		return err
	}
	// Check again now that the file exists: it may have two names.
	if err = deadLetterPaths.take(x, x.cfg.DeadLetter.Path); err != nil {
		return err
	}
	counts := func(outcome int) func(event.Reason, int) {
		return func(reason event.Reason, records int) {
			var one tally
			one[reason] = records
			x.count(context.Background(), outcome, &one)
		}
	}
	x.dead.written, x.dead.lost = counts(outcomeDeadLettered), counts(outcomeDropped)
	x.tel.ExporterAmplitudeDeadLettersDropped.Add(ctx, 0, x.tel.all)
	x.dead.file.dropped = func(file string, records int) {
		x.tel.ExporterAmplitudeDeadLettersDropped.Add(context.Background(), int64(records), x.tel.all)
		x.set.Logger.Warn("The oldest backup of the dead letter file was removed with the letters in it",
			zap.String("file", file), zap.Int("letters", records), zap.String("setting", "dead_letter::on_full: rotate"))
	}
	queue := x.cfg.QueueConfig.Get()
	if queue == nil || queue.StorageID == nil {
		return nil
	}
	store, left, err := openSlowStore(ctx, host, x.set.ID, *queue.StorageID, letterStoreName, func(number uint64, err error) {
		x.unreadable(storeDeadLetters, err, zap.String("key", chunkKey(number)))
	})
	if err != nil {
		return err
	}
	return x.dead.restore(store, left)
}
