// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudeexporter // import "github.com/otelcol-amplitude/otelcol-amplitude/exporter/amplitudeexporter"

import (
	"context"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"

	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.uber.org/zap"

	"github.com/otelcol-amplitude/otelcol-amplitude/exporter/amplitudeexporter/internal/event"
	"github.com/otelcol-amplitude/otelcol-amplitude/exporter/amplitudeexporter/internal/records"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/amplitude/receipts"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/printable"
)

// lookedAt is the exporter with its queue, and checks on the first batch where it came from.
type lookedAt struct {
	exporter.Logs
	log   *zap.Logger
	first sync.Once
}

// ConsumeLogs warns once about the components before the exporter.
func (l *lookedAt) ConsumeLogs(ctx context.Context, logs plog.Logs) error {
	l.first.Do(func() {
		if isBatched() {
			l.log.Warn("A batch processor before this exporter acknowledges events before any of them is on disk: remove it, sending_queue::batch does the same",
				zap.String("see", deliveryDocs+"#of-the-collectors-queue"))
		}
	})
	return l.Logs.ConsumeLogs(ctx, logs)
}

// claim claims events from the processor that registered them, before any of them can be delivered. Call unclaim if the
// queue does not accept them.
func (x *amplitudeExporter) claim(ctx context.Context, logs plog.Logs) (unclaim func()) {
	claimed := x.book.Claim(ctx, logs)
	if receipts.Listened() {
		for r := range records.All(logs) {
			if key := records.Receipt(r.Record); key != 0 {
				receipts.NotifyClaimed(key)
			}
		}
	}
	return func() { x.book.TakeBack(claimed) }
}

// isBatched reports whether a batch processor is on the call stack: a component cannot ask which ones precede it.
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

// settled reports the final outcome of an event.
func (x *amplitudeExporter) settled(key uint64, outcome receipts.Outcome) {
	if key != 0 {
		x.book.Settle(key, outcome)
	}
}

// settledAll reports the final outcome of each event of a batch in a state, and returns how many there are, and how
// many of them count toward event volume.
func (x *amplitudeExporter) settledAll(b *batch, in state, outcome receipts.Outcome) (count, billable int) {
	var keys []uint64
	for i := range b.events {
		if b.events[i].state != in {
			continue
		}
		count++
		if b.events[i].billable {
			billable++
		}
		if key := b.events[i].receipt; key != 0 {
			if keys == nil {
				keys = make([]uint64, 0, len(b.events)-i)
			}
			keys = append(keys, key)
		}
	}
	x.book.SettleAll(keys, outcome)
	return count, billable
}

// notifySettled informs listeners of the outcome of an event, with the reason if it is not delivered. It is called before the
// event is settled.
func (x *amplitudeExporter) notifySettled(key uint64, outcome receipts.Outcome, failure event.Failure) {
	if key != 0 && receipts.Listened() {
		receipts.NotifySettled(key, outcome, whyOf(failure))
	}
}

// notifyDelivered informs listeners of all delivered events of a batch.
func (x *amplitudeExporter) notifyDelivered(b *batch) {
	if x.cfg.DryRun || !receipts.Listened() {
		return
	}
	for i := range b.events {
		if b.events[i].state == stateDelivered {
			x.notifySettled(b.events[i].receipt, receipts.Delivered, event.Failure{})
		}
	}
}

// notifyAnswered informs listeners of a request with these events, and of its answer.
func (s *sender) notifyAnswered(b *batch, indexes []int32, res *response, bytes int, took time.Duration) {
	if !receipts.Listened() {
		return
	}
	keys := make([]uint64, len(indexes))
	for n, i := range indexes {
		keys[n] = b.events[i].receipt
	}
	receipts.NotifyAnswered(keys, &receipts.Answer{
		Exporter: s.id, Status: res.word(), Text: res.text, Bytes: bytes, Took: took,
		Event: func(n int) []byte {
			return b.events[indexes[n]].json
		},
	})
}

// whyOf describes a failure in one line; "" if there is none.
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

// unanswered notes that events were sent, and that it is unknown whether they arrived.
func (s *sender) unanswered(b *batch, indexes []int32) {
	for _, i := range indexes {
		if key := b.events[i].receipt; key != 0 {
			s.book.Unanswered(key)
		}
	}
}
