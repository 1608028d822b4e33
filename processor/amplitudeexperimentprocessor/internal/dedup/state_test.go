// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package dedup

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func newState(t testing.TB, set Settings) *State {
	t.Helper()
	if set.Clock == nil {
		set.Clock = func() time.Time { return time.UnixMilli(testNow) }
	}
	if set.MaxEntries == 0 {
		set.MaxEntries = 100_000
	}
	state, err := New(set)
	require.NoError(t, err)
	return state
}

func TestMaxEntriesMustBePositive(t *testing.T) {
	_, err := New(Settings{})
	require.ErrorIs(t, err, errMaxEntries)
}

// step is a record of one subject: the result, the day, the second of the record, and the answer.
type step struct {
	result  uint64
	day     int32
	second  int64
	outcome Outcome
	n       uint32
}

func TestRules(t *testing.T) {
	const a, b, c = 1, 2, 3
	for name, steps := range map[string][]step{
		"a repeat":              {{a, 1, 0, Send, 0}, {a, 1, 1, Repeat, 0}, {a, 1, 9, Repeat, 0}},
		"A, B, A":               {{a, 1, 0, Send, 0}, {b, 1, 1, Send, 1}, {a, 1, 2, Send, 2}, {a, 1, 3, Repeat, 0}},
		"the same on a new day": {{a, 1, 0, Send, 0}, {a, 2, 1, Send, 0}, {a, 2, 2, Repeat, 0}},
		"another on a new day":  {{a, 1, 0, Send, 0}, {b, 1, 1, Send, 1}, {c, 2, 2, Send, 0}, {a, 2, 3, Send, 1}},
		"a repeat that is old":  {{a, 1, 5, Send, 0}, {a, 1, 0, Repeat, 0}},
		"another that is late":  {{a, 1, 5, Send, 0}, {b, 1, 0, Late, 0}, {b, 1, 0, Repeat, 0}, {b, 1, 6, Send, 1}},
		"late of the day before": {
			{a, 2, 5, Send, 0}, {a, 1, 0, Late, 0}, {a, 1, 0, Repeat, 0}, {a, 2, 6, Repeat, 0},
		},
		"late after a repeat":   {{a, 1, 0, Send, 0}, {a, 1, 9, Repeat, 0}, {b, 1, 5, Late, 0}},
		"another, same instant": {{a, 1, 0, Send, 0}, {b, 1, 0, Send, 1}},
		"a replay": {
			{a, 1, 0, Send, 0},
			{b, 1, 1, Send, 1},
			{a, 1, 2, Send, 2},
			{a, 1, 0, Repeat, 0},
			{b, 1, 1, Repeat, 0},
			{a, 1, 2, Repeat, 0},
		},
		"a replay of yesterday": {
			{a, 1, 0, Send, 0},
			{b, 1, 1, Send, 1},
			{a, 2, 2, Send, 0},
			{a, 1, 0, Repeat, 0},
			{b, 1, 1, Repeat, 0},
			{a, 2, 2, Repeat, 0},
		},
		"a clock that runs ahead": {
			{a, 1, 1_000_000, Send, 0}, {b, 1, 1000, Send, 1}, {a, 1, 1001, Send, 2},
		},
	} {
		t.Run(name, func(t *testing.T) {
			var records []Record
			var want []Verdict
			for _, s := range steps {
				records = append(records, Record{Subject: Key{1}, Result: s.result, Bucket: s.day, Time: testNow - 1000_000 + s.second*1000})
				want = append(want, Verdict{Outcome: s.outcome, Transition: s.n})
			}
			unchanged := func(verdicts []Verdict) []Verdict {
				for i := range verdicts {
					verdicts[i].Changed = false
				}
				return verdicts
			}
			single := newState(t, Settings{})
			batch := make([]Verdict, len(records))
			if name == "a clock that runs ahead" {
				// Arrival goes on: what came from the future is not newer than what comes later.
				now := testNow - 1
				single.set.Clock = func() time.Time { now++; return time.UnixMilli(int64(now)) }
				records[0].Time, records[1].Time, records[2].Time = testNow+dayMS, testNow+1, testNow+2
			} else {
				newState(t, Settings{}).Reserve(t.Context(), records, batch).Commit(t.Context())
				assert.Equal(t, want, unchanged(batch), "in one batch")
			}
			for i, rec := range records {
				assert.Equal(t, want[i:i+1], unchanged([]Verdict{decideOne(t, single, rec)}), "step %d alone", i)
			}
		})
	}
}

const dayMS = 86_400_000

func TestChanged(t *testing.T) {
	state := newState(t, Settings{})
	rec := Record{Subject: Key{1}, Result: 1, Bucket: 1, Time: testNow - 10}
	assert.False(t, decideOne(t, state, rec).Changed, "the first")
	rec.Bucket++
	assert.False(t, decideOne(t, state, rec).Changed, "the same on another day")
	rec.Result++
	assert.True(t, decideOne(t, state, rec).Changed)
	rec.Bucket, rec.Result = rec.Bucket+1, 1
	assert.True(t, decideOne(t, state, rec).Changed, "another on another day")
}

