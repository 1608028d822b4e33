// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package orderedqueue // import "github.com/otelcol-amplitude/otelcol-amplitude/exporter/amplitudeexporter/internal/orderedqueue"

import (
	"context"
	"errors"
	"iter"
	"slices"

	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/exporter/exporterhelper"
	"go.opentelemetry.io/collector/exporter/exporterhelper/xexporterhelper"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/xpdata/pref"
	pdatarequest "go.opentelemetry.io/collector/pdata/xpdata/request"

	"github.com/otelcol-amplitude/otelcol-amplitude/exporter/amplitudeexporter/internal/records"
)

// request is what exporterhelper's queue and batcher handle: logs that know their place among the batches.
type request struct {
	logs plog.Logs
	// arrivals are when its records came.
	arrivals records.Arrivals
	// items is the number of records that the queue was told of.
	items int
	// order is nil when no order can be kept between batches.
	order *batchOrder
	// ticket is set when the request begins a batch.
	ticket *ticket
	// try is the next one; what is left of the request after it has the same.
	try *Try
}

var _ xexporterhelper.RequestErrorHandler = (*request)(nil)

func newRequest(logs plog.Logs, order *batchOrder) *request {
	return &request{logs: logs, items: logs.LogRecordCount(), order: order, try: &Try{}}
}

// ItemsCount returns the number of records.
func (r *request) ItemsCount() int { return r.items }

// BytesSize returns the size of the records as protobuf.
func (r *request) BytesSize() int { return (&plog.ProtoMarshaler{}).LogsSize(r.logs) }

// MergeSplit appends another request to this one, or begins a batch with this one when there is no
// other. The batcher calls it under its lock, in the order of the queue, so the order of the
// beginnings is the order in which batches have to be delivered.
func (r *request) MergeSplit(_ context.Context, maxSize int, sizer exporterhelper.RequestSizerType, other xexporterhelper.Request) ([]xexporterhelper.Request, error) {
	if other != nil {
		next, ok := other.(*request)
		if !ok {
			return nil, errors.New("a request of another exporter cannot be merged")
		}
		next.logs.ResourceLogs().MoveAndAppendTo(r.logs.ResourceLogs())
		r.arrivals = append(r.arrivals, next.arrivals...)
		r.items += next.items
	} else if r.order != nil {
		r.ticket = r.order.begin(r)
	}
	return r.split(maxSize, sizer), nil
}

// split cuts the request into parts of at most maxSize; 0 leaves it whole. A record that is larger stands alone.
func (r *request) split(maxSize int, sizer exporterhelper.RequestSizerType) []xexporterhelper.Request {
	size := func(records.Ref) int { return 1 }
	total := r.items
	if sizer == exporterhelper.RequestSizerTypeBytes {
		size = func(p records.Ref) int { return (&plog.ProtoMarshaler{}).LogRecordSize(p.Record) }
		total = r.BytesSize()
	}
	if maxSize == 0 || total <= maxSize {
		return []xexporterhelper.Request{r}
	}
	var parts []xexporterhelper.Request
	var part []records.Ref
	filled := 0
	end := func() {
		logs := records.Collect(slices.Values(part))
		next := newRequest(logs, r.order)
		next.arrivals = records.ArrivalsOf(slices.Values(part))
		if r.order != nil {
			if len(parts) == 0 {
				next.ticket = r.ticket
				next.ticket.request = next
			} else {
				next.ticket = r.order.begin(next)
			}
		}
		parts = append(parts, next)
		part, filled = part[:0], 0
	}
	for p := range r.arrivals.All(r.logs) {
		n := size(p)
		if len(part) > 0 && filled+n > maxSize {
			end()
		}
		part = append(part, p)
		filled += n
	}
	end()
	return parts
}

// left is an error that asks for another try of a part.
type left struct {
	consumererror.Logs
	arrivals records.Arrivals
}

// Unwrap lets senders that get the error find what is left, too.
func (l left) Unwrap() error { return l.Logs }

// NewLeft returns an error that asks for another try of some records of a batch.
func NewLeft(err error, refs iter.Seq[records.Ref]) error {
	return left{consumererror.NewLogs(err, records.Collect(refs)).(consumererror.Logs), records.ArrivalsOf(refs)}
}

// OnError returns the request that is left after an error.
func (r *request) OnError(err error) xexporterhelper.Request {
	var logs consumererror.Logs
	if !errors.As(err, &logs) {
		return r
	}
	next := newRequest(logs.Data(), r.order)
	next.ticket, next.try = r.ticket, r.try
	if part := (left{}); errors.As(err, &part) {
		next.arrivals = part.arrivals
	}
	return next
}

// encoding writes requests to disk as those of any other exporter of logs look.
type encoding struct {
	order *batchOrder
	// read is told of the records of each request that is read back.
	read       func(records int)
	unreadable func(err error, size int)
}

// Marshal writes a request.
func (encoding) Marshal(ctx context.Context, r xexporterhelper.Request) ([]byte, error) {
	raw, err := pdatarequest.MarshalLogs(ctx, r.(*request).logs)
	if err != nil {
		return nil, err
	}
	return records.AppendArrival(raw, r.(*request).arrivals.First()), nil
}

// Unmarshal reads a request back. The queue deletes what cannot be read, and says so at debug level only.
func (e encoding) Unmarshal(raw []byte) (context.Context, xexporterhelper.Request, error) {
	ctx, logs, err := pdatarequest.UnmarshalLogs(raw)
	if errors.Is(err, pdatarequest.ErrInvalidFormat) {
		logs, err = (&plog.ProtoUnmarshaler{}).UnmarshalLogs(raw)
	}
	if err != nil {
		e.unreadable(err, len(raw))
		return ctx, nil, err
	}
	r := newRequest(logs, e.order)
	r.arrivals.Add(r.items, records.ReadArrival(raw))
	e.read(r.items)
	return ctx, r, nil
}

// references keep pooled logs alive while the queue has them.
type references struct{}

// Ref keeps the logs for the queue.
func (references) Ref(r xexporterhelper.Request) { pref.RefLogs(r.(*request).logs) }

// Unref lets them go.
func (references) Unref(r xexporterhelper.Request) { pref.UnrefLogs(r.(*request).logs) }
