// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudeexporter // import "github.com/otelcol-amplitude/otelcol-amplitude/exporter/amplitudeexporter"

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/otelcol-amplitude/otelcol-amplitude/exporter/amplitudeexporter/internal/chunk"
	"github.com/otelcol-amplitude/otelcol-amplitude/exporter/amplitudeexporter/internal/event"
	"github.com/otelcol-amplitude/otelcol-amplitude/exporter/amplitudeexporter/internal/records"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/amplitude/receipts"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/printable"
)

// settle decides what becomes of each event of a delivery: delivered, undeliverable, or, if it stays pending, retried.
// What cannot be written to the dead letter file stays: events as pending, other records in batch.rejected.
func (x *amplitudeExporter) settle(ctx context.Context, d *delivery) {
	x.judgeSuspects(d)
	delivered, billable := x.settledAll(d.batch, stateDelivered, receipts.Delivered)
	if x.cfg.DryRun {
		x.tel.events(ctx, outcomeDryRun, delivered)
		x.log.Info("Dry run: nothing was sent", zap.Int("events", delivered), zap.Int("billable", billable), zap.Int("bytes", d.batch.bytes))
		x.showEvent(d.batch)
	} else if delivered > 0 {
		x.tel.events(ctx, outcomeDelivered, delivered)
		x.tel.billable(ctx, billable)
		x.health.firstDelivery(delivered)
	}
	x.notifyDelivered(d.batch)
	var ignored tally
	d.batch.rejected = slices.DeleteFunc(d.batch.rejected, func(r undeliverable) bool {
		if r.Reason.MeantAsEvent() {
			return false
		}
		ignored[r.Reason]++
		x.notifySettled(r.receipt, receipts.NotDelivered, r.Failure)
		x.settled(r.receipt, receipts.Delivered) // as if a filter before the exporter had removed it
		if r.Reason == event.ReasonNotAllowed {
			x.unknown.Do(func() {
				d.batch.locate(&r.origin)
				x.explainNotAllowed(r.Ref)
			})
		}
		return true
	})
	x.count(ctx, outcomeIgnored, &ignored)
	x.endRetries(ctx, d)
}

// endRetries gives up what is still pending after the last attempt, and ends what is undeliverable.
func (x *amplitudeExporter) endRetries(ctx context.Context, d *delivery) {
	var dead []undeliverable
	var of []*batchEvent
	for i := range d.batch.events {
		e := &d.batch.events[i]
		if e.state == statePending && d.last != nil && d.last(i) {
			e.state, e.failure = stateUndeliverable, event.Failure{Reason: event.ReasonRetriesEnded, Status: d.status}
			if d.stopping {
				e.failure.Reason = event.ReasonShutdown
			}
		}
		if e.state == stateUndeliverable {
			dead = append(dead, undeliverable{e.origin, e.failure})
			of = append(of, e)
		}
	}
	dead = append(dead, d.batch.rejected...)
	if x.dead != nil {
		for i := range dead {
			d.batch.locate(&dead[i].origin)
		}
	}
	written, err := x.writeDeadLetters(context.WithoutCancel(ctx), dead)
	if err != nil {
		d.fail(err, 0)
	}
	for i, e := range of {
		e.state = stateEnded
		if i >= written {
			e.state = statePending
		}
	}
	d.batch.rejected = slices.Delete(d.batch.rejected, 0, min(len(d.batch.rejected), max(0, written-len(of))))
}