func TestUniquePerDay(t *testing.T) {
	state := newState(t, Settings{Mode: UniquePerDay})
	for i, s := range []step{
		{1, 1, 0, Send, 0},
		{2, 1, 1, Send, 0},
		{1, 1, 2, Repeat, 0},
		{2, 1, 0, Repeat, 0},
		{1, 2, 3, Send, 0},
		{3, 1, 0, Send, 0}, // late, but new
		{3, 1, 0, Repeat, 0},
	} {
		rec := Record{Subject: Key{1}, Result: s.result, Bucket: s.day, Time: testNow - 100_000 + s.second*1000}
		assert.Equal(t, Verdict{Outcome: s.outcome}, decideOne(t, state, rec), "step %d", i)
	}
}

// TestReservationsOfOthers lets batches overlap. Each is what one record of the subject gets while
// the ones before are in flight.
func TestReservationsOfOthers(t *testing.T) {
	const a, b = 1, 2
	for name, test := range map[string]struct {
		committed uint64 // at second 0, if any
		steps     []step
	}{
		"the same twice":              {0, []step{{a, 1, 1, Send, 0}, {a, 1, 2, Send, 0}}},
		"the same change twice":       {a, []step{{b, 1, 1, Send, 1}, {b, 1, 2, Send, 1}}},
		"back while away in flight":   {a, []step{{b, 1, 1, Send, 1}, {a, 1, 2, Send, 2}}},
		"before what is in flight":    {a, []step{{b, 1, 5, Send, 1}, {a, 1, 2, Repeat, 0}}},
		"two changes, and both again": {a, []step{{b, 1, 1, Send, 1}, {a, 1, 2, Send, 2}, {b, 1, 1, Send, 1}, {a, 1, 2, Send, 2}}},
	} {
		t.Run(name, func(t *testing.T) {
			state := newState(t, Settings{})
			at := func(s step) Record {
				return Record{Subject: Key{1}, Result: s.result, Bucket: s.day, Time: testNow - 100_000 + s.second*1000}
			}
			if test.committed != 0 {
				decideOne(t, state, at(step{result: test.committed, day: 1}))
			}
			var open []*Reservation
			for i, s := range test.steps {
				verdicts := make([]Verdict, 1)
				open = append(open, state.Reserve(t.Context(), []Record{at(s)}, verdicts))
				assert.Equal(t, s.outcome, verdicts[0].Outcome, "step %d", i)
				assert.Equal(t, s.n, verdicts[0].Transition, "step %d", i)
			}
			for _, r := range open {
				r.Release()
			}
			assert.Equal(t, test.committed == a, decideOne(t, state, at(step{result: a, day: 1, second: 9})).Outcome == Repeat,
				"after the release of all it is as before")
		})
	}
}

// TestOlderResultAcceptedLast lets two batches overlap, of which the one with the older result is
// accepted last: Amplitude has that one as the property, so the newer one is sent once more.
func TestOlderResultAcceptedLast(t *testing.T) {
	state := newState(t, Settings{})
	newer := Record{Subject: Key{1}, Result: 1, Bucket: 1, Time: testNow - 10}
	older := Record{Subject: Key{1}, Result: 2, Bucket: 1, Time: testNow - 20}
	verdicts := make([]Verdict, 1)
	first := state.Reserve(t.Context(), []Record{newer}, verdicts)
	second := state.Reserve(t.Context(), []Record{older}, verdicts)
	assert.Equal(t, Send, verdicts[0].Outcome, "nobody knows yet whether the newer one arrives")
	first.Commit(t.Context())
	second.Commit(t.Context())
	newer.Time = testNow
	assert.Equal(t, Verdict{Transition: 1}, decideOne(t, state, newer))
	assert.Equal(t, Verdict{Outcome: Repeat}, decideOne(t, state, newer))
	assert.Equal(t, Verdict{Outcome: Repeat}, decideOne(t, state, older))
}

func TestLeastRecentlyUsedGoesFirst(t *testing.T) {
	state := newState(t, Settings{MaxEntries: 10})
	outcomes(state, numbered(0, 10))
	assert.Equal(t, map[Outcome]int{Repeat: 3}, outcomes(state, numbered(0, 3)), "touched")
	outcomes(state, numbered(10, 17))
	assert.Equal(t, map[Outcome]int{Repeat: 3}, outcomes(state, numbered(0, 3)))
	assert.Equal(t, map[Outcome]int{Repeat: 7}, outcomes(state, numbered(10, 17)))
	assert.Equal(t, Stats{Entries: 10, Evicted: 7}, state.Stats())
	assert.Equal(t, map[Outcome]int{Send: 7}, outcomes(state, numbered(3, 10)))
}

func TestOneEntry(t *testing.T) {
	state := newState(t, Settings{MaxEntries: 1})
	for i := range uint64(6) {
		assert.Equal(t, Send, decideOne(t, state, benchRecord(i%2)).Outcome)
		assert.Equal(t, Repeat, decideOne(t, state, benchRecord(i%2)).Outcome)
	}
	assert.EqualValues(t, 1, state.Stats().Entries)
}

