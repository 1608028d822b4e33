// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudeexporter // import "github.com/otelcol-amplitude/otelcol-amplitude/exporter/amplitudeexporter"

import (
	"iter"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/otelcol-amplitude/otelcol-amplitude/exporter/amplitudeexporter/internal/event"
	"github.com/otelcol-amplitude/otelcol-amplitude/exporter/amplitudeexporter/internal/records"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/amplitude"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/amplitude/receipts"
)

// state is what has become of an event of a batch.
type state uint8

const (
	// statePending: not delivered yet; when the batch ends like this, the event is tried again.
	statePending state = iota
	stateDelivered
	stateUndeliverable
	// stateEnded: undeliverable, written to the dead letter file or dropped, and counted.
	stateEnded
	stateThrottled
	// stateFailing: it failed alone while others got through, and is tried again apart from them.
	stateFailing
	// stateSuspect: refused when it was alone, but nothing was accepted either; see judgeSuspects.
	stateSuspect
)

// batchEvent is one event of a batch: its JSON is batch.json[start:end].
type batchEvent struct {
	records.Ref
	start, end   int
	user, device event.Identity
	// receipt is the key of the event's receipt, 0 without an insert_id.
	receipt uint64
	// billable tells that it counts toward event volume.
	billable bool
	state    state
	// wait is how long a throttled event has to rest.
	wait time.Duration
	// beyond tells that it is in the slow lane beyond the share of its user or device.
	beyond bool
	// failure is why an undeliverable, failing or suspect event failed.
	failure event.Failure
	// early tells of a suspect that it was refused before anything was accepted.
	early bool
}

// happened is the event's time, 0 if it has none.
func (e *batchEvent) happened() pcommon.Timestamp {
	if at := e.Record.Timestamp(); at != 0 {
		return at
	}
	return e.Record.ObservedTimestamp()
}

// batch is a set of encoded events in order, and the records that are no events.
type batch struct {
	encoder *event.Encoder
	// maxEvent is the size from which an event cannot be sent even alone.
	maxEvent int
	json     []byte
	events   []batchEvent
	rejected []undeliverable
	records  int
}

// undeliverable is a record that cannot be delivered, and why.
type undeliverable struct {
	records.Ref
	event.Failure
}

// addLogs encodes all records of logs.
func (b *batch) addLogs(refs iter.Seq[records.Ref]) {
	for ref := range refs {
		b.add(ref)
	}
}

// add encodes one record.
func (b *batch) add(ref records.Ref) {
	b.records++
	start := len(b.json)
	json, user, device, failed := b.encoder.Encode(b.json, ref.Record)
	if failed.Reason == 0 && len(json)-start > b.maxEvent {
		failed = event.Failure{Reason: event.ReasonTooLarge}
	}
	if failed.Reason != 0 {
		b.rejected = append(b.rejected, undeliverable{ref, failed})
		return
	}
	b.json = json
	e := batchEvent{Ref: ref, start: start, end: len(json), user: user, device: device, billable: amplitude.Billable(ref.Record.EventName())}
	if id, ok := b.encoder.InsertID(); ok {
		e.receipt = receipts.Key(id)
	}
	b.events = append(b.events, e)
}

// reset empties the batch and lets go of the records.
func (b *batch) reset() {
	clear(b.events)
	clear(b.rejected)
	b.json, b.events, b.rejected, b.records = b.json[:0], b.events[:0], b.rejected[:0], 0
	b.encoder.Lost = event.Losses{}
	b.encoder.Forget()
}

// size is the length of an event's JSON.
func (b *batch) size(i int32) int {
	return b.events[i].end - b.events[i].start
}
