// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package dedup // import "github.com/otelcol-amplitude/otelcol-amplitude/processor/amplitudeexperimentprocessor/internal/dedup"

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/zeebo/xxh3"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componentstatus"
	"go.uber.org/zap"
)

const (
	tellBatch = 500
	// backlogSize bounds what waits for Redis. When it is full, Redis counts as unavailable, and everything that
	// changed since is written later.
	backlogSize = 1 << 16

	minProbe = 100 * time.Millisecond
	maxProbe = 5 * time.Second
	// A Redis that fails again within this time is probed at growing intervals.
	steadyTime = 10 * time.Second
	// awayMargin is added to the time for which Redis was unavailable: what was waiting for it when it failed was not
	// written.
	awayMargin = 10
)

var errBacklog = errors.New("redis does not keep up")

// remote shares the ledger between replicas. When Redis fails or takes too long, it is not used until a background
// probe succeeds, so that no batch waits for a dead server.
type remote struct {
	ledger *Ledger
	set    RedisSettings
	logger *zap.Logger
	prefix string // of every key
	store  shared
	host   component.Host

	failures, bypassed atomic.Int64

	up       atomic.Bool
	mu       sync.Mutex // guards what follows, and changes of up
	finished []finished
	tells    []tell
	busy     bool   // some of them are being written
	away     uint32 // the second since when Redis lacks something
	failed   chan error
	work     chan struct{}

	cancel context.CancelFunc
	done   sync.WaitGroup
}

// finished is a copy whose receipts have all arrived.
type finished struct {
	home   uint8
	number uint32
}

// Kinds of keys.
const (
	keyFact     = 'f'
	keyProperty = 'p'
	keyOwner    = 'o'
)

type remoteKey struct {
	kind byte
	ID
}

// remoteBatch is what a batch learned from Redis.
type remoteBatch struct {
	asked  map[remoteKey]int // its place in values
	keys   []string
	values []string
}

func (b *remoteBatch) reset() {
	clear(b.asked)
	clear(b.keys)
	clear(b.values)
	b.keys, b.values = b.keys[:0], b.values[:0]
}

func (b *remoteBatch) value(kind byte, k ID) string {
	if at, ok := b.asked[remoteKey{kind, k}]; ok && at < len(b.values) {
		return b.values[at]
	}
	return ""
}

func newRemote(l *Ledger, set RedisSettings) *remote {
	return &remote{
		ledger: l, set: set, logger: l.set.Logger, failed: make(chan error, 1), work: make(chan struct{}, 1),
		// Another processor, or one that counts days differently, knows other things.
		prefix: fmt.Sprintf("%s%016x:", set.KeyPrefix, xxh3.HashString(l.scope()+" "+l.set.Owner.String())),
	}
}

func (m *remote) start(host component.Host) {
	m.store = openRedis(m.set, m.ledger.set.Forget)
	m.host = host
	ctx, cancel := context.WithCancel(context.Background())
	m.cancel = cancel
	m.up.Store(true) // so that a failure is a change
	if err := m.bounded(ctx, m.store.probe); err != nil {
		m.fail(err)
	}
	m.done.Go(func() { m.watch(ctx) })
	m.done.Go(func() { m.run(ctx) })
}

func (m *remote) shutdown() error {
	if m.cancel == nil {
		return nil
	}
	m.cancel()
	m.done.Wait()
	m.cancel = nil
	m.flush(context.Background())
	m.up.Store(false)
	return m.store.close()
}

func (m *remote) key(kind byte, k ID) string {
	return m.prefix + string(appendID([]byte{kind}, k))
}

// look asks for everything that concerns a batch: in one round trip, plus another one if records with only a device
// turn out to belong to a previously unknown user.
func (m *remote) look(ctx context.Context, r *Reservation) {
	if !m.up.Load() {
		m.bypassed.Add(1)
		return
	}
	b := &r.remote
	if b.asked == nil {
		b.asked = make(map[remoteKey]int)
	}
	for i := range r.records {
		rec := &r.records[i]
		if rec.Event != (ID{}) {
			m.ask(b, keyFact, homeOf(rec.User, rec.Device).fact(rec.Event, rec.Day))
		}
		if rec.Device != (ID{}) {
			m.ask(b, keyOwner, rec.Device)
			m.askProperties(r, rec, rec.Device)
		}
		if rec.User != (ID{}) {
			m.askProperties(r, rec, rec.User)
		} else if user := m.localOwner(rec.Device, r.second); user != (ID{}) {
			m.askProperties(r, rec, user)
		}
	}
	if !m.fetch(ctx, b) {
		return
	}
	for i := range r.records {
		if rec := &r.records[i]; rec.User == (ID{}) {
			if user, ok := readOwner(b.value(keyOwner, rec.Device)); ok {
				m.askProperties(r, rec, user)
			}
		}
	}
	m.fetch(ctx, b)
}

