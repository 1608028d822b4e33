// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudeexporter // import "github.com/otelcol-amplitude/otelcol-amplitude/exporter/amplitudeexporter"

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/otel/metric"
	"go.uber.org/zap"

	"github.com/otelcol-amplitude/otelcol-amplitude/exporter/amplitudeexporter/internal/event"
	"github.com/otelcol-amplitude/otelcol-amplitude/exporter/amplitudeexporter/internal/records"
)

const (
	// slowBurst is how many events of one user or device a round of the slow lane sends at most; half
	// as many after each throttling, twice as many after each success. Amplitude averages 30 a second.
	slowBurst = 256
	// slowBackOff is the first pause of the slow lane after a failure that is not about one user; it doubles up to slowBackOffMax.
	slowBackOff    = 5 * time.Second
	slowBackOffMax = 5 * time.Minute
)

// errSlowLaneFull asks for another try of events that find no room.
var errSlowLaneFull = errors.New("the slow lane is full (slow_lane::max_events)")

// slowLane holds the events of users and devices that Amplitude throttles, so that all others go on
// at full speed. Later events of the same user or device queue up behind. With a storage the events
// are on disk before they leave the sending queue.
type slowLane struct {
	x     *amplitudeExporter
	store *slowStore // nil without storage

	mu sync.Mutex
	// entries are in the order in which they came.
	entries []*slowEntry
	resting map[event.Identity]*resting
	// retryAt is when the next try makes sense after a failure that concerns everybody.
	retryAt time.Time
	backOff time.Duration

	wake    chan struct{}
	cancel  context.CancelFunc
	stopped chan struct{} // closed when the worker has ended; nil when it never ran
	once    sync.Once
	closed  error
}

// slowEntry is an event in the slow lane.
type slowEntry struct {
	records.Ref
	user, device event.Identity
	chunk        *slowChunk
	gone         bool
}

// resting is a user or device with events in the slow lane.
type resting struct {
	events int
	// due is when Amplitude may be asked again.
	due   time.Time
	burst int
}

func newSlowLane(x *amplitudeExporter) *slowLane {
	return &slowLane{x: x, resting: map[event.Identity]*resting{}, wake: make(chan struct{}, 1)}
}

// start reads what a former run left on disk, and begins to work.
func (s *slowLane) start(ctx context.Context, host component.Host) error {
	if queue := s.x.cfg.QueueConfig.Get(); queue != nil && queue.StorageID != nil {
		store, chunks, err := openSlowStore(ctx, host, s.x.set.ID, *queue.StorageID, func(number uint64, err error) {
			s.x.unreadable(storeSlowLane, err, zap.String("key", chunkKey(number)))
		})
		if err != nil {
			return err
		}
		s.store = store
		s.restore(chunks)
	}
	err := s.x.tel.RegisterExporterAmplitudeSlowLaneEventsCallback(func(_ context.Context, o metric.Int64Observer) error {
		s.mu.Lock()
		defer s.mu.Unlock()
		o.Observe(int64(len(s.entries)), metric.WithAttributeSet(s.x.tel.base))
		return nil
	})
	if err != nil {
		return err
	}
	work, cancel := context.WithCancel(context.Background())
	s.cancel, s.stopped = cancel, make(chan struct{})
	go s.work(work)
	return nil
}

// restore takes up the events of a former run; each may be tried at once.
func (s *slowLane) restore(chunks []*slowChunk) {
	b := s.x.getBatch()
	defer s.x.putBatch(b)
	for _, c := range chunks {
		before := len(s.entries)
		for p := range records.All(c.logs) {
			events := len(b.events)
			b.add(p)
			e := &slowEntry{Ref: p, chunk: c}
			// A record that this configuration no longer takes has no event.Identity; the next round ends it.
			if len(b.events) > events {
				e.user, e.device = b.events[events].user, b.events[events].device
			}
			s.enter(e, time.Time{})
		}
		c.live = len(s.entries) - before
		c.logs = plog.Logs{}
	}
}

// enter appends an entry; its user and device rest at least until due.
func (s *slowLane) enter(e *slowEntry, due time.Time) {
	s.entries = append(s.entries, e)
	for _, id := range [...]event.Identity{e.user, e.device} {
		if id == 0 {
			continue
		}
		r := s.resting[id]
		if r == nil {
			r = &resting{burst: slowBurst}
			s.resting[id] = r
		}
		r.events++
		r.due = maxTime(r.due, due)
	}
}

