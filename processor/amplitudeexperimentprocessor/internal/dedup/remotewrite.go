// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package dedup // import "github.com/otelcol-amplitude/otelcol-amplitude/processor/amplitudeexperimentprocessor/internal/dedup"

import (
	"context"
)

// later holds a copy until Redis has answered whether it knows its event. It returns false if Redis is unavailable.
func (m *remote) later(f finished) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.up.Load() {
		return false
	}
	if len(m.finished) >= backlogSize {
		m.setDown(errBacklog)
		return false
	}
	m.finished = append(m.finished, f)
	signal(m.work)
	return true
}

func (m *remote) shareProperty(e *entry[property]) {
	m.add(m.updateOf(e))
}

func (m *remote) updateOf(e *entry[property]) update {
	return update{
		key: m.key(keyProperty, e.ID), value: e.p.value, sure: e.p.is(propertySure), told: e.p.toldAt(), newest: e.p.newest(),
	}
}

func (m *remote) doubt(k ID, value uint64) {
	m.add(update{key: m.key(keyProperty, k), value: value, doubt: true})
}

func (m *remote) shareFact(k ID) { m.add(update{key: m.key(keyFact, k), fact: true}) }

func (m *remote) shareOwner(e *entry[device]) {
	m.add(update{key: m.key(keyOwner, e.ID), user: e.p.owner})
}

func (m *remote) add(u update) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.up.Load() {
		return // it is written from the ledger when Redis is back
	}
	if len(m.updates) >= backlogSize {
		m.setDown(errBacklog)
		return
	}
	m.updates = append(m.updates, u)
	signal(m.work)
}

// run writes to Redis what was settled, until ctx ends.
func (m *remote) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-m.work:
			m.flush(ctx)
		}
	}
}

// flush concludes the copies that wait for Redis, and writes what there is to write.
func (m *remote) flush(ctx context.Context) {
	for {
		m.mu.Lock()
		m.busy = true
		done := m.finished[:min(len(m.finished), updateBatch)]
		m.finished = m.finished[len(done):]
		if len(m.finished) == 0 {
			m.finished = nil
		}
		m.mu.Unlock()
		m.conclude(ctx, done)

		m.mu.Lock()
		updates := m.updates[:min(len(m.updates), updateBatch)]
		m.updates = m.updates[len(updates):]
		if len(m.updates) == 0 {
			m.updates = nil
		}
		m.mu.Unlock()
		if len(updates) > 0 && m.up.Load() {
			if err := m.bounded(ctx, func(ctx context.Context) error { return m.store.update(ctx, updates) }); err != nil {
				m.fail(err)
			}
		}
		if len(done) == 0 && len(updates) == 0 {
			m.mu.Lock()
			m.busy = false
			m.mu.Unlock()
			return
		}
	}
}

// conclude concludes copies; those of events that another replica delivered before move nothing.
func (m *remote) conclude(ctx context.Context, done []finished) {
	if len(done) == 0 {
		return
	}
	l := m.ledger
	var keys []string
	of := make([]int, len(done))
	for i, f := range done {
		of[i] = -1
		s := &l.shards[f.home]
		s.mu.Lock()
		if n := s.way.at(f.number); n.fact != 0 && !n.is(nodeFailed) {
			of[i] = len(keys)
			keys = append(keys, m.key(keyFact, ID{n.home().Hi, n.fact}))
		}
		s.mu.Unlock()
	}
	var existed []bool
	if len(keys) > 0 && m.up.Load() {
		err := m.bounded(ctx, func(ctx context.Context) (err error) {
			existed, err = m.store.add(ctx, keys)
			return err
		})
		if err != nil {
			m.fail(err)
		}
	}
	for i, f := range done {
		l.conclude(f.home, f.number, l.arrival(), of[i] >= 0 && of[i] < len(existed) && existed[of[i]])
	}
}
