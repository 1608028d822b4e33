// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package orderedqueue // import "github.com/otelcol-amplitude/otelcol-amplitude/exporter/amplitudeexporter/internal/orderedqueue"

import (
	"context"
	"errors"
	"iter"
	"slices"
	"sync"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/config/configoptional"
	"go.opentelemetry.io/collector/config/configretry"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/exporter/exporterhelper"
	"go.opentelemetry.io/collector/exporter/exporterhelper/xexporterhelper"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.uber.org/zap"

	"github.com/otelcol-amplitude/otelcol-amplitude/exporter/amplitudeexporter/internal/chunk"
	"github.com/otelcol-amplitude/otelcol-amplitude/exporter/amplitudeexporter/internal/records"
)

// Settings are what an exporter gives to its queue.
type Settings struct {
	Queue configoptional.Optional[exporterhelper.QueueBatchConfig]
	Retry configretry.BackOffConfig

	// Encode makes a chunk of records. It is called from any goroutine.
	Encode func(refs iter.Seq[records.Ref]) *chunk.Chunk
	// Lend makes one that is good until done is called, if it is.
	Lend func(refs iter.Seq[records.Ref]) (c *chunk.Chunk, done func())
	// Deliver takes one batch after the other, in order. What [NewLeft] makes asks for another try of a part. It decides
	// itself when a batch is given up: the queue never does, whatever Retry says.
	Deliver func(ctx context.Context, parts chunk.Parts, try Try) error
	// Start runs before the queue starts, Shutdown after it has stopped.
	Start    component.StartFunc
	Shutdown component.ShutdownFunc

	// Now is the time at which records come.
	Now func() time.Time
	// Oldest is told when the earliest of the records came that are being delivered, or wait for their next try; 0: there are none.
	Oldest func(arrived int64)
	// Claim is told of records before the queue can take them. What it returns is called if the queue does not.
	Claim func(ctx context.Context, logs plog.Logs) (unclaim func())
	// Received is told of the records that the queue took; where senders wait for the result, Deliver knows better.
	Received func(ctx context.Context, records int)
	// TooDeep is told of values that are left out, since they could not be read back from disk.
	TooDeep func(ctx context.Context, values int)
	// Unreadable is told of a request on disk, of this size in bytes, that cannot be read back.
	Unreadable func(err error, size int)
	// MaxWait is how long a sender waits for room in the queue; 0 is forever.
	MaxWait time.Duration
	// Cut ends what is in flight. It is called when Shutdown takes longer than ShutdownTimeout; 0 is never.
	Cut             func()
	ShutdownTimeout time.Duration
	// Log may bound how often it writes.
	Log *zap.Logger
}

// Try tells which try of a batch it is.
type Try struct {
	// Number of tries before this one.
	Number int
	// Since is when the first one began.
	Since time.Time
	// Waiting tells that more waits for this batch to end.
	Waiting bool
	// Last tells that nobody has the batch after this try: the queue stops, and is in memory.
	Last bool
}

// NewLogs returns an exporter of logs that is fed by the queue.
func NewLogs(ctx context.Context, set exporter.Settings, s Settings) (exporter.Logs, error) {
	o := &ordered{settings: s, id: set.ID}
	var order *batchOrder
	if s.keepsOrder() {
		order = &batchOrder{}
	}
	o.send = func(ctx context.Context, r *request) error { return o.deliver(ctx, r, order) }
	if queue := s.Queue.Get(); queue != nil && queue.StorageID == nil && !queue.WaitForResult {
		o.inMemory = &leavings{deliver: o.send}
		o.send = o.inMemory.send
	}
	set.Logger = quiet(set.Logger)
	s.Retry.MaxElapsedTime = 0
	helper, err := xexporterhelper.NewLogsRequest(
		ctx, set,
		func(ctx context.Context, logs plog.Logs) (xexporterhelper.Request, error) {
			r := newRequest(logs, order)
			r.arrived = s.Now().UnixNano()
			s.encodeSent(ctx, r)
			return r, nil
		},
		func(ctx context.Context, r xexporterhelper.Request) error { return o.send(ctx, r.(*request)) },
		// The host that exporterhelper hands on is the queue's.
		exporterhelper.WithStart(func(ctx context.Context, _ component.Host) error { return s.Start(ctx, o.host) }),
		exporterhelper.WithShutdown(func(ctx context.Context) error {
			if o.inMemory != nil {
				o.inMemory.lastTries(ctx, nil)
			}
			return s.Shutdown(ctx)
		}),
		exporterhelper.WithCapabilities(consumer.Capabilities{MutatesData: false}),
		// The HTTP client has its own timeout, for each request.
		exporterhelper.WithTimeout(exporterhelper.TimeoutConfig{Timeout: 0}),
		exporterhelper.WithRetry(s.Retry),
		xexporterhelper.WithQueueBatch(s.Queue, xexporterhelper.QueueBatchSettings{
			Encoding:         encodedQueue{encoding{order: order, read: o.waiting.came, unreadable: s.Unreadable}, &s},
			ReferenceCounter: references{},
		}),
	)
	if err != nil {
		return nil, err
	}
	o.Logs = helper
	return o, nil
}

// onDisk tells whether requests wait on disk, and so as OTLP.
func (s *Settings) onDisk() bool {
	queue := s.Queue.Get()
	return queue != nil && queue.StorageID != nil
}

