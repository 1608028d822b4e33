// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package dedup // import "github.com/otelcol-amplitude/otelcol-amplitude/processor/amplitudeexperimentprocessor/internal/dedup"

import (
	"context"
	"errors"
	"math/bits"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.uber.org/zap"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/amplitude/receipts"
)

const (
	// maxShards is the number of parts that have their own lock.
	maxShards = 64
	// A ledger this small has a single shard, so that max_entries and the order of eviction are exact.
	oneShardEntries = 4096
	// defaultDoubtful is short, because each property that is not trusted costs a $identify, but longer than the time
	// between two reports of a person within a session.
	defaultDoubtful = 30
	// minOnWay is the minimum number of copies that are tracked, no matter how few entries there may be: 8 MiB.
	minOnWay = 1 << 16
	// maxIdle bounds the reservations that are kept for reuse.
	maxIdle = 64
)

var errMaxEntries = errors.New("max_entries must be positive")

// Ledger tracks what Amplitude holds. It is safe for concurrent use, and one Ledger may serve several pipelines.
type Ledger struct {
	set     Settings
	forget  uint32 // seconds
	history int64  // ms
	// doubtful is the number of seconds before the end of a killed process within which its properties are not
	// trusted.
	doubtful uint32
	seed     seed
	shift    uint8 // bits of a hash left over by the choice of shard
	shards   []shard
	idle     chan *Reservation // for reuse

	// latest is the latest arrival, so that a clock that is set back makes no record late.
	latest atomic.Int64

	entries, evicted, expired, flaps, onWay atomic.Int64

	// maxOnWay bounds the copies that are tracked until their receipts.
	maxOnWay  int64
	lostSight atomic.Bool // a copy was not tracked, which was logged

	former former

	lifecycle sync.Mutex
	users     int
	sink      receipts.SinkID
	journal   *journal // nil without storage
	remote    *remote  // nil without Redis
}

// New makes a Ledger. It reads nothing and connects to nothing before Start.
func New(set Settings) (*Ledger, error) {
	if set.MaxEntries <= 0 {
		return nil, errMaxEntries
	}
	if set.Forget <= 0 {
		set.Forget = DefaultForget
	}
	if set.History <= 0 {
		set.History = DefaultHistory
	}
	if set.Window <= 0 {
		set.Window = defaultWindow
	}
	if set.Clock == nil {
		set.Clock = time.Now
	}
	if set.Logger == nil {
		set.Logger = zap.NewNop()
	}
	count := maxShards
	if set.MaxEntries <= oneShardEntries {
		count = 1
	}
	l := &Ledger{
		set:     set,
		forget:  seconds(set.Forget.Milliseconds()),
		history: set.History.Milliseconds(),

		doubtful: defaultDoubtful,
		maxOnWay: int64(max(set.MaxEntries, minOnWay)),
		seed:     newSeed(),
		shift:    uint8(64 - bits.TrailingZeros(uint(count))),
		shards:   make([]shard, count),
		idle:     make(chan *Reservation, maxIdle),
	}
	for i := range l.shards {
		l.shards[i].reset(l.seed)
	}
	if set.Redis != nil {
		l.remote = newRemote(l, *set.Redis)
	}
	return l, nil
}

func (s *shard) reset(of seed) {
	order := new(uint32)
	s.properties = table[property]{seed: of, order: order}
	s.facts = table[delivered]{seed: of, order: order}
	s.devices = table[device]{seed: of, order: order}
	s.bound, s.way, s.raised = nil, way{}, nil
}

// Start loads the stored state and connects to Redis. Each pipeline that uses the Ledger calls it once; the first
// call does the work. An unavailable Redis is not an error.
func (l *Ledger) Start(ctx context.Context, host component.Host) error {
	l.lifecycle.Lock()
	defer l.lifecycle.Unlock()
	if l.users == 0 {
		if err := l.openJournal(ctx, host); err != nil {
			return err
		}
		if l.remote != nil {
			l.remote.start(host)
		}
		l.sink = receipts.Register(l)
	}
	l.users++
	return nil
}

// Shutdown notes that one of the pipelines that started the Ledger hands nothing on anymore. After the last of them,
// the state is written: immediately, or once the exporters have stopped that may still report receipts. Without
// Start, or when called again, it does nothing.
func (l *Ledger) Shutdown(ctx context.Context) error {
	l.lifecycle.Lock()
	defer l.lifecycle.Unlock()
	if l.users == 0 {
		return nil
	}
	l.users--
	if l.users > 0 {
		return nil
	}
	if receipts.Retire(l.sink, l.endLater) {
		return l.end(ctx)
	}
	return nil
}

func (l *Ledger) endLater(ctx context.Context) {
	if err := l.end(ctx); err != nil {
		l.set.Logger.Error("Failed to store the de-duplication state", zap.Error(err))
	}
}

// end writes the state.
func (l *Ledger) end(ctx context.Context) error {
	var errs []error
	if l.remote != nil {
		errs = append(errs, l.remote.shutdown())
	}
	if l.journal != nil {
		errs = append(errs, l.journal.shutdown(ctx))
	}
	return errors.Join(errs...)
}

