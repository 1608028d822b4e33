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

// encodeSent encodes a request, unless it will wait on disk.
func (s *Settings) encodeSent(ctx context.Context, r *request) {
	if s.onDisk() {
		return
	}
	logs, refs := r.logs, records.AllAt(r.logs, r.arrived)
	var c *chunk.Chunk
	if !s.Queue.HasValue() {
		// The sender waits for the result, in take.
		c, ctx.Value(loanKey{}).(*loan).done = s.Lend(refs)
	} else if c = s.Encode(refs); isDeep(logs) || c.Pack(logs) != nil {
		// Copied, because the logs may be shared and change later.
		whole := plog.NewLogs()
		logs.CopyTo(whole)
		c.Hold(slices.Collect(records.AllAt(whole, r.arrived)))
	}
	r.parts, r.logs = chunk.Whole(c), plog.Logs{}
}

// loan is a chunk that is lent for the duration of a call. The context of the call holds it under loanKey.
type loan struct{ done func() }

type loanKey struct{}

// encodedQueue stores requests on disk as OTLP, and encodes them when they are read back, so that the current
// configuration applies.
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
