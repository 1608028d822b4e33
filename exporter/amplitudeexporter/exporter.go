// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudeexporter // import "github.com/otelcol-amplitude/otelcol-amplitude/exporter/amplitudeexporter"

import (
	"context"
	"errors"
	"iter"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/exporter/exporterhelper"
	"go.opentelemetry.io/otel/metric"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/otelcol-amplitude/otelcol-amplitude/exporter/amplitudeexporter/internal/chunk"
	"github.com/otelcol-amplitude/otelcol-amplitude/exporter/amplitudeexporter/internal/event"
	"github.com/otelcol-amplitude/otelcol-amplitude/exporter/amplitudeexporter/internal/orderedqueue"
	"github.com/otelcol-amplitude/otelcol-amplitude/exporter/amplitudeexporter/internal/records"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/amplitude"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/amplitude/receipts"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/freelist"
)

// logInterval is the minimum time between two identical log messages.
const logInterval = 10 * time.Second

// longestPatience bounds the waits between attempts while the configuration may be wrong or something blocks the
// connection.
const longestPatience = 5 * time.Minute

// errBehindPending is why a throttled event is retried; the event before it has its own reason.
var errBehindPending = errors.New("throttled behind an event that has to be retried")

// amplitudeExporter turns batches of log records into requests, and answers into outcomes of records.
type amplitudeExporter struct {
	cfg      *Config
	set      exporter.Settings
	clock    clock
	log      *zap.Logger
	tel      *telemetry
	health   *health
	envelope *envelope
	sender   *sender
	slow     *slowLane
	dead     *deadLetters
	// book holds the claims of the events in flight.
	book receipts.Book

	// encoders keeps idle encoders with their cached attribute names. Records are encoded on arrival, by the sender's
	// goroutine.
	encoders freelist.List[*chunk.Encoder]
	// idle keeps two batches: one for the queue, one for the slow lane.
	idle         freelist.List[*batch]
	partitioners sync.Pool // of *partitioner

	// unknown is used by the first record whose name is not allowed.
	unknown sync.Once
	// stopIDs withdraws the min_id_length that start published for the processors of this Collector.
	stopIDs func()
	// unlist removes the exporter from the list of those with a queue in a storage.
	unlist func()
	// closeBook withdraws book, which start published.
	closeBook func()

	// oldest is the arrival time of the earliest event that the queue has handed over and that is not finished; 0 if
	// there is none.
	oldest atomic.Int64

	mu sync.Mutex
	// life is canceled by cut when a shutdown has waited long enough.
	life context.Context
	cut  context.CancelFunc

	// refused and slowRefused count the consecutive batches, from the queue and from the slow lane, of which Amplitude
	// refused every request.
	refused, slowRefused int
	// slowTries counts the consecutive attempts of the slow lane of which nothing was accepted.
	slowTries int
	// slowAccepts is the number of accepted requests when the slow lane was last tried.
	slowAccepts int64
	// asideTries is the number of attempts after which a batch is set aside, while no more than asideAccepts requests
	// are accepted.
	asideTries   int
	asideAccepts int64

	// stopped counts, by outcome, the events that were in memory and ended by the shutdown.
	stopped [outcomeCount]int
}

func newExporter(cfg *Config, set exporter.Settings, c clock) (*amplitudeExporter, error) {
	tel, err := newTelemetry(set.TelemetrySettings, set.ID)
	if err != nil {
		return nil, err
	}
	x := &amplitudeExporter{
		cfg:      cfg,
		set:      set,
		clock:    c,
		tel:      tel,
		log:      atMostEvery(logInterval, set.Logger),
		envelope: newEnvelope(cfg),
	}
	x.unlist = func() {}
	if queue := cfg.QueueConfig.Get(); queue != nil && queue.StorageID != nil {
		x.unlist = configured.add(queueOwner{*queue.StorageID, set.ID})
	}
	x.life, x.cut = context.WithCancel(context.Background()) //nolint:gosec // shutdown calls it
	x.health = newHealth(cfg, set.Logger, c)
	x.sender = newSender(cfg, x.envelope, tel, x.health, c)
	x.sender.book, x.sender.id = &x.book, set.ID.String()
	x.slow = newSlowLane(x, cfg, x.envelope.limits.events, c, x.log)
	x.encoders = freelist.New[*chunk.Encoder](freelist.Calls())
	x.idle = freelist.New[*batch](2)
	x.partitioners.New = func() any { return &partitioner{} }
	// This comes last: an exporter that is not returned is not shut down.
	return x, deadLetterPaths.take(x, cfg.DeadLetter.Path)
}

