// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

// Package chunk holds events while they wait to be sent: encoded, with the records that they were made of beside them.
package chunk // import "github.com/otelcol-amplitude/otelcol-amplitude/exporter/amplitudeexporter/internal/chunk"

import (
	"slices"
	"sync/atomic"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/otelcol-amplitude/otelcol-amplitude/exporter/amplitudeexporter/internal/event"
	"github.com/otelcol-amplitude/otelcol-amplitude/exporter/amplitudeexporter/internal/records"
)

// Chunk is what one call brought: the JSON of its events, numbers about each, and the records as bytes. A garbage collection
// has nothing to follow in it, whereas logs are a tree of pointers that every collection walks for as long as they wait.
// Requests share chunks: once made and given its records, a chunk does not change.
type Chunk struct {
	// Arrived is when its records came, in nanoseconds since 1970; 0 if nobody knows it.
	Arrived int64

	records  int
	json     []byte
	events   []Event
	rejected []Rejected

	lost    event.Losses
	counted atomic.Bool

	// held are the records where somebody has them anyway. Otherwise read takes them out of raw, for the few events that
	// need theirs again.
	held []records.Ref
	raw  []byte
	read func(raw []byte) (plog.Logs, error)
	// size is that of raw, or of the logs in it, as protobuf; sizes are those of each record, if batches are cut by bytes.
	size  int
	sizes []uint32
}

// Event is what is known of an event beside its JSON. It has no pointers.
type Event struct {
	User, Device event.Identity
	// Receipt is the key of the event's receipt, 0 without an insert_id.
	Receipt uint64
	// Happened is the event's time, 0 if it has none.
	Happened pcommon.Timestamp
	// end is where its JSON ends and the next one's begins.
	end uint32
	// record is the number of its record, with the mark billable.
	record uint32
}

const billable = 1 << 31

// Record is the number of the event's record in its chunk.
func (e *Event) Record() uint32 { return e.record &^ billable }

// Billable tells that the event counts toward event volume.
func (e *Event) Billable() bool { return e.record&billable != 0 }

// Rejected is a record that cannot be an event, and why.
type Rejected struct {
	event.Failure
	// Record is its number in its chunk, and Receipt the key of its receipt, 0 without an insert_id.
	Record  uint32
	Receipt uint64
}

// Hold keeps the records as they are, where whoever sent them waits for the result and has them anyway.
func (c *Chunk) Hold(refs []records.Ref) { c.held = refs }

// Pack keeps the records as OTLP. Logs that are nested too deep to be read back are not for it.
func (c *Chunk) Pack(logs plog.Logs) error {
	raw, err := (&plog.ProtoMarshaler{}).MarshalLogs(logs)
	if err != nil {
		return err
	}
	c.Unpack(raw, len(raw), (&plog.ProtoUnmarshaler{}).UnmarshalLogs)
	return nil
}

// Unpack keeps the records as they were read: in bytes that read understands, and that are logs of this size in protobuf.
func (c *Chunk) Unpack(raw []byte, size int, read func(raw []byte) (plog.Logs, error)) {
	c.raw, c.size, c.read = raw, size, read
}

// Ref is a record without being decoded: all of it if the chunk holds it, else only when it came.
func (c *Chunk) Ref(record uint32) records.Ref {
	if c.held != nil {
		return c.held[record]
	}
	return records.Ref{Arrived: c.Arrived}
}

// Refs are the records, decoded. With an error, which memory that is intact does not give, they are empty ones.
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

// Lost are the values that were left out of the events: the first time it is asked, so that they are counted once.
func (c *Chunk) Lost() event.Losses {
	if c.counted.Swap(true) {
		return event.Losses{}
	}
	return c.lost
}
