// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package dedup

import (
	"container/list"
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestMaxEntriesMustBePositive(t *testing.T) {
	_, err := New(Settings{})
	require.ErrorIs(t, err, errMaxEntries)
}

func TestLeastRecentlyUsedGoesFirst(t *testing.T) {
	l := openLedger(t, nil, func(set *Settings) { set.MaxEntries = 10 })
	reportMany(l, 0, 10)
	assert.Equal(t, map[string]int{sendsNothing: 3}, reportMany(l, 0, 3), "touched")
	reportMany(l, 10, 17)
	assert.Equal(t, map[string]int{sendsNothing: 3}, reportMany(l, 0, 3))
	assert.Equal(t, map[string]int{sendsNothing: 7}, reportMany(l, 10, 17))
	assert.Equal(t, Stats{Entries: 10, Evicted: 7}, l.Stats())
	assert.Equal(t, map[string]int{sendsEvent: 7}, reportMany(l, 3, 10))
	require.NoError(t, l.Shutdown(t.Context()))
}

func TestOneEntry(t *testing.T) {
	l := openLedger(t, nil, func(set *Settings) { set.MaxEntries = 1 })
	for i := range 6 {
		assert.Equal(t, map[string]int{sendsEvent: 1}, reportMany(l, i%2, i%2+1))
		assert.Equal(t, map[string]int{sendsNothing: 1}, reportMany(l, i%2, i%2+1))
	}
	assert.EqualValues(t, 1, l.Stats().Entries)
	require.NoError(t, l.Shutdown(t.Context()))
}

// TestWhatIsOnItsWayIsNotEvicted: there may be more entries than the limit while their events wait, but not after that.
func TestWhatIsOnItsWayIsNotEvicted(t *testing.T) {
	l := openLedger(t, nil, func(set *Settings) { set.MaxEntries = 50 })
	h := &hostile{}
	for i := range 200 {
		h.add(fmt.Sprint("u", i), "", testNow, 1)
	}
	h.play(t, l, false)
	assert.EqualValues(t, 200, l.Stats().Entries)
	reportMany(l, 0, 200)
	assert.EqualValues(t, 50, l.Stats().Entries)
	assert.EqualValues(t, 350, l.Stats().Evicted)
	require.NoError(t, l.Shutdown(t.Context()))
}

// TestMoreOnTheWayThanIsTracked: the memory for what waits is bounded. What exceeds it is sent again if it is reported
// again, with its property, and nothing is suppressed.
func TestMoreOnTheWayThanIsTracked(t *testing.T) {
	l := openLedger(t, nil)
	l.maxOnWay = 2
	q := &queue{}
	say := func(user string, value uint64) string {
		r, v := reserveOne(l, exposure(user, value, testNow), value)
		q.take(t, r, v, testTime(0))
		return answerOf(v)
	}
	assert.Equal(t, sendsEvent, say("one", 1))
	assert.Equal(t, sendsEvent, say("two", 1))
	assert.Equal(t, sendsNothing, say("two", 1))
	assert.Equal(t, sendsEvent, say("three", 1))
	assert.EqualValues(t, 2, l.Stats().OnWay)
	assert.Equal(t, sendsBoth, say("three", 1), "it may be new")
	assert.Equal(t, sendsBoth, say("four", 0), "so may this")
	q.settle(testTime(0))
	assert.Zero(t, l.Stats().OnWay)
	assert.Equal(t, sendsBoth, report(l, "four", 0, testNow))
	assert.Equal(t, sendsNothing, report(l, "four", 0, testNow))
	assert.Equal(t, sendsNothing, report(l, "two", 1, testNow))
	q.book.Close(t.Context(), true)
	require.NoError(t, l.Shutdown(t.Context()))
}

func TestUntouchedForSevenDaysIsForgotten(t *testing.T) {
	now := time.UnixMilli(testNow)
	l := openLedger(t, nil, clockOf(&now))
	reportMany(l, 0, 1000)
	now = now.Add(4 * 24 * time.Hour)
	assert.Equal(t, map[string]int{sendsNothing: 1}, reportMany(l, 0, 1), "touched, by a record four days old")
	now = now.Add(4 * 24 * time.Hour)
	assert.Equal(t, map[string]int{sendsNothing: 1}, reportMany(l, 0, 1))
	assert.Equal(t, map[string]int{sendsEvent: 1}, reportMany(l, 1, 2))
	// The others make room as new ones arrive: enough that each shard gets some.
	reportMany(l, 1000, 5000)
	stats := l.Stats()
	assert.EqualValues(t, 5000, stats.Entries+stats.Expired-1)
	assert.GreaterOrEqual(t, stats.Expired, int64(990))
	require.NoError(t, l.Shutdown(t.Context()))
}

// TestOlderThanSevenDaysMovesNoProperty, even if nothing is known.
func TestOlderThanSevenDaysMovesNoProperty(t *testing.T) {
	l := openLedger(t, nil)
	old := exposure("u", 1, testNow-DefaultHistory.Milliseconds()-1)
	verdicts, decisions := make([]Verdict, 1), make([]Decision, 1)
	r := l.Reserve(t.Context(), []Record{old}, []Flag{{7, 1}}, verdicts, decisions)
	r.Accept()
	assert.Equal(t, sendsEvent, answerOf(verdicts[0]))
	assert.Zero(t, decisions[0], "without the operation")
	assert.Equal(t, sendsEvent, report(l, "u", 2, testNow-DefaultHistory.Milliseconds()+1))
	assert.Equal(t, sendsEvent, report(l, "v", 1, testNow))
	require.NoError(t, l.Shutdown(t.Context()))
}

// TestClockOfTheCollectorIsSetBack between two changes of a user, whose own clock is fine: each change is reported, and
// its repeats are not.
func TestClockOfTheCollectorIsSetBack(t *testing.T) {
	for name, back := range map[string]time.Duration{"seconds": time.Second, "minutes": 5 * time.Minute, "days": 10 * 24 * time.Hour} {
		t.Run(name, func(t *testing.T) {
			now := time.UnixMilli(testNow)
			kept := newMemStorage()
			l := openLedger(t, kept, clockOf(&now))
			var got []string
			for i, value := range []uint64{1, 2, 1, 1, 2, 2, 1} {
				if i == 2 {
					now = now.Add(-back)
				}
				got = append(got, report(l, "u", value, testNow-100+int64(i)*10))
			}
			assert.Equal(t, []string{
				sendsEvent, sendsBoth, sendsIdentify, sendsNothing, sendsIdentify, sendsNothing, sendsIdentify,
			}, got)
			require.NoError(t, l.Shutdown(t.Context()))
			l = openLedger(t, kept, clockOf(&now))
			assert.Equal(t, sendsNothing, report(l, "u", 1, testNow), "and the state can be read")
			require.NoError(t, l.Shutdown(t.Context()))
		})
	}
}

// exactLRU is a map of the elements of a list.
type exactLRU struct {
	limit int
	order *list.List
	at    map[uint64]*list.Element
}

func (o *exactLRU) has(k uint64) bool {
	if e, ok := o.at[k]; ok {
		o.order.MoveToFront(e)
		return true
	}
	o.at[k] = o.order.PushFront(k)
	if len(o.at) > o.limit {
		delete(o.at, o.order.Remove(o.order.Back()).(uint64))
	}
	return false
}

// TestEvictionIsCloseToLRU compares what a bounded ledger still knows with an exact LRU, for users of whom a few are
// frequent.
func TestEvictionIsCloseToLRU(t *testing.T) {
	const size, subjects, rounds = 5000, 20_000, 60_000
	zipf := rand.NewZipf(rand.New(rand.NewPCG(1, 2)), 1.1, 50, subjects-1)
	l := openLedger(t, nil, func(set *Settings) { set.MaxEntries = size })
	exact := &exactLRU{limit: size, order: list.New(), at: map[uint64]*list.Element{}}
	ours, theirs := 0, 0
	for range rounds {
		user := zipf.Uint64()
		ours += reportMany(l, int(user), int(user)+1)[sendsNothing]
		if exact.has(user) {
			theirs++
		}
	}
	t.Logf("repeats recognized of %d: %d, by an exact LRU %d", rounds, ours, theirs)
	assert.InDelta(t, theirs, ours, 0.01*rounds)
	require.NoError(t, l.Shutdown(t.Context()))
}

// checkTable checks that every entry is found, and that free ones are not.
func checkTable[P any](t require.TestingT, tab *table[P]) {
	live := 0
	for number := uint32(1); number <= tab.used; number++ {
		if e := tab.at(number); !e.is(flagFree) {
			live++
			found, at := tab.find(e.ID)
			require.True(t, found == e && at == number)
		}
	}
	require.Equal(t, tab.live, live)
}

// TestTableAgreesWithAMap inserts, finds, removes and evicts at random.
func TestTableAgreesWithAMap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tab := &table[uint64]{seed: newSeed(), order: new(uint32)}
		known := map[ID]uint64{}
		draw := func(t *rapid.T) ID { return ID{Lo: rapid.Uint64Range(0, 300).Draw(t, "key")} }
		t.Repeat(map[string]func(*rapid.T){
			"insert": func(t *rapid.T) {
				for range rapid.IntRange(1, 40).Draw(t, "count") {
					k := draw(t)
					if e, _ := tab.find(k); e == nil {
						e, _ = tab.insert(k, 1)
						e.p = k.Lo
						known[k] = k.Lo
					}
				}
			},
			"remove": func(t *rapid.T) {
				k := draw(t)
				if e, number := tab.find(k); e != nil {
					tab.remove(number)
					delete(known, k)
				}
			},
			"evict": func(*rapid.T) {
				if victim, _ := tab.oldest(0); victim != 0 {
					delete(known, tab.at(victim).ID)
					tab.remove(victim)
				}
			},
			"": func(t *rapid.T) {
				checkTable(t, tab)
				require.Equal(t, len(known), tab.live)
				for k, value := range known {
					e, _ := tab.find(k)
					require.Equal(t, value, e.p)
				}
			},
		})
	})
}