func maxTime(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// busy tells whether there is anything in the slow lane. Only add puts something there.
func (s *slowLane) busy() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.entries) > 0
}

// holds tells whether events of the user or device wait here.
func (s *slowLane) holds(user, device event.Identity) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.resting[user] != nil || s.resting[device] != nil
}

// add takes events over, in order, as many as there is room for. When it returns, those are on disk
// if there is a storage.
func (s *slowLane) add(ctx context.Context, events []*batchEvent) (added int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.x.clock.Now()
	if room := max(0, s.x.cfg.SlowLane.MaxEvents-len(s.entries)); room < len(events) {
		events, err = events[:room], errSlowLaneFull
	}
	for part := range slices.Chunk(events, slowChunkEvents) {
		logs := records.Collect(func(yield func(records.Ref) bool) {
			for _, e := range part {
				if !yield(e.Ref) {
					return
				}
			}
		})
		c := &slowChunk{live: len(part)}
		if s.store != nil {
			if err := s.store.put(ctx, c, logs); err != nil {
				return added, err
			}
		}
		i := 0
		for p := range records.All(logs) {
			e := part[i]
			s.enter(&slowEntry{Ref: p, user: e.user, device: e.device, chunk: c}, now.Add(e.wait))
			i++
		}
		added += len(part)
	}
	select {
	case s.wake <- struct{}{}:
	default:
	}
	return added, err
}

// work delivers events as they become due, until ctx ends.
func (s *slowLane) work(ctx context.Context) {
	defer close(s.stopped)
	for {
		ready, next := s.plan(s.x.clock.Now())
		if len(ready) > 0 {
			s.round(ctx, ready)
			if ctx.Err() != nil {
				return
			}
			continue
		}
		var timer <-chan time.Time
		if next > 0 {
			timer = s.x.clock.After(next)
		}
		select {
		case <-ctx.Done():
			return
		case <-s.wake:
		case <-timer:
		}
	}
}

// plan returns the events that can be tried now, in order, or how long it is until there are some (0: never).
func (s *slowLane) plan(now time.Time) (ready []*slowEntry, next time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.entries) == 0 {
		return nil, 0
	}
	if wait := max(s.retryAt.Sub(now), s.x.sender.pauseLeft()); wait > 0 {
		return nil, wait
	}
	// An event that has to wait makes all later ones of its user and device wait.
	blocked := map[event.Identity]struct{}{}
	taken := map[event.Identity]int{}
	block := func(e *slowEntry) {
		blocked[e.user], blocked[e.device] = struct{}{}, struct{}{}
		delete(blocked, 0)
	}
	for _, e := range s.entries {
		if len(ready) >= s.x.envelope.limits.events {
			break
		}
		_, byUser := blocked[e.user]
		_, byDevice := blocked[e.device]
		if byUser || byDevice {
			block(e)
			continue
		}
		full := false
		var wait time.Duration
		for _, id := range [...]event.Identity{e.user, e.device} {
			if r := s.resting[id]; r != nil {
				wait = max(wait, r.due.Sub(now))
				full = full || taken[id] >= r.burst
			}
		}
		if wait > 0 || full {
			if wait > 0 && (next == 0 || wait < next) {
				next = wait
			}
			block(e)
			continue
		}
		taken[e.user]++
		taken[e.device]++
		ready = append(ready, e)
	}
	return ready, next
}

// round tries to deliver the events, one request at a time.
func (s *slowLane) round(ctx context.Context, ready []*slowEntry) {
	b := s.x.getBatch()
	defer s.x.putBatch(b)
	var encoded, other []*slowEntry
	for _, e := range ready {
		events := len(b.events)
		b.add(e.Ref)
		if len(b.events) > events {
			encoded = append(encoded, e)
		} else {
			other = append(other, e)
		}
	}
	d := &delivery{sender: s.x.sender, batch: b}
	if len(encoded) > 0 {
		indexes := make([]int32, len(encoded))
		for i := range indexes {
			indexes[i] = int32(i)
		}
		d.run(ctx, [][]int32{indexes})
	}
	unwritten := s.x.settle(ctx, d)
	if d.accepted > 0 {
		s.x.health.fine()
	}
	s.conclude(ctx, d, encoded, other, len(unwritten) > 0)
}

