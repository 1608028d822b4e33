// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package orderedqueue // import "github.com/otelcol-amplitude/otelcol-amplitude/exporter/amplitudeexporter/internal/orderedqueue"

import (
	"context"
	"slices"

	"go.opentelemetry.io/collector/exporter/exporterhelper/xexporterhelper"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/otelcol-amplitude/otelcol-amplitude/exporter/amplitudeexporter/internal/chunk"
	"github.com/otelcol-amplitude/otelcol-amplitude/exporter/amplitudeexporter/internal/records"
)

// encodeSent encodes a request, unless it is to wait on disk.
func (s *Settings) encodeSent(ctx context.Context, r *request) {
	if s.onDisk() {
		return
	}
	logs, refs := r.logs, records.AllAt(r.logs, r.arrived)
	var c *chunk.Chunk
	if !s.Queue.HasValue() {
		// Its sender waits for the result, in take.
		c, ctx.Value(loanKey{}).(*loan).done = s.Lend(refs)
	} else if c = s.Encode(refs); isDeep(logs) || c.Pack(logs) != nil {
		// The copy is for nobody else to change.
		whole := plog.NewLogs()
		logs.CopyTo(whole)
		c.Hold(slices.Collect(records.AllAt(whole, r.arrived)))
	}
	r.parts, r.logs = chunk.Whole(c), plog.Logs{}
}

// loan is of a chunk for the time of a call, whose context has it under loanKey.
type loan struct{ done func() }

type loanKey struct{}

// encodedQueue is the queue on disk: OTLP there, and encoded as it is read back, so that the configuration of now counts.
type encodedQueue struct {
	encoding
	settings *Settings
}

// Unmarshal reads a request back.
func (q encodedQueue) Unmarshal(raw []byte) (context.Context, xexporterhelper.Request, error) {
	ctx, read, err := q.encoding.Unmarshal(raw)
	if err != nil {
		return ctx, nil, err
	}
	r := read.(*request)
	c := q.settings.Encode(records.AllAt(r.logs, r.arrived))
	c.Unpack(raw, r.BytesSize(), func(raw []byte) (plog.Logs, error) {
		_, logs, err := readStored(raw)
		return logs, err
	})
	r.parts, r.logs = chunk.Whole(c), plog.Logs{}
	return ctx, r, nil
}