// TestConcurrentBatches: senders share users and devices while others refuse, settle, evict and read counts.
func TestConcurrentBatches(t *testing.T) {
	for _, stored := range []bool{false, true} {
		t.Run(fmt.Sprintf("storage=%t", stored), func(t *testing.T) {
			var kept *memStorage
			if stored {
				kept = newMemStorage()
			}
			l := openLedger(t, kept, func(set *Settings) { set.MaxEntries = 5000 })
			var working sync.WaitGroup
			for range 8 {
				working.Go(func() {
					for range 60 {
						h := &hostile{}
						for range 64 {
							user, dev := fmt.Sprint("u", rand.N(500)), fmt.Sprint("d", rand.N(300))
							switch rand.N(4) {
							case 0:
								user = ""
							case 1:
								dev = ""
							}
							h.add(user, dev, testNow-rand.Int64N(1000), rand.Uint64N(3))
						}
						verdicts := make([]Verdict, len(h.records))
						r := l.Reserve(context.Background(), h.records, h.flags, verdicts, make([]Decision, len(h.flags)))
						r.HandOver(context.Background())
						if rand.N(3) == 0 {
							r.Release()
						} else {
							r.Accept()
						}
						l.Stats()
					}
				})
			}
			working.Wait()
			for i := range l.shards {
				s := &l.shards[i]
				checkTable(t, &s.properties)
				checkTable(t, &s.facts)
				checkTable(t, &s.devices)
				assert.Zero(t, s.way.live+s.way.linked)
				assert.Empty(t, s.bound)
			}
			assert.Zero(t, l.Stats().OnWay)
			require.NoError(t, l.Shutdown(t.Context()))
		})
	}
}
