// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudeexporter // import "github.com/otelcol-amplitude/otelcol-amplitude/exporter/amplitudeexporter"

import (
	"context"
	"iter"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/otelcol-amplitude/otelcol-amplitude/exporter/amplitudeexporter/internal/event"
	"github.com/otelcol-amplitude/otelcol-amplitude/exporter/amplitudeexporter/internal/records"
)

// work delivers events as they become due, until ctx ends.
func (s *slowLane) work(ctx context.Context) {
	defer close(s.stopped)
	for {
		ready, next := s.plan(s.clock.Now())
		if len(ready) > 0 {
			s.round(ctx, ready)
			if ctx.Err() != nil {
				return
			}
			continue
		}
		var due <-chan time.Time
		stop := func() {}
		if !next.IsZero() {
			due, stop = s.clock.At(next)
		}
		select {
		case <-ctx.Done():
		case <-s.wake:
		case <-due:
		}
		stop()
		if ctx.Err() != nil {
			return
		}
	}
}

// plan returns the events that can be tried now, in order, or when there will be some (zero: never).
func (s *slowLane) plan(now time.Time) (ready []*slowEntry, next time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.entries) == 0 {
		return nil, time.Time{}
	}
	for _, until := range [...]time.Time{s.retryAt, s.exporter.pauseEnds()} {
		if until.After(now) && until.After(next) {
			next = until
		}
	}
	if !next.IsZero() {
		return nil, next
	}
	// A waiting event makes all later ones of its user and device wait.
	blocked := map[event.Identity]struct{}{}
	taken := map[event.Identity]int{}
	block := func(e *slowEntry) {
		blocked[e.user], blocked[e.device] = struct{}{}, struct{}{}
		delete(blocked, 0)
	}
	for _, e := range s.entries {
		if len(ready) >= s.perRequest {
			break
		}
		_, byUser := blocked[e.user]
		_, byDevice := blocked[e.device]
		if byUser || byDevice {
			block(e)
			continue
		}
		full := false
		var due time.Time
		for _, id := range [...]event.Identity{e.user, e.device} {
			if r := s.resting[id]; r != nil {
				if r.due.After(now) && r.due.After(due) {
					due = r.due
				}
				full = full || taken[id] >= r.burst
			}
		}
		if full || !due.IsZero() {
			if !due.IsZero() && (next.IsZero() || due.Before(next)) {
				next = due
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

// round tries to deliver the events.
func (s *slowLane) round(ctx context.Context, ready []*slowEntry) {
	tries := make([]slowTry, len(ready))
	for i, e := range ready {
		tries[i] = slowTry{e.Ref, e.since, e.failures}
	}
	s.conclude(ctx, ready, s.exporter.attempt(ctx, tries))
}

// conclude removes what is finished, and sets when the rest is due.
func (s *slowLane) conclude(ctx context.Context, tried []*slowEntry, a attemptResult) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.clock.Now()
	touched := map[*slowChunk]struct{}{}
	for i, e := range tried {
		result := a.results[i]
		if result.state == stateFailing {
			e.failures++
			result.wait = min(slowBackOff<<min(e.failures, maxFailures), slowBackOffMax)
		}
		switch result.state {
		case stateThrottled, stateFailing:
			s.postpone(e, now.Add(result.wait))
		case stateDelivered, stateEnded:
			s.remove(e)
			touched[e.chunk] = struct{}{}
		}
	}
	s.adaptBursts(tried, a.results)
	if a.failure != nil {
		s.backOff = min(max(2*s.backOff, slowBackOff), slowBackOffMax)
		s.retryAt = now.Add(max(s.backOff, a.wait))
	} else {
		s.backOff, s.retryAt = 0, time.Time{}
	}
	s.entries = slices.DeleteFunc(s.entries, func(e *slowEntry) bool { return e.gone })
	if s.store == nil {
		return
	}
	for c := range touched {
		if err := s.store.shrink(ctx, c, s.remaining(c)); err != nil {
			// The events are finished; if they come back after a restart, their insert_id makes that harmless.
			s.log.Warn("Failed to update the storage of the slow lane", zap.Error(err))
		}
	}
}

// postpone makes the user and the device of an event wait. The caller holds the lock.
func (s *slowLane) postpone(e *slowEntry, due time.Time) {
	for r := range s.restingOf(e) {
		r.due = maxTime(r.due, due)
	}
}

// remove takes an event out of all counts; the caller, who holds the lock, removes it from the entries.
func (s *slowLane) remove(e *slowEntry) {
	for r, id := range s.restingOf(e) {
		if !e.beyond {
			r.within--
		}
		if r.events--; r.events == 0 {
			delete(s.resting, id)
		}
	}
	e.gone = true
	if !e.beyond {
		s.within--
	}
	e.chunk.live--
}

// adaptBursts halves the bursts of users and devices that were throttled, and doubles those of the others that were
// tried. The caller holds the lock.
func (s *slowLane) adaptBursts(tried []*slowEntry, results []eventResult) {
	counts := map[event.Identity]int{}
	throttled := map[event.Identity]bool{}
	for i, e := range tried {
		for _, id := range [...]event.Identity{e.user, e.device} {
			counts[id]++
			throttled[id] = throttled[id] || results[i].state == stateThrottled || results[i].state == stateFailing
		}
	}
	for id, n := range counts {
		switch r := s.resting[id]; {
		case r == nil: // all of its events are finished, or there is no id
		case throttled[id]:
			r.burst = max(1, min(r.burst, n)/2)
		default:
			r.burst = min(2*r.burst, slowBurst)
		}
	}
}

// restingOf yields the user and the device of an event, as far as it has them.
func (s *slowLane) restingOf(e *slowEntry) iter.Seq2[*resting, event.Identity] {
	return func(yield func(*resting, event.Identity) bool) {
		for _, id := range [...]event.Identity{e.user, e.device} {
			if r := s.resting[id]; r != nil && !yield(r, id) {
				return
			}
		}
	}
}

// remaining yields the records of a chunk that still wait.
func (s *slowLane) remaining(c *slowChunk) func(yield func(records.Ref) bool) {
	return func(yield func(records.Ref) bool) {
		for _, e := range s.entries {
			if e.chunk == c && !yield(e.Ref) {
				return
			}
		}
	}
}
