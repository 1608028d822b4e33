// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package orderedqueue // import "github.com/otelcol-amplitude/otelcol-amplitude/exporter/amplitudeexporter/internal/orderedqueue"

import (
	"errors"
	"iter"
	"slices"

	"go.opentelemetry.io/collector/exporter/exporterhelper"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/otelcol-amplitude/otelcol-amplitude/exporter/amplitudeexporter/internal/records"
)

// piece is what is offered to the queue at once.
type piece struct {
	logs plog.Logs
	// tooLarge: it is a single record that is larger than the queue.
	tooLarge bool
	// some: there are other pieces.
	some bool
}

// refused returns the error for the sender. Of several pieces all are repeated, so that the error must not name the
// records that are left of one.
func (p piece) refused(err error) error {
	if p.some {
		return repeatAll{err}
	}
	return err
}

// repeatAll hides the records that an error names.
type repeatAll struct{ error }

// Is compares with what the error wraps.
func (r repeatAll) Is(target error) bool { return errors.Is(r.error, target) }

// recordOverhead bounds what a record adds to the size of logs besides its own size: tag and length.
const recordOverhead = 6

// pieces yields logs whole if they can fit into the queue, else in pieces of at most half of its size, so that it need
// not be empty to accept one.
func pieces(logs plog.Logs, queue *exporterhelper.QueueBatchConfig) iter.Seq[piece] {
	half := max(1, int(queue.QueueSize/2))
	whole := half
	if queue.WaitForResult {
		whole = int(queue.QueueSize)
	}
	switch queue.Sizer {
	case exporterhelper.RequestSizerTypeItems:
		if logs.LogRecordCount() > whole {
			return byItems(logs, half)
		}
	case exporterhelper.RequestSizerTypeBytes:
		if sizeOf(logs) > whole {
			return byBytes(logs, half, int(queue.QueueSize))
		}
	}
	return func(yield func(piece) bool) { yield(piece{logs: logs}) }
}

func byItems(logs plog.Logs, most int) iter.Seq[piece] {
	return func(yield func(piece) bool) {
		for run := range records.Runs(records.All(logs), most, func(records.Ref) int { return 1 }) {
			if !yield(piece{logs: records.Collect(slices.Values(run)), some: true}) {
				return
			}
		}
	}
}

// byBytes leaves out resources and scopes where they would make a piece larger than the queue: events do not use them.
func byBytes(logs plog.Logs, most, limit int) iter.Seq[piece] {
	size := func(r records.Ref) int {
		return (&plog.ProtoMarshaler{}).LogRecordSize(r.Record) + recordOverhead
	}
	return func(yield func(piece) bool) {
		for run := range records.Runs(records.All(logs), most, size) {
			p := piece{logs: records.Collect(slices.Values(run)), some: true}
			if sizeOf(p.logs) > limit {
				p.logs = records.Bare(slices.Values(run))
				p.tooLarge = sizeOf(p.logs) > limit
			}
			if !yield(p) {
				return
			}
		}
	}
}

// sizeOf returns the size of logs as protobuf, which is what the queue measures.
func sizeOf(logs plog.Logs) int { return (&plog.ProtoMarshaler{}).LogsSize(logs) }
