// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package dedup // import "github.com/otelcol-amplitude/otelcol-amplitude/processor/amplitudeexperimentprocessor/internal/dedup"

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/zeebo/xxh3"
	"go.opentelemetry.io/collector/component"
	"go.uber.org/zap"
)

const (
	updateBatch = 500
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
	updates  []update
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
