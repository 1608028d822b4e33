// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package dedup // import "github.com/otelcol-amplitude/otelcol-amplitude/processor/amplitudeexperimentprocessor/internal/dedup"

import (
	"context"
	_ "embed"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
	"github.com/zeebo/xxh3"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componentstatus"
	"go.uber.org/zap"
)

const (
	remoteMagic  = "AXD1"
	remoteHeader = 28 // bytes of a value before the results that are not the state any more

	// keysPerCommand bounds a command, so that one batch does not occupy Redis for long.
	keysPerCommand = 500
	// backlogSize is how many commits wait for a Redis that is away; more are not told to it.
	backlogSize  = 1 << 16
	backlogBatch = 500

	connectTimeout = time.Second
	minProbe       = 100 * time.Millisecond
	maxProbe       = 5 * time.Second
	// A Redis that fails again within this time is probed less and less often.
	steadyTime = 10 * time.Second
)

//go:embed merge.lua
var mergeSource string

var errScripts = errors.New("redis refused the script")

// remote shares the state between replicas through Redis. Whenever Redis fails or takes too long it
// is left alone until a probe in the background finds it well again, so that no batch waits for a
// dead server.
type remote struct {
	state  *State
	set    RedisSettings
	logger *zap.Logger
	script *redis.Script
	prefix string // of every key

	client  redis.UniversalClient
	cluster bool
	host    component.Host

	failures, bypassed atomic.Int64

	up      atomic.Bool
	mu      sync.Mutex // of what follows, and of changes of up
	backlog []push
	failed  chan error

	cancel context.CancelFunc
	done   chan struct{}
}

// push is one record for Redis to remember.
type push struct {
	id
	result uint64
	newest int64
	bucket int32
	n      uint32
	late   bool
}

// remoteBatch is what a batch learned from Redis and what it has to tell.
type remoteBatch struct {
	asked  map[id]int // subject: its place in values
	keys   []string
	values []string
	found  []int // of each record: the place in values, or -1
	pushes []push
}

func (b *remoteBatch) reset() {
	clear(b.asked)
	clear(b.keys)
	clear(b.values)
	b.keys, b.values, b.found, b.pushes = b.keys[:0], b.values[:0], b.found[:0], b.pushes[:0]
}

func (b *remoteBatch) commit(n *node) {
	b.pushes = append(b.pushes, push{id: n.id, result: n.result, newest: n.newest, bucket: n.bucket, n: n.n, late: n.late})
}

func newRemote(s *State, set RedisSettings) *remote {
	return &remote{
		state: s, set: set, logger: s.set.Logger, script: redis.NewScript(mergeSource), failed: make(chan error, 1),
		// Another processor, or one that counts days in another way, has other states.
		prefix: fmt.Sprintf("%s%016x:", set.KeyPrefix, xxh3.HashString(s.scope()+" "+s.set.Owner.String())),
	}
}

func (m *remote) start(host component.Host) {
	options := m.set.Options
	options.MaxRetries = -1 // a batch waits once
	options.DialTimeout = connectTimeout
	options.DialerRetries = 1
	options.ReadTimeout, options.WriteTimeout, options.PoolTimeout = connectTimeout, connectTimeout, m.set.Timeout
	options.ContextTimeoutEnabled = true
	options.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	m.client = redis.NewUniversalClient(&options)
	_, m.cluster = m.client.(*redis.ClusterClient)
	m.host = host

	ctx, cancel := context.WithCancel(context.Background())
	m.cancel, m.done = cancel, make(chan struct{})
	if err := m.probe(ctx, connectTimeout); err != nil {
		m.up.Store(true) // so that the failure is a change
		m.fail(err)
	} else {
		m.up.Store(true)
	}
	go m.watch(ctx)
}

func (m *remote) shutdown() error {
	if m.cancel == nil {
		return nil
	}
	m.cancel()
	<-m.done
	m.cancel = nil
	m.up.Store(false)
	return m.client.Close()
}

