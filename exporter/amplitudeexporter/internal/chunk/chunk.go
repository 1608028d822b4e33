// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

// Package chunk holds encoded events while they wait to be sent, together with the records they were made from.
package chunk // import "github.com/otelcol-amplitude/otelcol-amplitude/exporter/amplitudeexporter/internal/chunk"

import (
	"bytes"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/klauspost/compress/s2"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/otelcol-amplitude/otelcol-amplitude/exporter/amplitudeexporter/internal/event"
	"github.com/otelcol-amplitude/otelcol-amplitude/exporter/amplitudeexporter/internal/records"
)

// Chunk holds the records of one call: the JSON of their events, some numbers for each event, and the records
// themselves as bytes. It has almost no pointers, whereas logs are a tree that every garbage collection has to walk for
// as long as they wait. Requests share chunks: once it has its records, a chunk does not change.
type Chunk struct {
	// Arrived is when the records arrived, in nanoseconds since 1970; 0 if unknown.
	Arrived int64

	records  int
	json     []byte
	events   []Event
	rejected []Rejected

	lost    event.Losses
	counted atomic.Bool

	// held are the records, if they are in memory anyway. Otherwise, read decodes them from raw for the few events that
	// need them again.
	held []records.Ref
	raw  []byte
	read func(raw []byte) (plog.Logs, error)
	// size is the protobuf size of all records; sizes has the size of each record if batches are limited by bytes.
	size  int
	sizes []uint32
}

// Event is what is known about an event besides its JSON. It has no pointers.
type Event struct {
	User, Device event.Identity
	// Receipt is the key of the event's receipt, 0 without an insert_id.
	Receipt uint64
	// Happened is the time of the event, 0 if it has none.
	Happened pcommon.Timestamp
	// end is where its JSON ends and the next one's begins.
	end uint32
	// record is the number of its record, and the billable bit.
	record uint32
}

const billable = 1 << 31

// Record is the number of the event's record in its chunk.
func (e *Event) Record() uint32 { return e.record &^ billable }

// Billable reports whether the event counts toward event volume.
func (e *Event) Billable() bool { return e.record&billable != 0 }

// Rejected is a record that cannot become an event, and why.
type Rejected struct {
	event.Failure
	// Record is the number of the record in the chunk, Receipt the key of its receipt, 0 without an insert_id.
	Record  uint32
	Receipt uint64
}

// Hold keeps the records themselves, for callers that hold on to them anyway because they wait for the result.
func (c *Chunk) Hold(refs []records.Ref) { c.held = refs }

// Pack keeps the records as compressed OTLP: the records of a call repeat each other's names and texts, and few are ever
// needed again. The logs must not be nested too deeply to be decoded again.
func (c *Chunk) Pack(logs plog.Logs) error {
	raw, err := (&plog.ProtoMarshaler{}).MarshalLogs(logs)
	if err != nil {
		return err
	}
	c.Unpack(compress(raw), len(raw), readCompressed)
	return nil
}

// scratches are buffers for compress.
var scratches = sync.Pool{New: func() any { return new([]byte) }}

// compress returns raw as a block of s2, without spare capacity.
func compress(raw []byte) []byte {
	scratch := scratches.Get().(*[]byte)
	defer scratches.Put(scratch)
	*scratch = s2.Encode((*scratch)[:cap(*scratch)], raw)
	return bytes.Clone(*scratch)
}

func readCompressed(block []byte) (plog.Logs, error) {
	raw, err := s2.Decode(nil, block)
	if err != nil {
		return plog.Logs{}, err
	}
	return (&plog.ProtoUnmarshaler{}).UnmarshalLogs(raw)
}

// Unpack keeps the records as the bytes from which read decodes them. size is the size of the logs as protobuf.
func (c *Chunk) Unpack(raw []byte, size int, read func(raw []byte) (plog.Logs, error)) {
	c.raw, c.size, c.read = raw, size, read
}

// Ref returns a record without decoding it: the whole record if the chunk holds it, else only its arrival time.
func (c *Chunk) Ref(record uint32) records.Ref {
	if c.held != nil {
		return c.held[record]
	}
	return records.Ref{Arrived: c.Arrived}
}

// Refs returns the records, decoded. On an error, which only damaged memory can cause, it returns as many empty
// records.
func (c *Chunk) Refs() ([]records.Ref, error) {
	if c.held != nil {
		return c.held, nil
	}
	logs, err := c.read(c.raw)
	if err != nil {
		logs = plog.NewLogs()
		empty := logs.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords()
		for range c.records {
			empty.AppendEmpty()
		}
	}
	return slices.Collect(records.AllAt(logs, c.Arrived)), err
}

// Lost returns the values that were left out of the events. Further calls return none, so that they are counted once.
func (c *Chunk) Lost() event.Losses {
	if c.counted.Swap(true) {
		return event.Losses{}
	}
	return c.lost
}