func (m *remote) localOwner(dev ID, second uint32) ID {
	s := &m.ledger.shards[m.ledger.shardOf(dev)]
	s.mu.Lock()
	defer s.mu.Unlock()
	if e, _ := remembered(m.ledger, &s.devices, dev, second); e != nil {
		return e.p.owner
	}
	return ID{}
}

func (m *remote) askProperties(r *Reservation, rec *Record, person ID) {
	for f := rec.From; f < rec.To; f++ {
		m.ask(&r.remote, keyProperty, person.property(r.flags[f].Key))
	}
}

func (m *remote) ask(b *remoteBatch, kind byte, k ID) {
	if _, ok := b.asked[remoteKey{kind, k}]; !ok {
		b.asked[remoteKey{kind, k}] = len(b.keys)
		b.keys = append(b.keys, m.key(kind, k))
	}
}

// fetch gets the values of the keys that have none yet.
func (m *remote) fetch(ctx context.Context, b *remoteBatch) bool {
	if len(b.keys) == len(b.values) {
		return true
	}
	bounded, cancel := context.WithTimeout(ctx, m.set.Timeout)
	defer cancel()
	values, err := m.store.get(bounded, b.keys[len(b.values):])
	if err != nil {
		m.bypassed.Add(1)
		if ctx.Err() == nil { // a sender that hung up says nothing about Redis
			m.fail(err)
		}
		return false
	}
	b.values = append(b.values, values...)
	return true
}

// merge adopts what Redis knows about record i.
func (m *remote) merge(r *Reservation, i int) {
	b, rec, l := &r.remote, &r.records[i], m.ledger
	if len(b.values) == 0 {
		return
	}
	if rec.Device != (ID{}) {
		if user, ok := readOwner(b.value(keyOwner, rec.Device)); ok {
			m.mergeOwner(r, rec.Device, user)
		}
		m.mergeProperties(r, rec, rec.Device)
	}
	if rec.User != (ID{}) {
		m.mergeProperties(r, rec, rec.User)
	} else if user := m.localOwner(rec.Device, r.second); user != (ID{}) {
		m.mergeProperties(r, rec, user)
	}
	if rec.Event == (ID{}) {
		return
	}
	home := homeOf(rec.User, rec.Device)
	k := home.fact(rec.Event, rec.Day)
	if b.value(keyFact, k) != redisMagic {
		return
	}
	s := &l.shards[l.shardOf(home)]
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.way.find(home, k.Lo) != nil {
		return // this replica may have told it, and waits for the answer whether it was the first
	}
	if rec.To-rec.From == 1 {
		if e, _ := s.properties.find(home.property(r.flags[rec.From].Key)); e != nil && e.p.fact == k.Lo {
			return
		}
	}
	if e, _ := remembered(l, &s.facts, k, r.second); e == nil {
		l.addFact(s, k, r.second)
	}
}

func (m *remote) mergeOwner(r *Reservation, dev, user ID) {
	l := m.ledger
	s := &l.shards[l.shardOf(dev)]
	s.mu.Lock()
	defer s.mu.Unlock()
	e, _ := remembered(l, &s.devices, dev, r.second)
	if e == nil {
		e, _ = kept(l, s, &s.devices, dev, r.second)
	} else if e.p.owner == user || e.is(flagPinned) {
		return
	}
	s.bind(e, user)
	l.writeDevice(s, e)
}