// keepsOrder tells whether there is one order of batches: with partitions there are several.
func (s *Settings) keepsOrder() bool {
	queue := s.Queue.Get()
	return queue == nil || !queue.Batch.HasValue() || len(queue.Batch.Get().Partition.MetadataKeys) == 0
}

// ordered is the exporter in front of its queue.
type ordered struct {
	exporter.Logs
	settings Settings
	id       component.ID
	host     component.Host
	send     func(ctx context.Context, r *request) error
	inMemory *leavings // nil where somebody else still has what is not delivered
	waiting  waiting

	stop    sync.Once
	stopped error
}

// Start starts the exporter and its queue, whose storage may become full.
func (o *ordered) Start(ctx context.Context, host component.Host) error {
	o.host = host
	if o.settings.onDisk() {
		storageID := *o.settings.Queue.Get().StorageID
		keepOrder(ctx, host, storageID, o.id, o.settings.Log)
		host = &queueHost{Host: host, storageID: storageID, index: o.waiting.index, log: o.settings.Log}
	}
	return o.Logs.Start(ctx, host)
}

// Shutdown may be called twice, which the retries of exporterhelper do not bear.
func (o *ordered) Shutdown(ctx context.Context) error {
	o.stop.Do(func() {
		if o.settings.ShutdownTimeout > 0 {
			cut := time.AfterFunc(o.settings.ShutdownTimeout, o.settings.Cut)
			defer cut.Stop()
		}
		if o.inMemory != nil {
			o.inMemory.stop()
		}
		o.stopped = o.Logs.Shutdown(ctx)
	})
	return o.stopped
}

// deliver delivers a batch behind all that were begun before it.
func (o *ordered) deliver(ctx context.Context, r *request, order *batchOrder) error {
	r.try.Waiting = o.waiting.behind(r)
	o.settings.Oldest(o.waiting.delivering(r))
	count := r.items
	err := order.deliver(ctx, r, o.settings.Deliver)
	if err == nil || consumererror.IsPermanent(err) {
		o.waiting.went(count, nil)
		o.settings.Oldest(o.waiting.done(r))
	} else {
		o.waiting.went(count, r.OnError(err))
	}
	return err
}

// ErrFull asks the sender to come again.
var ErrFull = errors.New("the sending queue is full: send it again later")

// ConsumeLogs hands the logs to the queue and counts them if it took them. What the queue can never hold at once is taken
// in pieces; if one is refused the sender repeats them all, and those before are the same events by their insert_id.
func (o *ordered) ConsumeLogs(ctx context.Context, logs plog.Logs) error {
	queue := o.settings.Queue.Get()
	if queue == nil || queue.WaitForResult {
		return o.take(ctx, logs)
	}
	if o.settings.onDisk() {
		var cut int
		if logs, cut = shallow(logs); cut > 0 {
			o.settings.TooDeep(ctx, cut)
		}
	}
	for piece := range pieces(logs, queue) {
		if err := o.offer(ctx, piece); err != nil {
			return err
		}
	}
	return nil
}

// pieces are what is offered to the queue at once: half of what it holds, so that it need not be empty for it.
func pieces(logs plog.Logs, queue *exporterhelper.QueueBatchConfig) iter.Seq[plog.Logs] {
	return func(yield func(plog.Logs) bool) {
		most := max(1, int(queue.QueueSize/2))
		total, size := logs.LogRecordCount, func(records.Ref) int { return 1 }
		if queue.Sizer == exporterhelper.RequestSizerTypeBytes {
			marshaler := &plog.ProtoMarshaler{}
			total = func() int { return marshaler.LogsSize(logs) }
			size = func(r records.Ref) int { return marshaler.LogRecordSize(r.Record) }
		}
		if queue.Sizer == exporterhelper.RequestSizerTypeRequests || total() <= most {
			yield(logs)
			return
		}
		for run := range records.Runs(records.All(logs), most, size) {
			if !yield(records.Collect(slices.Values(run))) {
				return
			}
		}
	}
}

// offer waits for room for no longer than a sender may.
func (o *ordered) offer(ctx context.Context, logs plog.Logs) error {
	n := logs.LogRecordCount()
	waiting, cancel := ctx, context.CancelFunc(func() {})
	if o.settings.MaxWait > 0 {
		waiting, cancel = context.WithTimeout(ctx, o.settings.MaxWait)
	}
	defer cancel()
	if o.inMemory != nil {
		o.waiting.came(n)
	}
	if err := o.take(waiting, logs); err != nil {
		if o.inMemory != nil {
			o.waiting.came(-n)
		}
		if waiting.Err() != nil && ctx.Err() == nil {
			return ErrFull
		}
		return err
	}
	o.settings.Received(ctx, n)
	return nil
}

// take hands logs to the queue, or to whoever delivers them at once.
func (o *ordered) take(ctx context.Context, logs plog.Logs) error {
	unclaim := o.settings.Claim(ctx, logs)
	lent := loan{done: func() {}}
	if !o.settings.Queue.HasValue() {
		ctx = context.WithValue(ctx, loanKey{}, &lent)
	}
	err := o.Logs.ConsumeLogs(ctx, logs)
	if err != nil {
		unclaim()
		return err // which may name records that are left: the loan is for good
	}
	lent.done()
	return nil
}
