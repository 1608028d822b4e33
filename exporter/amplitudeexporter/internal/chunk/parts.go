// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package chunk // import "github.com/otelcol-amplitude/otelcol-amplitude/exporter/amplitudeexporter/internal/chunk"

import (
	"cmp"
	"iter"
	"slices"

	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/otelcol-amplitude/otelcol-amplitude/exporter/amplitudeexporter/internal/records"
)

// Parts are the content of a request: runs of records from chunks, in order. Merging and splitting requests does not
// touch any event.
type Parts []Part

// Part is a run of records of a chunk.
type Part struct {
	*Chunk
	from, to uint32
}

// Whole returns a whole chunk.
func Whole(c *Chunk) Parts { return Parts{{c, 0, uint32(c.records)}} }

// With appends a record of a chunk.
func (ps Parts) With(c *Chunk, record uint32) Parts {
	if n := len(ps) - 1; n >= 0 && ps[n].Chunk == c && ps[n].to == record {
		ps[n].to++
		return ps
	}
	return append(ps, Part{c, record, record + 1})
}

// Records returns the number of records.
func (ps Parts) Records() (n int) {
	for _, p := range ps {
		n += p.Records()
	}
	return n
}

// Bytes returns the size of the records as protobuf.
func (ps Parts) Bytes() (n int) {
	for _, p := range ps {
		n += p.bytes()
	}
	return n
}

// Arrived returns when the earliest of the records arrived, 0 if unknown.
func (ps Parts) Arrived() (first int64) {
	return records.Earliest(records.From(ps, func(p Part) int64 { return p.Arrived }))
}

// Logs returns copies of the records.
func (ps Parts) Logs() (plog.Logs, error) {
	var all []records.Ref
	for _, p := range ps {
		refs, err := p.Refs()
		if err != nil {
			return plog.Logs{}, err
		}
		all = append(all, refs[p.from:p.to]...)
	}
	return records.Collect(slices.Values(all)), nil
}

// place is a record of a chunk.
type place struct {
	chunk  *Chunk
	record uint32
}

// Items counts each record as one, for Cut.
func Items(*Chunk, uint32) int { return 1 }

// Bytes returns the size of a record as protobuf, for Cut. The encoder of the chunk must record sizes.
func Bytes(c *Chunk, record uint32) int { return int(c.sizes[record]) }

// Cut yields parts of at most this size. A larger record becomes a part by itself.
func (ps Parts) Cut(most int, size func(c *Chunk, record uint32) int) iter.Seq[Parts] {
	return func(yield func(Parts) bool) {
		for run := range records.Runs(ps.places(), most, func(p place) int { return size(p.chunk, p.record) }) {
			var part Parts
			for _, p := range run {
				part = part.With(p.chunk, p.record)
			}
			if !yield(part) {
				return
			}
		}
	}
}

func (ps Parts) places() iter.Seq[place] {
	return func(yield func(place) bool) {
		for _, p := range ps {
			for record := p.from; record < p.to; record++ {
				if !yield(place{p.Chunk, record}) {
					return
				}
			}
		}
	}
}

// Records returns the number of records.
func (p Part) Records() int { return int(p.to - p.from) }

// Events yields each event, in order, with its JSON.
func (p Part) Events() iter.Seq2[*Event, []byte] {
	return func(yield func(*Event, []byte) bool) {
		at, _ := slices.BinarySearchFunc(p.events, p.from, func(e Event, from uint32) int { return cmp.Compare(e.Record(), from) })
		start := uint32(0)
		if at > 0 {
			start = p.events[at-1].end
		}
		for i := at; i < len(p.events) && p.events[i].Record() < p.to; i++ {
			e := &p.events[i]
			if !yield(e, p.json[start:e.end]) {
				return
			}
			start = e.end
		}
	}
}

// Rejected yields the records that cannot become events.
func (p Part) Rejected() iter.Seq[*Rejected] {
	return func(yield func(*Rejected) bool) {
		at, _ := slices.BinarySearchFunc(p.rejected, p.from, func(r Rejected, from uint32) int { return cmp.Compare(r.Record, from) })
		for i := at; i < len(p.rejected) && p.rejected[i].Record < p.to; i++ {
			if !yield(&p.rejected[i]) {
				return
			}
		}
	}
}

// bytes returns the size of the records as protobuf. If the size of each record is unknown, it is a proportional share
// of the chunk's.
func (p Part) bytes() (n int) {
	switch {
	case p.held != nil:
		for _, ref := range p.held[p.from:p.to] {
			n += (&plog.ProtoMarshaler{}).LogRecordSize(ref.Record)
		}
		return n
	case p.Records() == p.records:
		return p.size
	case p.sizes != nil:
		for _, size := range p.sizes[p.from:p.to] {
			n += int(size)
		}
		return n
	}
	return p.size * p.Records() / p.records
}