// atMostEvery returns a logger that writes identical messages at most once per duration.
func atMostEvery(d time.Duration, log *zap.Logger) *zap.Logger {
	return log.WithOptions(zap.WrapCore(func(core zapcore.Core) zapcore.Core {
		return zapcore.NewSamplerWithOptions(core, d, 1, 0)
	}))
}

// start connects. What it starts runs until shutdown, regardless of ctx.
func (x *amplitudeExporter) start(ctx context.Context, host component.Host) error {
	x.health.start(host)
	x.findOrphans(ctx, host)
	x.stopIDs = amplitude.Export(x.cfg.MinIDLength, x.cfg.Events)
	x.closeBook = receipts.TrackPending(&x.book)
	x.book.Open(x.queueIsOnDisk())
	for _, store := range [...]string{storeQueue, storeSlowLane, storeDeadLetters} {
		// Reported from the start, so that the first one is seen as an increase.
		x.tel.ExporterAmplitudeUnreadableRequests.Add(ctx, 0, x.tel.with("store", store))
	}
	if err := x.observeOldest(); err != nil {
		return err
	}
	c, err := newClient(ctx, x.cfg, host, x.set.TelemetrySettings, x.set.BuildInfo, x.clock.Now)
	if err != nil {
		return err
	}
	x.sender.client = c
	if err = x.startDeadLetters(ctx, host); err != nil {
		return err
	}
	for _, w := range x.cfg.warnings() {
		x.set.Logger.Warn(w.message, zap.String("setting", w.setting), zap.String("see", w.link))
	}
	return x.startSlowLane(ctx, host)
}

// observeOldest reports how long the oldest event has waited in each place.
func (x *amplitudeExporter) observeOldest() error {
	queue, slow := x.tel.with("store", storeQueue), x.tel.with("store", storeSlowLane)
	return x.tel.RegisterExporterAmplitudeOldestEventAgeCallback(func(_ context.Context, o metric.Float64Observer) error {
		now := x.clock.Now()
		for option, arrived := range map[metric.MeasurementOption]int64{queue: x.oldest.Load(), slow: x.slow.oldest()} {
			age := 0.0
			if arrived != 0 {
				age = max(0, now.Sub(records.ArrivedAt(arrived)).Seconds())
			}
			o.Observe(age, option)
		}
		return nil
	})
}

// shutdown runs after the queue has stopped.
func (x *amplitudeExporter) shutdown(ctx context.Context) error {
	err := errors.Join(x.slow.shutdown(ctx), x.dead.close(ctx))
	x.sayStopped()
	if x.sender.client != nil {
		x.sender.client.http.CloseIdleConnections()
	}
	if x.stopIDs != nil {
		x.stopIDs()
		x.closeBook()
	}
	deadLetterPaths.release(x)
	x.unlist()
	x.tel.Shutdown()
	x.book.Close(ctx, x.queueIsOnDisk())
	return err
}

// queueIsOnDisk reports whether queued events survive the process.
func (x *amplitudeExporter) queueIsOnDisk() bool {
	queue := x.cfg.QueueConfig.Get()
	return queue != nil && queue.StorageID != nil
}

// maxKeptEvents is the most events for which an idle batch keeps room; the queue's largest batches are of this order.
const maxKeptEvents = 50_000

