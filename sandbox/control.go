// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package sandbox // import "github.com/otelcol-amplitude/otelcol-amplitude/sandbox"

import "time"

// Reset drops everything that was sent, forced or configured since startup.
func (s *Server) Reset() { s.store.reset() }

// SetBehavior changes how the sandbox answers from now on, until Reset.
func (s *Server) SetBehavior(change func(*Behavior)) error { return s.store.changeBehavior(change) }

// Advance moves the clock of every window forward, for example past a throttling or de-duplication window.
func (s *Server) Advance(d time.Duration) { s.store.advance(d) }

// AddFaults appends to the fault script and returns the faults with their ids.
func (s *Server) AddFaults(faults ...Fault) ([]Fault, error) { return s.store.addFaults(faults) }

// RemoveFault deletes a fault, or all of them if id is 0, and reports whether there was one.
func (s *Server) RemoveFault(id int) bool { return s.store.removeFault(id) }

// Faults returns the current script; keys to match are masked.
func (s *Server) Faults() []Fault { return s.store.faults() }

// Throttle answers 429 for these users and devices until d has passed by the sandbox's clock; 0 is forever.
func (s *Server) Throttle(d time.Duration, ids ...string) { s.store.force(throttledIDs, d, ids) }

// ExceedQuota answers as if these users and devices were over their daily quota, until d has passed.
func (s *Server) ExceedQuota(d time.Duration, ids ...string) { s.store.force(overQuotaIDs, d, ids) }

// Silence answers 400 for these devices until Reset.
func (s *Server) Silence(devices ...string) { s.store.silence(devices) }
