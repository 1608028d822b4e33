// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudeexporter // import "github.com/otelcol-amplitude/otelcol-amplitude/exporter/amplitudeexporter"

import (
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/otelcol-amplitude/otelcol-amplitude/exporter/amplitudeexporter/internal/chunk"
	"github.com/otelcol-amplitude/otelcol-amplitude/exporter/amplitudeexporter/internal/event"
	"github.com/otelcol-amplitude/otelcol-amplitude/exporter/amplitudeexporter/internal/records"
)

// state is what has become of an event of a batch.
type state uint8

const (
	// statePending: not delivered yet; if that does not change, the event is retried.
	statePending state = iota
	stateDelivered
	stateUndeliverable
	// stateEnded: undeliverable, written to the dead letter file or dropped, and counted.
	stateEnded
	stateThrottled
	// stateFailing: it failed on its own while others got through, and is retried separately.
	stateFailing
	// stateSuspect: refused on its own, but nothing else was accepted either; see judgeSuspects.
	stateSuspect
)

// batchEvent is one event of a batch.
type batchEvent struct {
	origin
	// json is the JSON of the event, a slice of its chunk.
	json         []byte
	user, device event.Identity
	// billable: it counts toward event volume.
	billable bool
	// happened returns the event's time, or 0 if it has none.
	happened pcommon.Timestamp
	state    state
	// wait is how long a throttled event has to rest.
	wait time.Duration
	// beyond: it is in the slow lane, beyond the share of its user or device.
	beyond bool
	// failure is why an undeliverable, failing or suspect event failed.
	failure event.Failure
	// early: a suspect that was refused before anything was accepted.
	early bool
}

// origin is where an event, or a record that cannot become one, comes from.
type origin struct {
	// Ref is the record. If the chunk does not hold its records, only the arrival time is set until batch.locate.
	records.Ref
	chunk *chunk.Chunk
	// number is the number of the record in the chunk.
	number uint32
	// receipt is the key of the event's receipt, or 0 without an insert_id.
	receipt uint64
}

// undeliverable is a record that cannot be delivered, and why.
type undeliverable struct {
	origin
	event.Failure
}

// batch is a set of encoded events in order, and the records that are not events.
type batch struct {
	events []batchEvent
	// bytes is the size of their JSON.
	bytes    int
	rejected []undeliverable
	records  int
	// lost are the values that were left out of the events and have not been counted yet.
	lost event.Losses
	// decoded are the records of the chunks that had to be decoded.
	decoded map[*chunk.Chunk][]records.Ref
	// unreadable is called if the records of a chunk cannot be decoded.
	unreadable func(error)
}

// take appends encoded events, and the records that cannot become events.
func (b *batch) take(parts chunk.Parts) {
	for _, part := range parts {
		for cause, n := range part.Lost() {
			b.lost[cause] += n
		}
		b.records += part.Records()
		for e, json := range part.Events() {
			b.bytes += len(json)
			b.events = append(b.events, batchEvent{
				origin: origin{Ref: part.Ref(e.Record()), chunk: part.Chunk, number: e.Record(), receipt: e.Receipt},
				json:   json, user: e.User, device: e.Device, billable: e.Billable(), happened: e.Happened,
			})
		}
		for r := range part.Rejected() {
			from := origin{Ref: part.Ref(r.Record), chunk: part.Chunk, number: r.Record, receipt: r.Receipt}
			b.rejected = append(b.rejected, undeliverable{from, r.Failure})
		}
	}
}

// locate finds the record of an event again.
func (b *batch) locate(o *origin) {
	if o.Record != (plog.LogRecord{}) {
		return
	}
	refs, known := b.decoded[o.chunk]
	if !known {
		var err error
		if refs, err = o.chunk.Refs(); err != nil {
			b.unreadable(err)
		}
		b.decoded[o.chunk] = refs
	}
	o.Ref = refs[o.number]
}

// reset empties the batch and releases the records.
func (b *batch) reset() {
	clear(b.events)
	clear(b.rejected)
	clear(b.decoded)
	b.events, b.bytes, b.rejected, b.records, b.lost = b.events[:0], 0, b.rejected[:0], 0, event.Losses{}
}

// size returns the length of an event's JSON.
func (b *batch) size(i int32) int {
	return len(b.events[i].json)
}