func TestUntouchedForSevenDaysIsForgotten(t *testing.T) {
	now := time.UnixMilli(testNow)
	state := newState(t, Settings{Clock: func() time.Time { return now }})
	outcomes(state, numbered(0, 1000))
	now = now.Add(4 * 24 * time.Hour)
	assert.Equal(t, map[Outcome]int{Repeat: 1}, outcomes(state, numbered(0, 1)), "touched")
	now = now.Add(4 * 24 * time.Hour)
	assert.Equal(t, map[Outcome]int{Repeat: 1}, outcomes(state, numbered(0, 1)))
	assert.Equal(t, map[Outcome]int{Send: 1}, outcomes(state, numbered(1, 2)))
	// The others give their place back as new ones come; so many that each shard gets enough.
	outcomes(state, numbered(1000, 5000))
	assert.Equal(t, int64(4002), state.Stats().Entries)
	assert.Equal(t, int64(998), state.Stats().Expired)
}

// TestEvictionIsCloseToLRU compares what a bounded state still knows with an exact LRU, on users of
// whom few come often.
func TestEvictionIsCloseToLRU(t *testing.T) {
	const size, subjects, rounds = 10_000, 40_000, 300_000
	zipf := rand.NewZipf(rand.New(rand.NewPCG(1, 2)), 1.1, 50, subjects-1)
	state := newState(t, Settings{MaxEntries: size})
	exact := benchSets(size)["list+map"]()
	ours, theirs := 0, 0
	for range rounds {
		rec := []Record{benchRecord(zipf.Uint64())}
		ours += outcomes(state, rec)[Repeat]
		theirs += 1 - exact.batch(rec)
	}
	t.Logf("repeats recognized of %d: %d, by an exact LRU %d", rounds, ours, theirs)
	assert.InDelta(t, theirs, ours, 0.01*rounds)
}

// TestTableAgreesWithAMap inserts, finds, drops and evicts at random.
func TestTableAgreesWithAMap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		sh := &shard{table: table{seed: newSeed()}}
		tab := &sh.table
		known := map[id]uint64{}
		draw := func(t *rapid.T) id { return id{lo: rapid.Uint64Range(0, 300).Draw(t, "key")} }
		t.Repeat(map[string]func(*rapid.T){
			"insert": func(t *rapid.T) {
				for range rapid.IntRange(1, 40).Draw(t, "count") {
					k := draw(t)
					if tab.find(k) == nil {
						e := tab.insert(k, 1)
						e.result = k.lo
						known[k] = k.lo
					}
				}
			},
			"drop": func(t *rapid.T) {
				k := draw(t)
				if e := tab.find(k); e != nil {
					tab.drop(e)
					delete(known, k)
				}
			},
			"evict": func(*rapid.T) {
				if tab.evict(nil) {
					for k := range known {
						if tab.find(k) == nil {
							delete(known, k)
						}
					}
				}
			},
			"": func(t *rapid.T) {
				checkShard(t, sh)
				require.Equal(t, len(known), tab.live)
				for k, result := range known {
					require.Equal(t, result, tab.find(k).result)
				}
			},
		})
	})
}

// TestConcurrentBatches lets senders share subjects while others evict and read counts. Each sender
// sends until all of its records were committed by somebody.
func TestConcurrentBatches(t *testing.T) {
	for _, storage := range []bool{false, true} {
		t.Run(fmt.Sprintf("storage=%t", storage), func(t *testing.T) {
			set := Settings{MaxEntries: 50_000}
			kept := newMemStorage()
			if storage {
				set.Storage = &storageID
			}
			state := newState(t, set)
			require.NoError(t, state.Start(t.Context(), kept))
			var committed sync.Map
			var working sync.WaitGroup
			for range 8 {
				working.Go(func() {
					verdicts := make([]Verdict, 64)
					for range 200 {
						records := make([]Record, len(verdicts))
						for i := range records {
							records[i] = benchRecord(rand.Uint64N(500))
							records[i].Result = rand.Uint64N(2)
						}
						r := state.Reserve(t.Context(), records, verdicts)
						if rand.N(3) == 0 {
							r.Release()
							continue
						}
						for i, v := range verdicts {
							if v.Outcome != Repeat {
								committed.Store(eventID{records[i].Subject, records[i].Result, records[i].Bucket, 0}, true)
							}
						}
						r.Commit(t.Context())
						state.Stats()
					}
				})
			}
			working.Wait()
			for i := range state.shards {
				checkShard(t, &state.shards[i])
				assert.Zero(t, state.shards[i].flight.live)
			}
			// What is a repeat now was sent by somebody.
			for i := range uint64(500) {
				for result := range uint64(2) {
					rec := benchRecord(i)
					rec.Result = result
					verdicts := make([]Verdict, 1)
					state.Reserve(t.Context(), []Record{rec}, verdicts).Release()
					if verdicts[0].Outcome == Repeat {
						_, sent := committed.Load(eventID{rec.Subject, rec.Result, rec.Bucket, 0})
						assert.True(t, sent)
					}
				}
			}
			require.NoError(t, state.Shutdown(t.Context()))
		})
	}
}
