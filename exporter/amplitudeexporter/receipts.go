// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudeexporter // import "github.com/otelcol-amplitude/otelcol-amplitude/exporter/amplitudeexporter"

import (
	"context"
	"runtime"
	"strconv"
	"strings"
	"sync"

	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.uber.org/zap"

	"github.com/otelcol-amplitude/otelcol-amplitude/exporter/amplitudeexporter/internal/event"
	"github.com/otelcol-amplitude/otelcol-amplitude/exporter/amplitudeexporter/internal/records"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/amplitude"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/amplitude/receipts"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/printable"
)

// claiming is the exporter with its queue, which claims the events that it takes from whoever registered them.
type claiming struct {
	exporter.Logs
	book *receipts.Book
	log  *zap.Logger
	// first is used up by the first batch, whose way here is looked at.
	first sync.Once
}

// ConsumeLogs claims the events before any of them can be delivered.
func (c *claiming) ConsumeLogs(ctx context.Context, logs plog.Logs) error {
	c.first.Do(func() {
		if isBatched() {
			c.log.Warn("A batch processor before this exporter acknowledges events before any of them is on disk: leave it out, sending_queue::batch does its work",
				zap.String("see", deliveryDocs+"#of-the-collectors-queue"))
		}
	})
	claimed := c.book.Claim(ctx, logs)
	if receipts.Listened() {
		for r := range records.All(logs) {
			if key, ok := keyOf(r.Record); ok {
				receipts.TellClaimed(key)
			}
		}
	}
	err := c.Logs.ConsumeLogs(ctx, logs)
	if err != nil {
		c.book.TakeBack(claimed)
	}
	return err
}

// isBatched tells whether a batch processor is among the callers. A component is not told of its neighbors.
func isBatched() bool {
	const deepest = 64
	var callers [deepest]uintptr
	frames := runtime.CallersFrames(callers[:runtime.Callers(1, callers[:])])
	for {
		frame, more := frames.Next()
		if strings.Contains(frame.Function, "/batchprocessor.") {
			return true
		}
		if !more {
			return false
		}
	}
}

// keyOf is what the event of a record is claimed and settled by.
func keyOf(record plog.LogRecord) (key uint64, ok bool) {
	id, ok := record.Attributes().Get(amplitude.AttrInsertID)
	if !ok {
		return 0, false
	}
	return receipts.Key(id.Str()), true
}

// settled tells what became of an event, for good.
func (x *amplitudeExporter) settled(record plog.LogRecord, outcome receipts.Outcome) {
	if key, ok := keyOf(record); ok {
		x.book.Settle(key, outcome)
	}
}

// settledAll tells for each event of a batch in a state what became of it, for good, and returns how many there are.
func (x *amplitudeExporter) settledAll(b *batch, in state, outcome receipts.Outcome) (count int) {
	var keys []uint64
	for i := range b.events {
		if b.events[i].state != in {
			continue
		}
		count++
		if key := b.events[i].receipt; key != 0 {
			if keys == nil {
				keys = make([]uint64, 0, len(b.events)-i)
			}
			keys = append(keys, key)
		}
	}
	x.book.SettleAll(keys, outcome)
	return count
}

// tell tells whoever listens what becomes of an event, with the reason if it is not delivered. Of that it is called before
// the event is settled.
func (x *amplitudeExporter) tell(record plog.LogRecord, outcome receipts.Outcome, failure event.Failure) {
	if !receipts.Listened() {
		return
	}
	if key, ok := keyOf(record); ok {
		receipts.TellSettled(key, outcome, whyOf(failure))
	}
}

// tellDelivered tells of all events of a batch that Amplitude has.
func (x *amplitudeExporter) tellDelivered(b *batch) {
	if x.cfg.DryRun || !receipts.Listened() {
		return
	}
	for i := range b.events {
		if b.events[i].state == stateDelivered {
			x.tell(b.events[i].Record, receipts.Delivered, event.Failure{})
		}
	}
}

// whyOf puts a failure into one line; "" if there is none.
func whyOf(failure event.Failure) string {
	if failure.Reason == 0 {
		return ""
	}
	words := []string{failure.Reason.String()}
	if failure.Field != "" {
		words = append(words, printable.Text(failure.Field))
	}
	if failure.Status != 0 {
		words = append(words, strconv.Itoa(failure.Status))
	}
	return strings.Join(words, " ")
}

// unanswered notes that events were sent, and that nobody knows whether they arrived.
func (s *sender) unanswered(b *batch, indexes []int32) {
	for _, i := range indexes {
		if key := b.events[i].receipt; key != 0 {
			s.book.Unanswered(key)
		}
	}
}