// Stats are counts since New, and the current number of entries.
type Stats struct {
	// Entries are remembered now: properties, devices, and the facts that are not stored with a property.
	Entries int64
	// OnWay counts the events and $identify that were handed over and not yet settled.
	OnWay int64
	// Evicted counts entries that made room for others, Expired those that were not used for long enough.
	Evicted, Expired int64
	// Flaps counts changes of a property that were not sent because it changes too often.
	Flaps int64
	// StorageFailures counts failed reads and writes of the storage.
	StorageFailures int64
	// RedisFailures counts failed round trips to Redis; RedisBypassed counts the batches decided without it.
	RedisFailures, RedisBypassed int64
}

// Stats returns the counts.
func (l *Ledger) Stats() Stats {
	stats := Stats{
		Entries: l.entries.Load(), OnWay: l.onWay.Load(), Evicted: l.evicted.Load(), Expired: l.expired.Load(), Flaps: l.flaps.Load(),
	}
	if l.journal != nil {
		stats.StorageFailures = l.journal.failures.Load()
	}
	if l.remote != nil {
		stats.RedisFailures, stats.RedisBypassed = l.remote.failures.Load(), l.remote.bypassed.Load()
	}
	return stats
}

// scope identifies what is stored or shared: only ledgers of the same scope can be compared.
func (l *Ledger) scope() string { return strconv.Itoa(int(l.set.Mode)) + " " + l.set.Scope }

func (l *Ledger) shardOf(k ID) uint8 { return l.seed.shard(k.Hi, l.shift) }

// locks are the shards that an operation holds at once.
type locks struct {
	l *Ledger
	a [3]uint8
}

// lock locks up to three shards, which may be equal.
func (l *Ledger) lock(x, y, z uint8) locks {
	if x > y {
		x, y = y, x
	}
	if y > z {
		y, z = z, y
	}
	if x > y {
		x, y = y, x
	}
	l.shards[x].mu.Lock()
	if y != x {
		l.shards[y].mu.Lock()
	}
	if z != y {
		l.shards[z].mu.Lock()
	}
	return locks{l, [3]uint8{x, y, z}}
}

func (k locks) unlock() {
	k.l.shards[k.a[0]].mu.Unlock()
	if k.a[1] != k.a[0] {
		k.l.shards[k.a[1]].mu.Unlock()
	}
	if k.a[2] != k.a[1] {
		k.l.shards[k.a[2]].mu.Unlock()
	}
}

// now returns the arrival time in ms and in seconds.
func (l *Ledger) now() (ms int64, second uint32) {
	ms = l.set.Clock().UnixMilli()
	return ms, seconds(ms)
}

// arrival is an arrival time, in ms and in seconds.
type arrival struct {
	ms     int64
	second uint32
}

func (l *Ledger) arrival() (now arrival) {
	now.ms, now.second = l.now()
	return now
}

// believe advances the latest arrival and returns it: event times are believed up to it.
func (l *Ledger) believe(ms int64) int64 {
	for {
		latest := l.latest.Load()
		if ms <= latest {
			return latest
		}
		if l.latest.CompareAndSwap(latest, ms) {
			return ms
		}
	}
}

func (l *Ledger) forgetBefore(second uint32) uint32 { return second - min(second, l.forget) }

// remembered returns the entry of k and its number, or nil. An entry that was not used for long enough is removed.
func remembered[P any](l *Ledger, t *table[P], k ID, second uint32) (*entry[P], uint32) {
	e, number := t.find(k)
	if e != nil && e.touched < l.forgetBefore(second) && !e.is(flagPinned) {
		t.remove(number)
		l.entries.Add(-1)
		l.expired.Add(1)
		return nil, 0
	}
	return e, number
}

// kept returns the entry of k, added if there is none, as the most recently used, and its number.
func kept[P any](l *Ledger, s *shard, t *table[P], k ID, second uint32) (*entry[P], uint32) {
	e, number := remembered(l, t, k, second)
	if e == nil {
		return added(l, s, t, k, second)
	}
	t.touch(e, second)
	return e, number
}

// added returns a new entry for k, which must not be there, and its number.
func added[P any](l *Ledger, s *shard, t *table[P], k ID, second uint32) (*entry[P], uint32) {
	if gone := t.expire(l.forgetBefore(second)); gone > 0 {
		l.entries.Add(-gone)
		l.expired.Add(gone)
	}
	e, number := t.insert(k, second)
	// Evict two for one, to catch up where entries on their way could not be evicted before.
	for over := min(2, l.entries.Add(1)-int64(l.set.MaxEntries)); over > 0; over-- {
		l.evict(s, any(t), number)
	}
	return e, number
}

// evict makes room in the shard for the entry that was just added to the table at.
func (l *Ledger) evict(s *shard, at any, keep uint32) {
	in := func(table any) uint32 {
		if table == at {
			return keep
		}
		return 0
	}
	one, property := s.properties.oldest(in(&s.properties))
	two, fact := s.facts.oldest(in(&s.facts))
	three, dev := s.devices.oldest(in(&s.devices))
	switch {
	case one != 0 && (two == 0 || property <= fact) && (three == 0 || property <= dev):
		s.properties.remove(one)
	case two != 0 && (three == 0 || fact <= dev):
		s.facts.remove(two)
	case three != 0:
		s.devices.remove(three)
	default:
		return // everything is on its way
	}
	l.entries.Add(-1)
	l.evicted.Add(1)
}

func seconds(ms int64) uint32 {
	const secondsEnd = 1<<32 - 1
	return uint32(min(max(ms/1000, 0), secondsEnd))
}
