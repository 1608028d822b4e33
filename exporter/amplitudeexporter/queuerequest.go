// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudeexporter // import "github.com/otelcol-amplitude/otelcol-amplitude/exporter/amplitudeexporter"

import (
	"context"
	"errors"

	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/exporter/exporterhelper"
	"go.opentelemetry.io/collector/exporter/exporterhelper/xexporterhelper"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/xpdata/pref"
	pdatarequest "go.opentelemetry.io/collector/pdata/xpdata/request"
	"go.uber.org/zap"

	"github.com/otelcol-amplitude/otelcol-amplitude/exporter/amplitudeexporter/internal/records"
)

// queueRequest is what exporterhelper's queue and batcher handle: logs that know their records.Ref among the batches.
type queueRequest struct {
	logs plog.Logs
	// items is the number of records that the queue was told of.
	items int
	// order is nil when no order can be kept between batches.
	order *batchOrder
	// turn is set when the request begins a batch.
	turn *turn
}

var _ xexporterhelper.RequestErrorHandler = (*queueRequest)(nil)

func newQueueRequest(logs plog.Logs, order *batchOrder) *queueRequest {
	return &queueRequest{logs: logs, items: logs.LogRecordCount(), order: order}
}

// ItemsCount returns the number of records.
func (r *queueRequest) ItemsCount() int { return r.items }

// BytesSize returns the size of the records as protobuf.
func (r *queueRequest) BytesSize() int { return (&plog.ProtoMarshaler{}).LogsSize(r.logs) }

// MergeSplit appends another request to this one, or begins a batch with this one when there is no
// other. The batcher calls it under its lock, in the order of the queue, so the order of the
// beginnings is the order in which batches have to be delivered.
func (r *queueRequest) MergeSplit(_ context.Context, maxSize int, sizer exporterhelper.RequestSizerType, other xexporterhelper.Request) ([]xexporterhelper.Request, error) {
	if other != nil {
		next, ok := other.(*queueRequest)
		if !ok {
			return nil, errors.New("a request of another exporter cannot be merged")
		}
		next.logs.ResourceLogs().MoveAndAppendTo(r.logs.ResourceLogs())
		r.items += next.items
	} else if r.order != nil {
		r.turn = r.order.begin(r.logs)
	}
	return r.split(maxSize, sizer), nil
}

// split cuts the request into parts of at most maxSize; 0 leaves it whole. A record that is larger stands alone.
func (r *queueRequest) split(maxSize int, sizer exporterhelper.RequestSizerType) []xexporterhelper.Request {
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
		logs := records.Collect(func(yield func(records.Ref) bool) {
			for _, p := range part {
				if !yield(p) {
					return
				}
			}
		})
		next := newQueueRequest(logs, r.order)
		if r.order != nil {
			if len(parts) == 0 {
				next.turn = r.turn
				next.turn.logs = logs
			} else {
				next.turn = r.order.begin(logs)
			}
		}
		parts = append(parts, next)
		part, filled = part[:0], 0
	}
	for p := range records.All(r.logs) {
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

// OnError returns the request that is left after an error.
func (r *queueRequest) OnError(err error) xexporterhelper.Request {
	var left consumererror.Logs
	if !errors.As(err, &left) {
		return r
	}
	next := newQueueRequest(left.Data(), r.order)
	next.turn = r.turn
	return next
}

// queueSettings tell exporterhelper how to keep requests; on disk they look as those of any other exporter of logs.
func (x *amplitudeExporter) queueSettings() xexporterhelper.QueueBatchSettings {
	return xexporterhelper.QueueBatchSettings{Encoding: queueEncoding{x}, ReferenceCounter: queueReferences{}}
}

type queueEncoding struct{ x *amplitudeExporter }

// Marshal writes a request.
func (queueEncoding) Marshal(ctx context.Context, r xexporterhelper.Request) ([]byte, error) {
	return pdatarequest.MarshalLogs(ctx, r.(*queueRequest).logs)
}

// Unmarshal reads a request back. The queue deletes what cannot be read, and says so at debug level only.
func (e queueEncoding) Unmarshal(raw []byte) (context.Context, xexporterhelper.Request, error) {
	ctx, logs, err := pdatarequest.UnmarshalLogs(raw)
	if errors.Is(err, pdatarequest.ErrInvalidFormat) {
		logs, err = (&plog.ProtoUnmarshaler{}).UnmarshalLogs(raw)
	}
	if err != nil {
		e.x.unreadable(storeQueue, err, zap.Int("bytes", len(raw)))
		return ctx, nil, err
	}
	return ctx, newQueueRequest(logs, e.x.order), nil
}

type queueReferences struct{}

// Ref keeps the logs for the queue.
func (queueReferences) Ref(r xexporterhelper.Request) { pref.RefLogs(r.(*queueRequest).logs) }

// Unref lets them go.
func (queueReferences) Unref(r xexporterhelper.Request) { pref.UnrefLogs(r.(*queueRequest).logs) }
