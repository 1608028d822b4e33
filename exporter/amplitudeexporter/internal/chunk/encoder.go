// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package chunk // import "github.com/otelcol-amplitude/otelcol-amplitude/exporter/amplitudeexporter/internal/chunk"

import (
	"bytes"
	"cmp"
	"iter"
	"slices"

	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/otelcol-amplitude/otelcol-amplitude/exporter/amplitudeexporter/internal/event"
	"github.com/otelcol-amplitude/otelcol-amplitude/exporter/amplitudeexporter/internal/records"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/amplitude"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/amplitude/receipts"
)

// maxKept is the most JSON for which an idle encoder keeps memory: one huge request must not hold it forever. Memory that
// grew to take that much is up to twice as large.
const maxKept = 8 << 20

// maxKeptRecords is the most records for which it keeps room.
const maxKeptRecords = 50_000

// Encoder makes chunks. It reuses its memory, and must be used from one goroutine at a time.
type Encoder struct {
	event *event.Encoder
	// maxEvent is the size above which an event cannot be sent even on its own.
	maxEvent int
	// sized: batches are limited by the bytes of their records.
	sized bool

	json   []byte
	events []Event
	held   []records.Ref
}

// NewEncoder returns an encoder for events with at most maxEvent bytes of JSON.
func NewEncoder(e *event.Encoder, maxEvent int, sized bool) *Encoder {
	return &Encoder{event: e, maxEvent: maxEvent, sized: sized}
}

// Encode makes a chunk of records that may wait for hours. The caller adds the records, with Hold, Pack or Unpack.
func (e *Encoder) Encode(refs iter.Seq[records.Ref]) *Chunk {
	c := e.encode(refs)
	c.json, c.events = bytes.Clone(c.json), slices.Clone(c.events) // exactly as large as needed
	e.Return()
	return c
}

// Lend makes a chunk that holds its records and is valid until Return.
func (e *Encoder) Lend(refs iter.Seq[records.Ref]) *Chunk {
	c := e.encode(func(yield func(records.Ref) bool) {
		for ref := range refs {
			e.held = append(e.held, ref)
			if !yield(ref) {
				return
			}
		}
	})
	c.Hold(e.held)
	return c
}

// Return releases the last chunk, so that the encoder can be used again.
func (e *Encoder) Return() {
	e.event.Forget()
	if len(e.json) > maxKept || cap(e.json) > 2*maxKept || cap(e.held) > maxKeptRecords {
		e.json, e.events, e.held = nil, nil, nil
		return
	}
	clear(e.held)
	e.json, e.events, e.held = e.json[:0], e.events[:0], e.held[:0]
}

func (e *Encoder) encode(refs iter.Seq[records.Ref]) *Chunk {
	c := &Chunk{}
	for ref := range refs {
		if ref.Arrived != 0 && (c.Arrived == 0 || ref.Arrived < c.Arrived) {
			c.Arrived = ref.Arrived
		}
		if e.sized {
			c.sizes = append(c.sizes, uint32((&plog.ProtoMarshaler{}).LogRecordSize(ref.Record)))
		}
		e.add(c, ref.Record)
		c.records++
	}
	c.json, c.events = e.json, e.events
	c.lost = e.event.Lost
	e.event.Lost = event.Losses{}
	return c
}

// add encodes one record.
func (e *Encoder) add(c *Chunk, record plog.LogRecord) {
	number := uint32(c.records)
	json, user, device, failed := e.event.Encode(e.json, record)
	if failed.Reason == 0 && len(json)-len(e.json) > e.maxEvent {
		failed = event.Failure{Reason: event.ReasonTooLarge}
	}
	if failed.Reason != 0 {
		e.json = json[:len(e.json)] // with the room that this record needed, for the next
		c.rejected = append(c.rejected, Rejected{Failure: failed, Record: number, Receipt: records.Receipt(record)})
		return
	}
	e.json = json
	made := Event{User: user, Device: device, Happened: cmp.Or(record.Timestamp(), record.ObservedTimestamp()), end: uint32(len(json)), record: number}
	if amplitude.Billable(record.EventName()) {
		made.record |= billable
	}
	if id, ok := e.event.InsertID(); ok {
		made.Receipt = receipts.Key(id)
	}
	e.events = append(e.events, made)
}