// writeDeadLetters hands undeliverable records to the dead letter file, if there is one, which counts them once they
// are written. It returns how many are finished.
func (x *amplitudeExporter) writeDeadLetters(ctx context.Context, dead []undeliverable) (int, error) {
	if len(dead) == 0 {
		return 0, nil
	}
	outcome, written := outcomeDropped, len(dead)
	var err error
	if x.dead != nil {
		outcome = outcomeDeadLettered
		if written, err = x.dead.write(ctx, dead); err != nil {
			err = fmt.Errorf("failed to write the dead letter file: %w", err)
		}
	}
	var ended tally
	for _, u := range dead[:written] {
		ended[u.Reason]++
		x.notifySettled(u.receipt, receipts.NotDelivered, u.Failure)
		x.settled(u.receipt, receipts.NotDelivered)
	}
	if x.dead == nil {
		x.count(ctx, outcome, &ended)
	}
	if written > ended[event.ReasonShutdown] {
		first := dead[slices.IndexFunc(dead, func(u undeliverable) bool { return u.Reason != event.ReasonShutdown })]
		x.log.Warn("Events could not be delivered", zap.Int("events", written), zap.String("outcome", outcomeNames[outcome]),
			zap.Stringer("first_reason", first.Reason), zap.String("field", printable.Text(first.Field)), zap.Int("status", first.Status))
	}
	return written, err
}

// tooLarge ends a record that is larger than the whole sending queue, which could never accept it.
func (x *amplitudeExporter) tooLarge(ctx context.Context, parts chunk.Parts) error {
	b := x.getBatch()
	defer x.putBatch(b)
	b.take(parts)
	x.tel.losses(ctx, &b.lost)
	d := &delivery{sender: x.sender, batch: b, refused: new(int)}
	for i := range b.events {
		d.markUndeliverable(int32(i), event.Failure{Reason: event.ReasonTooLarge})
		x.log.Warn("An event is larger than the sending queue, which can never accept it", zap.Int64("queue_size", x.cfg.QueueConfig.Get().QueueSize),
			zap.String("hint", "raise sending_queue::queue_size, which sizer: bytes counts in bytes"))
	}
	x.settle(ctx, d)
	return x.leftOver(ctx, d)
}

// lose ends what is left and will not be retried: the dead letter file cannot be written.
func (x *amplitudeExporter) lose(ctx context.Context, d *delivery) {
	left := d.batch.rejected
	for i := range d.batch.events {
		if e := &d.batch.events[i]; e.state == statePending {
			e.state = stateEnded
			left = append(left, undeliverable{e.origin, e.failure})
		}
	}
	d.batch.rejected = nil
	x.drop(ctx, left)
}

// drop ends events that cannot even be written to the dead letter file.
func (x *amplitudeExporter) drop(ctx context.Context, lost []undeliverable) {
	if len(lost) == 0 {
		return
	}
	var by tally
	for _, u := range lost {
		by[u.Reason]++
		x.notifySettled(u.receipt, receipts.NotDelivered, u.Failure)
		x.settled(u.receipt, receipts.NotDelivered)
	}
	x.count(ctx, outcomeDropped, &by)
	x.set.Logger.Error("Events are lost: the dead letter file cannot be written", zap.Int("events", len(lost)))
}

// sayStopped logs what became of the events that were in memory at the shutdown and are gone now.
func (x *amplitudeExporter) sayStopped() {
	x.mu.Lock()
	kept, dropped := x.stopped[outcomeDeadLettered], x.stopped[outcomeDropped]
	x.mu.Unlock()
	if kept > 0 {
		x.set.Logger.Warn("Events in memory at shutdown could not be delivered; they are in the dead letter file",
			zap.Int("events", kept), zap.String("hint", "set sending_queue::storage to keep them across restarts; otelcol-amplitude-replay sends them again"))
	}
	if dropped > 0 {
		// Same wording as exporterhelper's, because people may search for it.
		x.set.Logger.Error("Dropping data: events in memory at shutdown could not be delivered",
			zap.Int("dropped_items", dropped), zap.String("hint", "set sending_queue::storage to keep them across restarts, or dead_letter::path to have them in a file"))
	}
}

// tally is a number of records by reason.
type tally [event.ReasonCount]int