// look asks for the subjects of a batch in one round trip.
func (m *remote) look(ctx context.Context, r *Reservation, records []Record) {
	b := &r.remote
	if !m.up.Load() {
		m.bypassed.Add(1)
		return
	}
	b.found = resize(b.found, len(records))
	if b.asked == nil {
		b.asked = make(map[id]int)
	}
	for i := range records {
		k := m.state.idOf(&records[i])
		place, ok := b.asked[k]
		if !ok {
			place = -1
			if !m.knownForGood(r, k) {
				place = len(b.keys)
				b.keys = append(b.keys, m.key(k))
			}
			b.asked[k] = place
		}
		b.found[i] = place
	}
	if len(b.keys) == 0 {
		return
	}
	bounded, cancel := context.WithTimeout(ctx, m.set.Timeout)
	defer cancel()
	if err := m.get(bounded, b); err != nil {
		b.found = b.found[:0]
		m.bypassed.Add(1)
		if ctx.Err() == nil { // a sender that hung up says nothing about Redis
			m.fail(err)
		}
	}
}

// knownForGood reports that Redis has nothing to add. In the mode unique_per_day a result that was
// sent stays sent; in the mode latest another replica may have sent another one since.
func (m *remote) knownForGood(r *Reservation, k id) bool {
	if m.state.set.Mode != UniquePerDay {
		return false
	}
	sh := &m.state.shards[m.state.shardOf(k)]
	sh.mu.Lock()
	defer sh.mu.Unlock()
	return m.state.remembered(sh, k, r.second) != nil
}

func (m *remote) key(k id) string {
	key := k.key()
	return m.prefix + string(key[:])
}

func (m *remote) get(ctx context.Context, b *remoteBatch) error {
	pipe := m.client.Pipeline()
	var lists []*redis.SliceCmd
	var singles []*redis.StringCmd
	if m.cluster {
		for _, key := range b.keys {
			singles = append(singles, pipe.Get(ctx, key))
		}
	} else {
		for rest := b.keys; len(rest) > 0; {
			chunk := rest[:min(len(rest), keysPerCommand)]
			rest = rest[len(chunk):]
			lists = append(lists, pipe.MGet(ctx, chunk...))
		}
	}
	if _, err := pipe.Exec(ctx); err != nil && !errors.Is(err, redis.Nil) {
		return err
	}
	for _, list := range lists {
		values, err := list.Result()
		if err != nil {
			return err
		}
		for _, value := range values {
			text, _ := value.(string)
			b.values = append(b.values, text)
		}
	}
	for _, single := range singles {
		value, err := single.Result()
		if err != nil && !errors.Is(err, redis.Nil) {
			return err
		}
		b.values = append(b.values, value)
	}
	return nil
}

// mergeRemote takes over what Redis knows of the subject k of record i. What is known only here is
// told to Redis with the commit.
func (s *State) mergeRemote(sh *shard, r *Reservation, k id, i int) {
	b := &r.remote
	if len(b.found) == 0 || b.found[i] < 0 {
		return
	}
	place := b.found[i]
	b.found[i] = -1
	value := b.values[place]
	e := s.remembered(sh, k, r.second)
	if !strings.HasPrefix(value, remoteMagic) || len(value) < remoteHeader || (len(value)-remoteHeader)%8 != 0 {
		if e != nil && !e.is(flagUnconfirmed) {
			b.pushes = append(b.pushes, push{id: k, result: e.result, newest: e.newest, bucket: e.bucket, n: e.n})
		}
		return
	}
	theirs := node{
		id:     k,
		bucket: int32(le32(value[4:])),
		n:      le32(value[8:]),
		newest: min(int64(le64(value[12:])), r.now),
		result: le64(value[20:]),
	}
	if e == nil || e.result != theirs.result || e.bucket != theirs.bucket || e.newest < theirs.newest ||
		e.n < theirs.n || e.is(flagUnconfirmed) {
		s.commit(sh, &theirs, r.second)
	}
	for past := value[remoteHeader:]; past != ""; past = past[8:] {
		s.rememberSent(sh, k.sent(theirs.bucket, le64(past)), theirs.bucket, r.second)
	}
	e = sh.table.find(k)
	if e != nil && !e.is(flagUnconfirmed) && e.newest >= theirs.newest && (e.result != theirs.result || e.bucket != theirs.bucket) {
		b.pushes = append(b.pushes, push{id: k, result: e.result, newest: e.newest, bucket: e.bucket, n: e.n})
	}
}

