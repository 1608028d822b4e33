// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudeexporter // import "github.com/otelcol-amplitude/otelcol-amplitude/exporter/amplitudeexporter"

import (
	"context"
	"errors"
	"iter"
	"slices"
	"sync"
	"time"

	"go.opentelemetry.io/collector/exporter/exporterhelper"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.uber.org/zap"

	"github.com/otelcol-amplitude/otelcol-amplitude/exporter/amplitudeexporter/internal/event"
	"github.com/otelcol-amplitude/otelcol-amplitude/exporter/amplitudeexporter/internal/records"
)

const (
	// slowBurst is the maximum number of events of one user or device per round of the slow lane; halved after each
	// throttling, doubled after each success. Amplitude averages 30 a second.
	slowBurst = 256
	// slowBackOff is the first pause of the slow lane after a failure that is not about one user; it doubles up to slowBackOffMax.
	slowBackOff    = 5 * time.Second
	slowBackOffMax = 5 * time.Minute
	// maxFailures is how often an event may fail on its own, while others get through, before it is given up. With the
	// doubling pauses in between, that takes twenty minutes.
	maxFailures = 10
)

// errSlowLaneFull asks to retry events that find no room.
var errSlowLaneFull = errors.New("the slow lane is full (slow_lane::max_events)")

// slowLaneExporter is what the slow lane needs from the exporter.
type slowLaneExporter interface {
	// identify yields the user and device of each record, or zeros for one that this configuration no longer accepts.
	identify(refs iter.Seq[records.Ref]) iter.Seq2[records.Ref, [2]event.Identity]
	// attempt delivers events, in order and one request at a time, and settles the results.
	attempt(ctx context.Context, tries []slowTry) attemptResult
	// giveUp ends events that cannot be delivered anymore.
	giveUp(ctx context.Context, refs []records.Ref, why event.Failure)
	// pauseEnds returns when the project may be sent to again, in the past if it is not throttled; endPause ends the
	// pause.
	pauseEnds() time.Time
	endPause()
}

// slowTry is an event to be tried: when it arrived here, and how often it failed on its own while others got through.
type slowTry struct {
	ref      records.Ref
	since    time.Time
	failures int
}

// attemptResult is the result of one attempt to deliver events of the slow lane.
type attemptResult struct {
	// results are in the order of the events.
	results []eventResult
	// failure is why unthrottled events are left over, or nil; wait is how long to leave them.
	failure error
	wait    time.Duration
}

// eventResult is what became of one event; wait is how long a throttled one has to wait.
type eventResult struct {
	state state
	wait  time.Duration
}

// slowLane holds the events of users and devices that Amplitude throttles, so that all others continue at full speed.
// Later events of the same user or device queue up behind. With a storage, the events are on disk before they leave the
// sending queue.
type slowLane struct {
	exporter slowLaneExporter
	clock    clock
	log      *zap.Logger
	// maxEvents bounds the events kept, and perRequest those of one attempt.
	maxEvents, perRequest int
	// share is the fraction of the room left by others that the events of one user or device may fill; spare is how
	// many more are kept beyond that if there is no dead letter file for them.
	share float64
	spare int
	store *slowStore // nil without storage

	mu sync.Mutex
	// entries are in the order of arrival; within of them are within a share.
	entries []*slowEntry
	within  int
	resting map[event.Identity]*resting
	// retryAt is when the next attempt makes sense after a failure that affects everyone.
	retryAt time.Time
	backOff time.Duration

	wake    chan struct{}
	cancel  context.CancelFunc
	stopped chan struct{} // closed when the worker has ended; nil if it never ran
	once    sync.Once
	closed  error
}

// slowEntry is an event in the slow lane.
type slowEntry struct {
	records.Ref
	user, device event.Identity
	chunk        *slowChunk
	since        time.Time
	failures     int
	gone         bool
	beyond       bool
}

// resting is a user or device with events in the slow lane.
type resting struct {
	// within of the events are within the share.
	events, within int
	// due is when the next attempt may be made.
	due   time.Time
	burst int
}

func newSlowLane(x slowLaneExporter, cfg *Config, perRequest int, c clock, log *zap.Logger) *slowLane {
	s := &slowLane{
		exporter: x, clock: c, log: log, maxEvents: cfg.SlowLane.MaxEvents, perRequest: perRequest, share: cfg.SlowLane.MaxShare,
		resting: map[event.Identity]*resting{}, wake: make(chan struct{}, 1),
	}
	if cfg.DeadLetter.Path == "" {
		s.spare = s.maxEvents
		if queue := cfg.QueueConfig.Get(); queue != nil && queue.Sizer == exporterhelper.RequestSizerTypeItems {
			s.spare = int(queue.QueueSize)
		}
	}
	return s
}

// start restores what an earlier process left in the storage, if there is one, and starts the worker.
func (s *slowLane) start(store *slowStore, left []*slowChunk) {
	s.store = store
	s.restore(left)
	work, cancel := context.WithCancel(context.Background())
	s.cancel, s.stopped = cancel, make(chan struct{})
	go s.work(work)
}