func (x *amplitudeExporter) getBatch() *batch {
	if b, ok := x.idle.Get(); ok {
		return b
	}
	return &batch{
		decoded:    map[*chunk.Chunk][]records.Ref{},
		unreadable: func(err error) { x.unreadable(storeQueue, err, zap.Skip()) },
	}
}

func (x *amplitudeExporter) putBatch(b *batch) {
	b.reset()
	if cap(b.events)+cap(b.rejected) > maxKeptEvents {
		return // one huge batch must not hold memory forever
	}
	x.idle.Put(b)
}

func newEncoder(cfg *Config, version string) *chunk.Encoder {
	return chunk.NewEncoder(event.NewEncoder(cfg.eventSettings(version)), newEnvelope(cfg).maxEvent(), cfg.cutsBytes())
}

// encode makes a chunk of records.
func (x *amplitudeExporter) encode(refs iter.Seq[records.Ref]) *chunk.Chunk {
	e := x.getEncoder()
	defer x.encoders.Put(e)
	return e.Encode(refs)
}

// lend makes a chunk of records that is valid until done is called.
func (x *amplitudeExporter) lend(refs iter.Seq[records.Ref]) (c *chunk.Chunk, done func()) {
	e := x.getEncoder()
	return e.Lend(refs), func() {
		e.Return()
		x.encoders.Put(e)
	}
}

func (x *amplitudeExporter) getEncoder() *chunk.Encoder {
	if e, ok := x.encoders.Get(); ok {
		return e
	}
	return newEncoder(x.cfg, x.set.BuildInfo.Version)
}

// push delivers a batch. Its error asks to retry exactly the records that are left over.
func (x *amplitudeExporter) push(ctx context.Context, parts chunk.Parts, try orderedqueue.Try) error {
	ctx, release := x.untilCut(ctx)
	defer release()
	b := x.getBatch()
	defer x.putBatch(b)
	b.take(parts)
	x.tel.losses(ctx, &b.lost)
	if n := b.lost[event.LossShortID]; n > 0 {
		x.log.Warn("Ids shorter than min_id_length are left out of their events: an event whose user id is left out is sent under its device alone",
			zap.Int("ids", n), zap.Int("min_id_length", x.cfg.MinIDLength),
			zap.String("hint", "if the Amplitude project accepts shorter ids, lower min_id_length here and identity::min_id_length in the processor amplitude_experiment"))
	}

	d := &delivery{sender: x.sender, batch: b, tries: try.Number, refused: &x.refused}
	last := try.Last || x.isLast(try)
	d.last = func(int) bool { return last }
	d.stopping = try.Last
	if x.slow.busy() {
		d.resting = x.slow.rests
	}
	if len(b.events) > 0 {
		p := x.partitioners.Get().(*partitioner)
		d.run(ctx, p.split(b, min(x.cfg.Concurrency, x.envelope.lanes(b))))
		x.partitioners.Put(p)
	}
	x.settle(ctx, d)
	if try.Waiting && time.Since(try.Since) >= asideAfter {
		x.setAside(d)
	}
	x.park(ctx, d)
	if d.accepted > 0 {
		x.slow.othersGetThrough()
	}
	if last {
		x.endRetries(ctx, d) // for events that did not fit into the slow lane
	}
	if try.Last || (last && !x.cfg.RetryConfig.Enabled) {
		x.lose(ctx, d) // it will not be retried
	}
	return x.leftOver(ctx, d)
}

// untilCut returns a context that is canceled when a shutdown has waited long enough.
func (x *amplitudeExporter) untilCut(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(x.life, cancel)
	return ctx, func() { stop(); cancel() }
}

// isLast reports whether what this attempt leaves over is given up. Without a queue, the sender decides.
func (x *amplitudeExporter) isLast(try orderedqueue.Try) bool {
	if !x.cfg.RetryConfig.Enabled {
		return !x.cfg.senderWaits()
	}
	return x.isOver(try.Since)
}

