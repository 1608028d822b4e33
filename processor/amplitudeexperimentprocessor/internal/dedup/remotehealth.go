// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package dedup // import "github.com/otelcol-amplitude/otelcol-amplitude/processor/amplitudeexperimentprocessor/internal/dedup"

import (
	"context"
	"math/rand/v2"
	"time"

	"go.opentelemetry.io/collector/component/componentstatus"
	"go.uber.org/zap"
)

func (m *remote) bounded(ctx context.Context, do func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), max(m.set.Timeout, connectTimeout))
	defer cancel()
	return do(ctx)
}

// fail stops using Redis until a probe succeeds.
func (m *remote) fail(err error) {
	m.failures.Add(1)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.setDown(err)
}

func (m *remote) setDown(err error) {
	if !m.up.CompareAndSwap(true, false) {
		return
	}
	_, second := m.ledger.now()
	m.away = second - min(second, awayMargin)
	m.updates = nil
	select {
	case m.failed <- err:
	default:
	}
}

// watch reports changes of the state of Redis, and probes it while it is unavailable.
func (m *remote) watch(ctx context.Context) {
	pause := minProbe
	var recovered time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case err := <-m.failed:
			m.logger.Warn("Redis is unavailable; continuing without it", zap.Error(err))
			componentstatus.ReportStatus(m.host, componentstatus.NewRecoverableErrorEvent(err))
		}
		if time.Since(recovered) > steadyTime {
			pause = minProbe
		}
		for {
			timer := time.NewTimer(pause + rand.N(pause/2)) //nolint:gosec // spreads probes, not a secret
			select {
			case <-ctx.Done():
				timer.Stop()
				return
			case <-timer.C:
			}
			pause = min(2*pause, maxProbe)
			if m.recover(ctx) {
				break
			}
		}
		recovered = time.Now()
		m.logger.Info("Redis is available again")
		componentstatus.ReportStatus(m.host, componentstatus.NewEvent(componentstatus.StatusOK))
	}
}

// recover probes Redis, writes what changed while it was unavailable, and starts using it again.
func (m *remote) recover(ctx context.Context) bool {
	if err := m.bounded(ctx, m.store.probe); err != nil {
		m.failures.Add(1)
		return false
	}
	_, second := m.ledger.now()
	m.mu.Lock()
	since := m.away
	m.mu.Unlock()
	if err := m.shareAll(ctx, since); err != nil {
		m.failures.Add(1)
		return false
	}
	m.up.Store(true)
	// What changed in the meantime, before changes are written as they happen again.
	if err := m.shareAll(ctx, second-min(second, 1)); err != nil {
		m.fail(err)
	}
	return true
}

// shareAll writes everything that was touched since a second to Redis.
func (m *remote) shareAll(ctx context.Context, since uint32) (err error) {
	var updates []update
	var facts []string
	flush := func(least int) {
		if err == nil && len(facts) > least {
			err = m.bounded(ctx, func(ctx context.Context) error {
				_, err := m.store.add(ctx, facts)
				return err
			})
			facts = facts[:0]
		}
		if err == nil && len(updates) > least {
			err = m.bounded(ctx, func(ctx context.Context) error { return m.store.update(ctx, updates) })
			updates = updates[:0]
		}
	}
	for i := range m.ledger.shards {
		s := &m.ledger.shards[i]
		each := func(do func(slab int) bool) {
			for slab, more := 0, true; more && err == nil; slab++ {
				s.mu.Lock()
				more = do(slab)
				s.mu.Unlock()
				flush(updateBatch)
			}
		}
		each(func(slab int) bool {
			return s.properties.all(slab, func(e *entry[property]) {
				if e.touched < since {
					return
				}
				if e.p.toldAt() > 0 {
					updates = append(updates, m.updateOf(e))
				}
				if e.p.fact != 0 {
					facts = append(facts, m.key(keyFact, ID{e.Hi, e.p.fact}))
				}
			})
		})
		each(func(slab int) bool {
			return s.facts.all(slab, func(e *entry[delivered]) {
				if e.touched >= since {
					facts = append(facts, m.key(keyFact, e.ID))
				}
			})
		})
		each(func(slab int) bool {
			return s.devices.all(slab, func(e *entry[device]) {
				if bound := s.boundOf(e.ID); e.touched >= since && bound != (ID{}) {
					updates = append(updates, update{key: m.key(keyOwner, e.ID), user: bound})
				}
			})
		})
	}
	flush(0)
	return err
}