// count counts records that end here, and explains those that are not allowed.
func (x *amplitudeExporter) count(ctx context.Context, outcome int, by *tally) {
	for r, n := range by {
		if n == 0 {
			continue
		}
		x.tel.events(ctx, outcome, n)
		x.tel.undelivered(ctx, event.Reason(r), n)
		if event.Reason(r) == event.ReasonShutdown {
			x.mu.Lock()
			x.stopped[outcome] += n
			x.mu.Unlock()
		}
		if outcome == outcomeIgnored {
			x.log.Info("Skipped records that are not events for this exporter", zap.Int("records", n), zap.Stringer("reason", event.Reason(r)))
		}
	}
}

// explainNotAllowed logs what to do about a record whose event name is not allowed. Usually, the processor is missing.
func (x *amplitudeExporter) explainNotAllowed(p records.Ref) {
	service := zap.Skip()
	if name, ok := p.Resource.Resource().Attributes().Get("service.name"); ok {
		service = zap.String("service", printable.Text(name.AsString()))
	}
	x.set.Logger.Warn("A record is not sent because `events` does not allow its event name: put the processor amplitude_experiment "+
		"before this exporter, in the same pipeline; to send the record unchanged, add its name to `events`: then everything under `amplitude.` takes effect, including user properties",
		zap.String("event_name", printable.Text(p.Record.EventName())), service)
}

// judgeSuspects decides about events that were refused, or failed, on their own. If anything else got through before
// that, the event is to blame. If nothing did, the sender may be to blame, and the events are retried: until it has
// happened to several consecutive batches if Amplitude refuses, forever if something in between does.
func (x *amplitudeExporter) judgeSuspects(d *delivery) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if d.accepted > 0 {
		*d.refused = 0
	}
	if d.refusal == nil {
		return
	}
	guilty := d.accepted > 0
	switch byAmplitude := d.refusal.action == actionBisect; {
	case guilty, !byAmplitude:
	case *d.refused+1 < refusedBatches:
		*d.refused++
		d.fail(errors.New("amplitude refuses every request"), refusalWait)
	default:
		*d.refused = 0
		guilty = true
	}
	for i := range d.batch.events {
		e := &d.batch.events[i]
		switch {
		case e.state == stateFailing && d.failures != nil && d.failures(i)+1 >= maxFailures:
			e.state = stateUndeliverable
		case e.state != stateSuspect:
		case guilty && e.failure.Reason != event.ReasonFailing && (!e.early || d.accepted == 0):
			e.state = stateUndeliverable
		default:
			// A failure before anything got through may have been an outage that is over.
			e.state = statePending
			d.hold(*d.refusal)
		}
	}
}

// setAside moves a batch that fails repeatedly as a whole to the slow lane, so that the next batch shows whether the
// batch or the connection is to blame. One batch at a time: while nothing gets through, the next is set aside after
// twice as many attempts, and never more than a fraction of the slow lane.
func (x *amplitudeExporter) setAside(d *delivery) {
	if x.asideTries == 0 || d.accepted > 0 || x.sender.accepts.Load() != x.asideAccepts {
		x.asideTries, x.asideAccepts = firstAside, x.sender.accepts.Load()
	}
	if d.accepted > 0 || d.prober == nil || x.cfg.senderWaits() || d.tries+1 < x.asideTries || len(d.batch.events) > max(1, x.cfg.SlowLane.MaxEvents/asidePart) {
		return
	}
	x.asideTries *= 2
	for i := range d.batch.events {
		if e := &d.batch.events[i]; e.state == statePending {
			e.state, e.wait, e.failure = stateFailing, slowBackOff, event.Failure{Reason: event.ReasonFailing, Status: d.status}
		}
	}
	x.log.Info("A batch fails repeatedly; it is retried in the slow lane, and the next one shows whether others get through",
		zap.Int("events", len(d.batch.events)), zap.Int("tries", d.tries+1), zap.Error(d.failure))
}

const (
	// firstAside is the number of attempts after which a batch is set aside.
	firstAside = 10
	// asideAfter is how long it must have been retried before that.
	asideAfter = 3 * time.Second
	// asidePart is the fraction of the slow lane that a batch may fill.
	asidePart = 10
)