// isOver reports whether the retries that began at a time have lasted long enough.
func (x *amplitudeExporter) isOver(since time.Time) bool {
	longest := x.cfg.RetryConfig.MaxElapsedTime
	return longest > 0 && time.Since(since) >= longest
}

// park moves throttled and failing events to the slow lane. Those that find no room become pending again, and so do
// those behind a pending event of the same user or device, because they would overtake it in the slow lane.
func (x *amplitudeExporter) park(ctx context.Context, d *delivery) {
	var throttled []*batchEvent
	pending := map[event.Identity]struct{}{}
	for i := range d.batch.events {
		e := &d.batch.events[i]
		if e.state == stateThrottled || e.state == stateFailing {
			_, byUser := pending[e.user]
			_, byDevice := pending[e.device]
			if !byUser && !byDevice {
				throttled = append(throttled, e)
				continue
			}
			e.state = statePending
			d.fail(errBehindPending, 0)
		}
		if e.state == statePending {
			for _, id := range [...]event.Identity{e.user, e.device} {
				if id != 0 {
					pending[id] = struct{}{}
				}
			}
		}
	}
	if len(throttled) == 0 {
		return
	}
	if beyond := x.slow.beyondShare(throttled); len(beyond) > 0 {
		for _, e := range beyond {
			e.state, e.failure.Reason = stateUndeliverable, event.ReasonSlowLaneShare
		}
		throttled = slices.DeleteFunc(throttled, func(e *batchEvent) bool { return e.state == stateUndeliverable })
		x.endRetries(ctx, d)
	}
	for _, e := range throttled {
		d.batch.locate(&e.origin)
	}
	parked, err := x.slow.add(ctx, throttled)
	if err != nil {
		d.fail(err, throttleWait)
	}
	x.tel.events(ctx, outcomeThrottled, parked)
	for _, e := range throttled[parked:] {
		e.state = statePending
	}
}

// leftOver returns the error that asks to retry what is left, or nil.
func (x *amplitudeExporter) leftOver(ctx context.Context, d *delivery) error {
	left := len(d.batch.rejected)
	for i := range d.batch.events {
		if d.batch.events[i].state == statePending {
			left++
		}
	}
	if x.cfg.senderWaits() {
		x.tel.received(ctx, d.batch.records-left)
	}
	if left == 0 {
		if d.accepted > 0 {
			x.health.fine()
		}
		return nil
	}
	x.tel.events(ctx, outcomeRetried, left)
	err := d.failure
	if err == nil {
		err = errPaused
	}
	x.health.holding(err, left)
	if left < d.batch.records {
		var parts chunk.Parts
		for i := range d.batch.events {
			if e := &d.batch.events[i]; e.state == statePending {
				parts = parts.With(e.chunk, e.number)
			}
		}
		for _, u := range d.batch.rejected {
			parts = parts.With(u.chunk, u.number)
		}
		err = orderedqueue.NewLeft(err, parts)
	}
	if wait := max(d.wait, x.patience(d)); wait > 0 {
		err = exporterhelper.NewThrottleRetry(err, wait)
	}
	return err
}

// patience returns how long to wait if a failure may last until someone changes something: the back-off, but growing
// beyond what suits an outage.
func (x *amplitudeExporter) patience(d *delivery) time.Duration {
	if !d.patient || d.accepted > 0 {
		return 0
	}
	wait := float64(x.cfg.RetryConfig.InitialInterval) * math.Pow(max(1, x.cfg.RetryConfig.Multiplier), float64(d.tries))
	return time.Duration(min(wait, float64(longestPatience)))
}

// unreadable counts and logs a request on disk that cannot be read. How many events it had is unknown.
func (x *amplitudeExporter) unreadable(store string, err error, where zap.Field) {
	x.tel.ExporterAmplitudeUnreadableRequests.Add(context.Background(), 1, x.tel.with("store", store))
	x.set.Logger.Error("A request on disk cannot be read and its events are lost: check the disk, and resend them from their source if possible",
		zap.String("store", store), where, zap.Error(err))
}
