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

// Settings configure the queue of an exporter.
type Settings struct {
	Queue configoptional.Optional[exporterhelper.QueueBatchConfig]
	Retry configretry.BackOffConfig

	// Encode makes a chunk of records. It may be called from any goroutine.
	Encode func(refs iter.Seq[records.Ref]) *chunk.Chunk
	// Lend makes one that is valid until done is called, which is optional.
	Lend func(refs iter.Seq[records.Ref]) (c *chunk.Chunk, done func())
	// Deliver is called with one batch after the other, in order. It returns an error from [NewLeft] to retry a part.
	// It decides itself when a batch is given up: the queue never does, regardless of Retry.
	Deliver func(ctx context.Context, parts chunk.Parts, try Try) error
	// Start runs before the queue starts, Shutdown after it has stopped.
	Start    component.StartFunc
	Shutdown component.ShutdownFunc

	// Now returns the arrival time of records.
	Now func() time.Time
	// Oldest is called with the arrival time of the earliest record that is being delivered or waits for its next try;
	// 0 if there is none.
	Oldest func(arrived int64)
	// TooLarge ends a record that is larger than the whole queue. After an error, the sender repeats it.
	TooLarge func(ctx context.Context, parts chunk.Parts) error
	// Claim is called with records before the queue can accept them. The function that it returns is called if the
	// queue does not.
	Claim func(ctx context.Context, logs plog.Logs) (unclaim func())
	// Received is called with the number of records that the queue accepted; if senders wait for the result, Deliver
	// and TooLarge count them instead.
	Received func(ctx context.Context, records int)
	// TooDeep is called with the number of values that are left out because they could not be read back from disk.
	TooDeep func(ctx context.Context, values int)
	// Unreadable is called for a request on disk, with its size in bytes, that cannot be read.
	Unreadable func(err error, size int)
	// MaxWait is how long a sender waits for room in the queue; 0 means forever.
	MaxWait time.Duration
	// Cut cancels what is in flight. It is called when Shutdown takes longer than ShutdownTimeout; 0 means never.
	Cut             func()
	ShutdownTimeout time.Duration
	// Log may be rate-limited.
	Log *zap.Logger
}

// Try describes an attempt to deliver a batch.
type Try struct {
	// Number of attempts before this one.
	Number int
	// Since is when the first attempt began.
	Since time.Time
	// Waiting: more requests wait behind this batch.
	Waiting bool
	// Last: the batch is lost after this attempt, because the queue is in memory and stops.
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
		// exporterhelper would pass the queue's host.
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

// onDisk reports whether requests wait on disk, as OTLP.
func (s *Settings) onDisk() bool {
	queue := s.Queue.Get()
	return queue != nil && queue.StorageID != nil
}

// keepsOrder reports whether there is a single order of batches: with partitions, there are several.
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
	inMemory *leavings // nil if undelivered batches are kept elsewhere
	waiting  waiting

	stop    sync.Once
	stopped error
}

// Start starts the exporter and its queue, whose storage may fill up.
func (o *ordered) Start(ctx context.Context, host component.Host) error {
	o.host = host
	if o.settings.onDisk() {
		storageID := *o.settings.Queue.Get().StorageID
		keepOrder(ctx, host, storageID, o.id, o.settings.Log)
		host = &queueHost{Host: host, storageID: storageID, index: o.waiting.index, log: o.settings.Log}
	}
	return o.Logs.Start(ctx, host)
}

// Shutdown may be called twice; exporterhelper's retry sender would panic.
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

// deliver delivers a batch after all that were begun before it.
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

// ErrFull asks the sender to retry.
var ErrFull = errors.New("the sending queue is full: retry later")

// ConsumeLogs hands the logs to the queue and counts them if the queue accepts them. Logs that can never fit into the
// queue at once are offered in pieces; if one is refused, the sender repeats all of them, and those before have the
// same insert_ids.
func (o *ordered) ConsumeLogs(ctx context.Context, logs plog.Logs) error {
	if o.settings.onDisk() {
		var cut int
		if logs, cut = shallow(logs); cut > 0 {
			o.settings.TooDeep(ctx, cut)
		}
	}
	queue := o.settings.Queue.Get()
	if queue == nil {
		return o.take(ctx, logs)
	}
	for p := range pieces(logs, queue) {
		var err error
		switch {
		case p.tooLarge:
			err = o.refuse(ctx, p.logs)
		case queue.WaitForResult:
			err = o.take(ctx, p.logs)
		default:
			err = o.offer(ctx, p.logs)
		}
		if err != nil {
			return p.refused(err)
		}
	}
	return nil
}

// offer waits for room, for at most MaxWait.
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

// refuse ends records that the queue can never accept.
func (o *ordered) refuse(ctx context.Context, logs plog.Logs) error {
	unclaim := o.settings.Claim(ctx, logs)
	refs := slices.Collect(records.AllAt(logs, o.settings.Now().UnixNano()))
	c := o.settings.Encode(slices.Values(refs))
	c.Hold(refs)
	if err := o.settings.TooLarge(ctx, chunk.Whole(c)); err != nil {
		unclaim()
		return err
	}
	if !o.settings.Queue.Get().WaitForResult {
		o.settings.Received(ctx, len(refs))
	}
	return nil
}

// take hands logs to the queue, or delivers them immediately without one.
func (o *ordered) take(ctx context.Context, logs plog.Logs) error {
	unclaim := o.settings.Claim(ctx, logs)
	lent := loan{done: func() {}}
	if !o.settings.Queue.HasValue() {
		ctx = context.WithValue(ctx, loanKey{}, &lent)
	}
	err := o.Logs.ConsumeLogs(ctx, logs)
	if err != nil {
		unclaim()
		return err // the error may refer to records of the chunk, so the loan does not end
	}
	lent.done()
	return nil
}