// restore restores the events of an earlier process; each may be tried immediately.
func (s *slowLane) restore(chunks []*slowChunk) {
	for _, c := range chunks {
		c.live = 0
		for ref, ids := range s.exporter.identify(records.All(c.logs)) {
			ref.Arrived = c.arrived
			e := &slowEntry{Ref: ref, user: ids[0], device: ids[1], chunk: c}
			e.beyond = !s.fits(e.user, e.device, nil, 0)
			s.enter(e, time.Time{})
			c.live++
		}
		c.logs = plog.Logs{}
	}
}

// enter appends an entry; its user and device wait at least until due.
func (s *slowLane) enter(e *slowEntry, due time.Time) {
	e.since = time.Now()
	s.entries = append(s.entries, e)
	if !e.beyond {
		s.within++
	}
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
		if !e.beyond {
			r.within++
		}
		r.due = maxTime(r.due, due)
	}
}

func maxTime(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// waiting returns how many events are in the slow lane.
func (s *slowLane) waiting() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.entries)
}

// oldest returns the arrival time of the earliest event, or 0.
func (s *slowLane) oldest() (earliest int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return records.Earliest(records.From(s.entries, func(e *slowEntry) int64 { return e.Arrived }))
}

// othersGetThrough ends a pause after a failure: what failed may be failing on its own.
func (s *slowLane) othersGetThrough() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.retryAt.IsZero() {
		return
	}
	s.backOff, s.retryAt = 0, time.Time{}
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// busy reports whether there is anything in the slow lane. Only add puts something there.
func (s *slowLane) busy() bool {
	return s.waiting() > 0
}

// rests reports whether events of the user or device wait here.
func (s *slowLane) rests(user, device event.Identity) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.resting[user] != nil || s.resting[device] != nil
}

// beyondShare finds the events that exceed the share of their user or device in the slow lane. It marks those for which
// there is spare room, and returns the others.
func (s *slowLane) beyondShare(events []*batchEvent) (beyond []*batchEvent) {
	s.mu.Lock()
	defer s.mu.Unlock()
	more, all := map[event.Identity]int{}, 0
	spare := s.spare - (len(s.entries) - s.within)
	for _, e := range events {
		e.beyond = !s.fits(e.user, e.device, more, all)
		switch {
		case !e.beyond:
			more[e.user]++
			more[e.device]++
			all++
		case spare > 0:
			spare--
		default:
			beyond = append(beyond, e)
		}
	}
	return beyond
}

// fits reports whether another event of a user and a device is within their share, given those here and more to come.
func (s *slowLane) fits(user, device event.Identity, more map[event.Identity]int, all int) bool {
	for _, id := range [...]event.Identity{user, device} {
		if id == 0 || s.share == 1 {
			continue
		}
		own := more[id]
		if r := s.resting[id]; r != nil {
			own += r.within
		}
		others := s.within + all - own
		if own >= max(1, int(s.share*float64(s.maxEvents-others))) {
			return false
		}
	}
	return true
}

// add takes over events in order, as many as fit. When it returns, they are on disk if there is a storage.
func (s *slowLane) add(ctx context.Context, events []*batchEvent) (added int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.clock.Now()
	room := s.maxEvents - s.within
	if full := slices.IndexFunc(events, func(e *batchEvent) bool {
		if !e.beyond {
			room--
		}
		return room < 0
	}); full >= 0 {
		events, err = events[:full], errSlowLaneFull
	}
	for part := range slices.Chunk(events, slowChunkEvents) {
		logs := records.Collect(records.From(part, func(e *batchEvent) records.Ref { return e.Ref }))
		c := &slowChunk{live: len(part)}
		if s.store != nil {
			c.arrived = records.Earliest(records.From(part, func(e *batchEvent) int64 { return e.Arrived }))
			if err := s.store.put(ctx, c, logs); err != nil {
				return added, err
			}
		}
		i := 0
		for p := range records.All(logs) {
			e := part[i]
			p.Arrived = e.Arrived
			entry := &slowEntry{Ref: p, user: e.user, device: e.device, chunk: c, beyond: e.beyond}
			if e.state == stateFailing {
				entry.failures = 1
			}
			s.enter(entry, now.Add(e.wait))
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

// shutdown stops the worker. What is on disk stays there; without a storage, everything is tried once more, and the
// rest is dead-lettered.
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

// lastTry runs after the worker has ended, so nothing else touches the entries.
func (s *slowLane) lastTry(ctx context.Context) {
	s.retryAt = time.Time{}
	s.exporter.endPause()
	for _, r := range s.resting {
		r.due, r.burst = time.Time{}, len(s.entries)
	}
	for before := 0; len(s.entries) != before && ctx.Err() == nil; {
		before = len(s.entries)
		if ready, _ := s.plan(s.clock.Now()); len(ready) > 0 {
			s.round(ctx, ready)
		}
	}
	left := make([]records.Ref, len(s.entries))
	for i, e := range s.entries {
		left[i] = e.Ref
	}
	s.mu.Lock()
	s.entries = nil
	s.mu.Unlock()
	s.exporter.giveUp(ctx, left, event.Failure{Reason: event.ReasonShutdown})
}