func le32(s string) uint32 { return binary.LittleEndian.Uint32([]byte(s[:4])) }
func le64(s string) uint64 { return binary.LittleEndian.Uint64([]byte(s[:8])) }

// push tells Redis what a batch committed, in one round trip. What cannot be told now waits.
func (m *remote) push(ctx context.Context, r *Reservation) {
	pushes := r.remote.pushes
	if len(pushes) == 0 {
		return
	}
	if !m.up.Load() && m.later(pushes) {
		return
	}
	// The batch was accepted: that the sender has gone since must not keep it from the others.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), m.set.Timeout)
	defer cancel()
	if err := m.merge(ctx, pushes); err != nil {
		m.fail(err)
		m.later(pushes)
	}
}

func (m *remote) merge(ctx context.Context, pushes []push) error {
	err := m.mergeOnce(ctx, pushes)
	if err != nil && redis.HasErrorPrefix(err, "NOSCRIPT") {
		if err = m.script.Load(ctx, m.client).Err(); err == nil {
			err = m.mergeOnce(ctx, pushes)
		}
	}
	return err
}

func (m *remote) mergeOnce(ctx context.Context, pushes []push) error {
	pipe := m.client.Pipeline()
	ttl := m.state.set.Forget.Milliseconds()
	for i := range pushes {
		p := &pushes[i]
		result := binary.LittleEndian.AppendUint64(nil, p.result)
		late := 0
		if p.late {
			late = 1
		}
		m.script.EvalSha(ctx, pipe, []string{m.key(p.id)}, p.bucket, p.n, result, p.newest, late, ttl)
	}
	_, err := pipe.Exec(ctx)
	return err
}

// later keeps commits for a Redis that is away. It returns false if Redis is not away any more.
func (m *remote) later(pushes []push) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.up.Load() {
		return false
	}
	m.backlog = append(m.backlog, pushes[:min(len(pushes), backlogSize-len(m.backlog))]...)
	return true
}

// fail leaves Redis alone until a probe finds it well.
func (m *remote) fail(err error) {
	m.failures.Add(1)
	if !m.up.CompareAndSwap(true, false) {
		return
	}
	select {
	case m.failed <- err:
	default:
	}
}

// watch reports the changes of Redis and probes it while it is away.
func (m *remote) watch(ctx context.Context) {
	defer close(m.done)
	pause := minProbe
	var recovered time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case err := <-m.failed:
			m.logger.Warn("redis cannot be used; records are decided without it", zap.Error(err))
			componentstatus.ReportStatus(m.host, componentstatus.NewRecoverableErrorEvent(err))
		}
		if time.Since(recovered) > steadyTime {
			pause = minProbe
		}
		for {
			timer := time.NewTimer(pause + rand.N(pause/2)) //nolint:gosec // spreads probes, no secret
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
		m.logger.Info("redis can be used again")
		componentstatus.ReportStatus(m.host, componentstatus.NewEvent(componentstatus.StatusOK))
	}
}

// recover probes Redis, tells it what waits, and takes it into use again.
func (m *remote) recover(ctx context.Context) bool {
	if err := m.probe(ctx, m.set.Timeout); err != nil {
		m.failures.Add(1)
		return false
	}
	for {
		m.mu.Lock()
		if len(m.backlog) == 0 {
			m.backlog = nil
			m.up.Store(true)
			m.mu.Unlock()
			return true
		}
		batch := m.backlog[:min(len(m.backlog), backlogBatch)]
		m.backlog = m.backlog[len(batch):]
		m.mu.Unlock()
		pushCtx, cancel := context.WithTimeout(ctx, connectTimeout)
		err := m.merge(pushCtx, batch)
		cancel()
		if err != nil {
			m.failures.Add(1)
			m.later(batch)
			return false
		}
	}
}

// probe finds out whether Redis answers in time and knows the script.
func (m *remote) probe(ctx context.Context, timeout time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	if err := m.client.Ping(ctx).Err(); err != nil {
		return err
	}
	if err := m.script.Load(ctx, m.client).Err(); err != nil {
		return errors.Join(errScripts, err)
	}
	return nil
}