func (m *remote) mergeProperties(r *Reservation, rec *Record, person ID) {
	l := m.ledger
	s := &l.shards[l.shardOf(person)]
	for f := rec.From; f < rec.To; f++ {
		k := person.property(r.flags[f].Key)
		theirs, ok := readTold(r.remote.value(keyProperty, k))
		if !ok {
			continue
		}
		s.mu.Lock()
		e, _ := remembered(l, &s.properties, k, r.second)
		if e == nil {
			e, _ = kept(l, s, &s.properties, k, r.second)
			e.p.setTold(0)
			e.p.set(propertyFormer, r.now < l.former.until.Load())
		}
		sure := theirs.sure && !e.p.is(propertyFormer)
		if theirs.told >= e.p.toldAt() && (e.p.value != theirs.value || e.p.is(propertySure) != sure || e.p.newest() < theirs.newest) {
			e.p.value = theirs.value
			e.p.raise(theirs.newest)
			e.p.set(propertySure, sure)
			e.p.setTold(theirs.told)
			l.writeProperty(e)
		}
		s.mu.Unlock()
	}
}

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

func (m *remote) tellProperty(e *entry[property]) {
	m.add(m.tellOf(e))
}

func (m *remote) tellOf(e *entry[property]) tell {
	return tell{
		key: m.key(keyProperty, e.ID), value: e.p.value, sure: e.p.is(propertySure), told: e.p.toldAt(), newest: e.p.newest(),
	}
}

func (m *remote) doubt(k ID, value uint64) {
	m.add(tell{key: m.key(keyProperty, k), value: value, doubt: true})
}

func (m *remote) tellFact(k ID) { m.add(tell{key: m.key(keyFact, k), fact: true}) }

func (m *remote) tellOwner(e *entry[device]) {
	m.add(tell{key: m.key(keyOwner, e.ID), user: e.p.owner})
}

func (m *remote) add(t tell) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.up.Load() {
		return // it is written from the ledger when Redis is back
	}
	if len(m.tells) >= backlogSize {
		m.setDown(errBacklog)
		return
	}
	m.tells = append(m.tells, t)
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
		done := m.finished[:min(len(m.finished), tellBatch)]
		m.finished = m.finished[len(done):]
		if len(m.finished) == 0 {
			m.finished = nil
		}
		m.mu.Unlock()
		m.conclude(ctx, done)

		m.mu.Lock()
		tells := m.tells[:min(len(m.tells), tellBatch)]
		m.tells = m.tells[len(tells):]
		if len(m.tells) == 0 {
			m.tells = nil
		}
		m.mu.Unlock()
		if len(tells) > 0 && m.up.Load() {
			if err := m.bounded(ctx, func(ctx context.Context) error { return m.store.tell(ctx, tells) }); err != nil {
				m.fail(err)
			}
		}
		if len(done) == 0 && len(tells) == 0 {
			m.mu.Lock()
			m.busy = false
			m.mu.Unlock()
			return
		}
	}
}

func (m *remote) bounded(ctx context.Context, do func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), max(m.set.Timeout, connectTimeout))
	defer cancel()
	return do(ctx)
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
	m.tells = nil
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
	if err := m.tellAll(ctx, since); err != nil {
		m.failures.Add(1)
		return false
	}
	m.up.Store(true)
	// What changed in the meantime, before changes are written as they happen again.
	if err := m.tellAll(ctx, second-min(second, 1)); err != nil {
		m.fail(err)
	}
	return true
}

// tellAll writes everything that was touched since a second to Redis.
func (m *remote) tellAll(ctx context.Context, since uint32) (err error) {
	var tells []tell
	var facts []string
	flush := func(least int) {
		if err == nil && len(facts) > least {
			err = m.bounded(ctx, func(ctx context.Context) error {
				_, err := m.store.add(ctx, facts)
				return err
			})
			facts = facts[:0]
		}
		if err == nil && len(tells) > least {
			err = m.bounded(ctx, func(ctx context.Context) error { return m.store.tell(ctx, tells) })
			tells = tells[:0]
		}
	}
	for i := range m.ledger.shards {
		s := &m.ledger.shards[i]
		each := func(do func(slab int) bool) {
			for slab, more := 0, true; more && err == nil; slab++ {
				s.mu.Lock()
				more = do(slab)
				s.mu.Unlock()
				flush(tellBatch)
			}
		}
		each(func(slab int) bool {
			return s.properties.all(slab, func(e *entry[property]) {
				if e.touched < since {
					return
				}
				if e.p.toldAt() > 0 {
					tells = append(tells, m.tellOf(e))
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
					tells = append(tells, tell{key: m.key(keyOwner, e.ID), user: bound})
				}
			})
		})
	}
	flush(0)
	return err
}
