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
	// maxShards is the number of parts with a lock of their own.
	maxShards = 64
	// A ledger this small is kept in one part, so that max_entries and the order of eviction are exact.
	oneShardEntries = 4096
	// defaultDoubtful is short, as each property that is not trusted costs a $identify, and longer than the time from one
	// report of a person to the next in a session.
	defaultDoubtful = 30
	// minOnWay is how many copies are followed however few entries there may be: 8 MiB of them.
	minOnWay = 1 << 16
	// maxIdle bounds the reservations that wait to be used again.
	maxIdle = 64
)

var errMaxEntries = errors.New("max_entries must be positive")

// Ledger remembers what Amplitude holds. It is safe for concurrent use, and one Ledger may serve several pipelines.
type Ledger struct {
	set     Settings
	forget  uint32 // seconds
	history int64  // ms
	// doubtful is for how many seconds before the end of a process that was killed its properties are not trusted.
	doubtful uint32
	seed     seed
	shift    uint8 // what of a hash is left to choose the shard
	shards   []shard
	idle     chan *Reservation // to be used again

	// latest is the latest arrival, so that a clock that is set back makes no record late.
	latest atomic.Int64

	entries, evicted, expired, flaps, onWay atomic.Int64

	// maxOnWay bounds the copies that are followed to their receipts.
	maxOnWay  int64
	lostSight atomic.Bool // a copy was not, which was logged

	former former

	lifecycle sync.Mutex
	users     int
	sink      receipts.SinkID
	journal   *journal // nil without storage
	remote    *remote  // nil without Redis
}

// New makes a Ledger. It keeps nothing and connects to nothing before Start.
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

// Start reads back what the storage kept and connects to Redis. Each pipeline that uses the Ledger
// calls it once; the first call does the work. A Redis that is away does not fail it.
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

// Shutdown says that one of the pipelines that started the Ledger hands nothing on any more. After the last of them, what is to
// be kept is written: at once, or when the exporters have stopped that may still tell what became of something. Without Start,
// and once more afterwards, it does nothing.
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
		l.set.Logger.Error("the de-duplication state could not be kept", zap.Error(err))
	}
}

// end writes what is to be kept.
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

// Stats are counts since New, and the present number of entries.
type Stats struct {
	// Entries are remembered now: properties, devices, and the facts that are not kept with a property.
	Entries int64
	// OnWay counts the events and $identify that were handed over and not yet settled.
	OnWay int64
	// Evicted entries made room below max_entries; Expired ones were not touched for long enough.
	Evicted, Expired int64
	// Flaps counts the changes of a property that were left out because it changes too often.
	Flaps int64
	// StorageFailures counts writes and reads of the storage that failed.
	StorageFailures int64
	// RedisFailures counts round trips to Redis that failed; RedisBypassed counts the batches decided without it.
	RedisFailures, RedisBypassed int64
}

// Stats reads the counts.
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

// scope names what is kept or shared: only ledgers of one scope can be compared.
func (l *Ledger) scope() string { return strconv.Itoa(int(l.set.Mode)) + " " + l.set.Scope }

func (l *Ledger) shardOf(k ID) uint8 { return l.seed.shard(k.Hi, l.shift) }

// locks are the shards that something needs at once, held.
type locks struct {
	l *Ledger
	a [3]uint8
}

// lock takes the locks of up to three shards, which may be equal.
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

// now is the arrival time in ms and in seconds.
func (l *Ledger) now() (ms int64, second uint32) {
	ms = l.set.Clock().UnixMilli()
	return ms, seconds(ms)
}

// arrival is when something came, in ms and in seconds.
type arrival struct {
	ms     int64
	second uint32
}

func (l *Ledger) arrival() (now arrival) {
	now.ms, now.second = l.now()
	return now
}

// believe moves the latest arrival on, and returns it: event times are believed up to there.
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

// remembered returns the entry of k and its number, or nil. One that was not touched for long enough is forgotten.
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

// kept returns the entry of k, made if there is none, as the most recently used one, and its number.
func kept[P any](l *Ledger, s *shard, t *table[P], k ID, second uint32) (*entry[P], uint32) {
	e, number := remembered(l, t, k, second)
	if e == nil {
		return added(l, s, t, k, second)
	}
	t.touch(e, second)
	return e, number
}

// added returns a new entry for k, of which nothing is remembered, and its number.
func added[P any](l *Ledger, s *shard, t *table[P], k ID, second uint32) (*entry[P], uint32) {
	if gone := t.expire(l.forgetBefore(second)); gone > 0 {
		l.entries.Add(-gone)
		l.expired.Add(gone)
	}
	e, number := t.insert(k, second)
	// Two for one, where what was on its way could not be evicted before.
	for over := min(2, l.entries.Add(1)-int64(l.set.MaxEntries)); over > 0; over-- {
		l.evict(s, any(t), number)
	}
	return e, number
}

// evict makes room in the shard for the entry that the table at hand has just got.
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
		return // all is on its way
	}
	l.entries.Add(-1)
	l.evicted.Add(1)
}

func seconds(ms int64) uint32 {
	const secondsEnd = 1<<32 - 1
	return uint32(min(max(ms/1000, 0), secondsEnd))
}