// conclude takes out what is done with, and sets when the rest is due.
func (s *slowLane) conclude(ctx context.Context, d *delivery, encoded, other []*slowEntry, keepOther bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.x.clock.Now()
	touched := map[*slowChunk]struct{}{}
	tried := map[event.Identity]int{}
	refused := map[event.Identity]struct{}{}
	for i, e := range encoded {
		for _, id := range [...]event.Identity{e.user, e.device} {
			tried[id]++
			if d.batch.events[i].state == stateThrottled {
				refused[id] = struct{}{}
			}
		}
	}
	remove := func(e *slowEntry) {
		e.gone = true
		e.chunk.live--
		touched[e.chunk] = struct{}{}
		for _, id := range [...]event.Identity{e.user, e.device} {
			if r := s.resting[id]; r != nil {
				if r.events--; r.events == 0 {
					delete(s.resting, id)
				}
			}
		}
	}
	for i, e := range encoded {
		switch ev := &d.batch.events[i]; ev.state {
		case stateDelivered, stateUndeliverable:
			remove(e)
		case stateThrottled:
			for _, id := range [...]event.Identity{e.user, e.device} {
				if r := s.resting[id]; r != nil {
					r.due = maxTime(r.due, now.Add(ev.wait))
				}
			}
		}
	}
	for id, n := range tried {
		if r := s.resting[id]; r != nil {
			if _, throttled := refused[id]; throttled {
				r.burst = max(1, min(r.burst, n)/2)
			} else {
				r.burst = min(2*r.burst, slowBurst)
			}
		}
	}
	if !keepOther {
		for _, e := range other {
			remove(e)
		}
	}
	if d.failure != nil {
		s.backOff = min(max(2*s.backOff, slowBackOff), slowBackOffMax)
		s.retryAt = now.Add(max(s.backOff, d.wait))
		s.x.health.failing(d.failure)
		s.x.log.Info("The slow lane has to wait", zap.Error(d.failure), zap.Int("events", len(s.entries)))
	} else {
		s.backOff, s.retryAt = 0, time.Time{}
	}
	s.entries = slices.DeleteFunc(s.entries, func(e *slowEntry) bool { return e.gone })
	if s.store == nil {
		return
	}
	for c := range touched {
		if err := s.store.shrink(ctx, c, s.remaining(c)); err != nil {
			// The events are done; should they come back after a restart, their insert_id makes that harmless.
			s.x.log.Warn("Failed to update the storage of the slow lane", zap.Error(err))
		}
	}
}

// remaining are the records of a chunk that still wait.
func (s *slowLane) remaining(c *slowChunk) func(yield func(records.Ref) bool) {
	return func(yield func(records.Ref) bool) {
		for _, e := range s.entries {
			if e.chunk == c && !yield(e.Ref) {
				return
			}
		}
	}
}

// shutdown stops the worker. What is on disk stays there; without a storage everything is tried once
// more, and what is left is dead-lettered.
func (s *slowLane) shutdown(ctx context.Context) error {
	s.once.Do(func() { s.closed = s.close(ctx) })
	return s.closed
}

func (s *slowLane) close(ctx context.Context) error {
	if s.stopped != nil {
		s.cancel()
		<-s.stopped
	}
	if s.store != nil {
		return s.store.close(ctx)
	}
	if len(s.entries) > 0 {
		s.lastTry(ctx)
	}
	return nil
}

// lastTry runs when the worker has ended, so nothing else touches the entries.
func (s *slowLane) lastTry(ctx context.Context) {
	s.retryAt = time.Time{}
	s.x.sender.pausedUntil.Store(nil)
	for _, r := range s.resting {
		r.due, r.burst = time.Time{}, len(s.entries)
	}
	for before := 0; len(s.entries) != before && ctx.Err() == nil; {
		before = len(s.entries)
		if ready, _ := s.plan(s.x.clock.Now()); len(ready) > 0 {
			s.round(ctx, ready)
		}
	}
	var left []undeliverable
	for _, e := range s.entries {
		left = append(left, undeliverable{e.Ref, event.Failure{Reason: event.ReasonShutdown}})
	}
	s.mu.Lock()
	s.entries = nil
	s.mu.Unlock()
	if n, err := s.x.bury(context.WithoutCancel(ctx), left); err != nil {
		s.x.log.Error("Events of the slow lane are lost: the dead letter file cannot be written",
			zap.Int("events", len(left)-n), zap.Error(err))
		var lost tally
		lost[event.ReasonShutdown] = len(left) - n
		s.x.count(context.WithoutCancel(ctx), outcomeDropped, &lost)
	}
}
