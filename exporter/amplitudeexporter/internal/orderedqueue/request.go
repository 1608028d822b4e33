// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package orderedqueue // import "github.com/otelcol-amplitude/otelcol-amplitude/exporter/amplitudeexporter/internal/orderedqueue"

import (
	"context"
	"errors"

	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/exporter/exporterhelper"
	"go.opentelemetry.io/collector/exporter/exporterhelper/xexporterhelper"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/xpdata/pref"
	pdatarequest "go.opentelemetry.io/collector/pdata/xpdata/request"

	"github.com/otelcol-amplitude/otelcol-amplitude/exporter/amplitudeexporter/internal/chunk"
	"github.com/otelcol-amplitude/otelcol-amplitude/exporter/amplitudeexporter/internal/records"
)

// request is what exporterhelper's queue and batcher handle: records with their place among the batches. They are logs
// until they are encoded, and parts of chunks after that.
type request struct {
	logs  plog.Logs
	parts chunk.Parts
	// arrived is when the logs arrived.
	arrived int64
	// items is the number of records reported to the queue.
	items int
	// order is nil if no order can be kept between batches.
	order *batchOrder
	// ticket is set when the request begins a batch.
	ticket *ticket
	// try is the next attempt; what is left of the request after it shares it.
	try *Try
}

var _ xexporterhelper.RequestErrorHandler = (*request)(nil)

func newRequest(logs plog.Logs, order *batchOrder) *request {
	return &request{logs: logs, items: logs.LogRecordCount(), order: order, try: &Try{}}
}

func newPart(parts chunk.Parts, order *batchOrder) *request {
	return &request{parts: parts, items: parts.Records(), order: order, try: &Try{}}
}

// ItemsCount returns the number of records.
func (r *request) ItemsCount() int { return r.items }

// BytesSize returns the size of the records as protobuf.
func (r *request) BytesSize() int {
	if r.parts == nil {
		return (&plog.ProtoMarshaler{}).LogsSize(r.logs)
	}
	return r.parts.Bytes()
}

// MergeSplit appends another request to this one, or begins a batch with this one if there is no other. The batcher
// calls it under its lock, in the order of the queue, so batches have to be delivered in the order in which they begin.
func (r *request) MergeSplit(_ context.Context, maxSize int, sizer exporterhelper.RequestSizerType, other xexporterhelper.Request) ([]xexporterhelper.Request, error) {
	if other != nil {
		next, ok := other.(*request)
		if !ok {
			return nil, errors.New("a request of another exporter cannot be merged")
		}
		r.parts = append(r.parts, next.parts...)
		r.items += next.items
	} else if r.order != nil {
		r.ticket = r.order.begin(r)
	}
	return r.split(maxSize, sizer), nil
}

// split divides the request into parts of at most maxSize; 0 leaves it whole. A larger record becomes its own part.
func (r *request) split(maxSize int, sizer exporterhelper.RequestSizerType) (parts []xexporterhelper.Request) {
	size, total := chunk.Items, r.items
	if sizer == exporterhelper.RequestSizerTypeBytes {
		size, total = chunk.Bytes, r.BytesSize()
	}
	if maxSize == 0 || total <= maxSize {
		return []xexporterhelper.Request{r}
	}
	for part := range r.parts.Cut(maxSize, size) {
		next := newPart(part, r.order)
		if r.order != nil {
			if len(parts) == 0 {
				next.ticket = r.ticket
				next.ticket.request = next
			} else {
				next.ticket = r.order.begin(next)
			}
		}
		parts = append(parts, next)
	}
	return parts
}

// left is an error that asks to retry a part.
type left struct {
	error
	parts chunk.Parts
}

// Unwrap returns why the part is left.
func (l left) Unwrap() error { return l.error }

// As lets senders that get the error find the records that are left, too.
func (l left) As(target any) bool {
	logs, ok := target.(*consumererror.Logs)
	if !ok {
		return false
	}
	some, err := l.parts.Logs()
	if err != nil {
		return false // the sender retries all of them
	}
	return errors.As(consumererror.NewLogs(l.error, some), logs)
}

// NewLeft returns an error that asks to retry some records of a batch.
func NewLeft(err error, parts chunk.Parts) error { return left{err, parts} }

// OnError returns the request that is left after an error.
func (r *request) OnError(err error) xexporterhelper.Request {
	var part left
	if !errors.As(err, &part) {
		return r
	}
	next := newPart(part.parts, r.order)
	next.ticket, next.try = r.ticket, r.try
	return next
}

// encoding writes requests to disk in the format of any other logs exporter.
type encoding struct {
	order *batchOrder
	// read is called with the number of records of each request that is read.
	read       func(records int)
	unreadable func(err error, size int)
}

// Marshal writes a request.
func (encoding) Marshal(ctx context.Context, r xexporterhelper.Request) ([]byte, error) {
	raw, err := pdatarequest.MarshalLogs(ctx, r.(*request).logs)
	if err != nil {
		return nil, err
	}
	return records.AppendArrival(raw, r.(*request).arrived), nil
}

// Unmarshal reads a request. The queue deletes what cannot be read, and logs it only at debug level.
func (e encoding) Unmarshal(raw []byte) (context.Context, xexporterhelper.Request, error) {
	ctx, logs, err := readStored(raw)
	if err != nil {
		e.unreadable(err, len(raw))
		return ctx, nil, err
	}
	r := newRequest(logs, e.order)
	r.arrived = records.ReadArrival(raw)
	e.read(r.items)
	return ctx, r, nil
}

// readStored decodes logs from their form on disk.
func readStored(raw []byte) (context.Context, plog.Logs, error) {
	ctx, logs, err := pdatarequest.UnmarshalLogs(raw)
	if errors.Is(err, pdatarequest.ErrInvalidFormat) {
		logs, err = (&plog.ProtoUnmarshaler{}).UnmarshalLogs(raw)
	}
	return ctx, logs, err
}

// references keep pooled logs alive while the queue has them.
type references struct{}

// Ref keeps the logs for the queue.
func (references) Ref(r xexporterhelper.Request) {
	if logs := r.(*request).logs; logs != (plog.Logs{}) {
		pref.RefLogs(logs)
	}
}

// Unref releases them.
func (references) Unref(r xexporterhelper.Request) {
	if logs := r.(*request).logs; logs != (plog.Logs{}) {
		pref.UnrefLogs(logs)
	}
}
