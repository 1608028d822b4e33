// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package sandbox // import "github.com/otelcol-amplitude/otelcol-amplitude/sandbox"

import (
	"context"
	"regexp"
	"sync"
	"time"
)

// store is the state of a sandbox. Its parts share it and one lock, so readers see the changes of a request as a whole.
type store struct {
	config Config
	clock  clock
	closed context.Context // done when the sandbox stops: it ends streams and waits

	mu       sync.Mutex
	behavior Behavior
	waf      []*regexp.Regexp
	projects map[string]*project // by API key
	order    []*project
	seq      uint64 // of the newest entry
	requests uint64 // number of the newest request
	epoch    uint64 // counts resets
	events   *ring[*entry]
	log      *ring[*request]
	warnings *ring[warning]
	stats    stats
	script   script
	forced   forced
	retries  retries
	inflight map[idKey]int
	changed  chan struct{} // closed and replaced when something happens

	// records is the Collector in this process, nil without one; recordsBefore are its counts at the last reset.
	records       Records
	recordsBefore map[string]uint64

	large    slots // for large bodies
	watching slots // for streams and waits
}

// clear drops everything and restores the configured behavior. The caller holds the lock, or no other goroutine is
// running.
func (s *store) clear() {
	r := s.config.Retention
	share := r.PropertyBytes / heldShare / int64(len(s.config.projects())) // of a project
	s.projects, s.order = map[string]*project{}, nil
	for i, p := range s.config.projects() {
		one := &project{
			number: i + 1, apiKey: p.APIKey, region: p.Region,
			identities: newIdentities(r.Users, r.PropertyBytes/heldShare), dedupe: dedupe{limit: r.DedupeKeys},
			groups: newGroups(share), flags: newExperiments(share, s.config.Weights),
		}
		s.projects[one.apiKey] = one
		s.order = append(s.order, one)
	}
	s.events = newRing(r.Events, r.EventBytes, (*entry).size)
	s.log = newRing(r.Requests, r.RequestBytes, (*request).size)
	s.warnings = newRing(warningsKept, 1<<20, warning.size)
	s.forced = newForced()
	s.script = script{lastID: s.script.lastID}
	s.inflight = map[idKey]int{}
	s.retries = newRetries()
	s.stats = newStats(s.clock.now())
	s.setBehavior(s.config.Behavior)
	s.forgetRecords()
}

// setBehavior takes a valid behavior.
func (s *store) setBehavior(b Behavior) {
	s.behavior = b
	s.waf = nil
	for _, pattern := range b.WAFPatterns {
		s.waf = append(s.waf, regexp.MustCompile(pattern))
	}
}

// notify wakes streams and waits. The caller holds the lock.
func (s *store) notify() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// reset drops everything that was sent, forced or configured since startup.
func (s *store) reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clock.reset()
	s.clear()
	s.epoch++
	s.notify()
}

// advance moves the clock of every window forward.
func (s *store) advance(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clock.advance(d)
	s.notify()
}

// changeBehavior changes how the sandbox answers from now on, until a reset.
func (s *store) changeBehavior(change func(*Behavior)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.behavior
	change(&b)
	if err := b.validate(); err != nil {
		return err
	}
	s.setBehavior(b)
	return nil
}
