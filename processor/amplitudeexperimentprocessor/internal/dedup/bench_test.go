// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package dedup

import (
	"container/list"
	"context"
	"encoding/binary"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/zeebo/xxh3"
)

const benchBatch = 1000

// benchRecord is the i-th of the subjects.
func benchRecord(i uint64) Record {
	var raw [8]byte
	binary.LittleEndian.PutUint64(raw[:], i)
	hash := xxh3.Hash128(raw[:])
	return Record{Subject: hash.Bytes(), Result: 1, Bucket: 20_000, Time: 20_000 * 86_400_000}
}

// seenSet is what the alternatives have in common: a batch in, how many were new out.
type seenSet interface {
	batch(records []Record) (fresh int)
}

type stateSet struct{ state *State }

func (s *stateSet) batch(records []Record) (fresh int) {
	var verdicts [benchBatch]Verdict
	s.state.Reserve(context.Background(), records, verdicts[:len(records)]).Commit(context.Background())
	for _, v := range verdicts[:len(records)] {
		if v.Outcome == Send {
			fresh++
		}
	}
	return fresh
}

// mapSet is a map and a mutex, without any bound.
type mapSet struct {
	mu sync.Mutex
	m  map[Key]entryValue
}

type entryValue struct {
	result uint64
	newest int64
	bucket int32
}

func valueOf(rec *Record) entryValue {
	return entryValue{result: rec.Result, newest: rec.Time, bucket: rec.Bucket}
}

func (s *mapSet) batch(records []Record) (fresh int) {
	for i := range records {
		s.mu.Lock()
		if s.m[records[i].Subject] != valueOf(&records[i]) {
			s.m[records[i].Subject] = valueOf(&records[i])
			fresh++
		}
		s.mu.Unlock()
	}
	return fresh
}

// listSet has the structure of the official SDK's cache: a map of elements of a list, one mutex.
type listSet struct {
	mu    sync.Mutex
	limit int
	order *list.List
	m     map[Key]*list.Element
}

type listEntry struct {
	key     Key
	value   entryValue
	created time.Time
}

func (s *listSet) batch(records []Record) (fresh int) {
	for i := range records {
		s.mu.Lock()
		if e, ok := s.m[records[i].Subject]; ok && e.Value.(*listEntry).value == valueOf(&records[i]) {
			s.order.MoveToFront(e)
		} else {
			s.m[records[i].Subject] = s.order.PushFront(
				&listEntry{key: records[i].Subject, value: valueOf(&records[i]), created: time.Now()})
			if len(s.m) > s.limit {
				last := s.order.Back()
				delete(s.m, s.order.Remove(last).(*listEntry).key)
			}
			fresh++
		}
		s.mu.Unlock()
	}
	return fresh
}

type syncMapSet struct{ m sync.Map }

func (s *syncMapSet) batch(records []Record) (fresh int) {
	for i := range records {
		if _, loaded := s.m.LoadOrStore(records[i].Subject, valueOf(&records[i])); !loaded {
			fresh++
		}
	}
	return fresh
}

func benchSets(size int) map[string]func() seenSet {
	return map[string]func() seenSet{
		"state": func() seenSet {
			s, err := New(Settings{MaxEntries: size})
			if err != nil {
				panic(err)
			}
			return &stateSet{s}
		},
		"map+mutex": func() seenSet { return &mapSet{m: make(map[Key]entryValue)} },
		"list+map": func() seenSet {
			return &listSet{limit: size, order: list.New(), m: make(map[Key]*list.Element)}
		},
		"sync.Map": func() seenSet { return &syncMapSet{} },
	}
}

func heapNow() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

func fill(set seenSet, from, to int) {
	records := make([]Record, 0, benchBatch)
	for i := from; i < to; i += benchBatch {
		records = records[:0]
		for j := i; j < min(i+benchBatch, to); j++ {
			records = append(records, benchRecord(uint64(j)))
		}
		set.batch(records)
	}
}

// BenchmarkSeen measures the state beside alternatives at 10^6 and 10^7 subjects: heap bytes per
// subject, ns per new subject, and ns per repeat in batches of 1,000 on 1 and on 2 cores (making the
// records is part of every figure). Run with -benchtime=3000x.
func BenchmarkSeen(b *testing.B) {
	for _, size := range []int{1_000_000, 10_000_000} {
		for _, name := range []string{"state", "map+mutex", "list+map", "sync.Map"} {
			b.Run(fmt.Sprintf("%s/%d", name, size), func(b *testing.B) { benchSeen(b, benchSets(size)[name], size) })
		}
	}
}

func benchSeen(b *testing.B, makeSet func() seenSet, size int) {
	if testing.Short() && size > 1_000_000 {
		b.Skip("10^7 entries take a while")
	}
	before := heapNow()
	set := makeSet()
	begun := time.Now()
	fill(set, 0, size)
	insert := float64(time.Since(begun).Nanoseconds()) / float64(size)
	bytes := float64(heapNow()-before) / float64(size)
	collect := time.Now()
	runtime.GC()
	collected := time.Since(collect)
	for _, cores := range []int{1, 2} {
		b.Run(fmt.Sprintf("cores=%d", cores), func(b *testing.B) {
			defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(cores))
			var seed atomic.Uint64
			b.ReportAllocs()
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				at := seed.Add(1) * 0x9e3779b97f4a7c15
				records := make([]Record, benchBatch)
				for pb.Next() {
					for i := range records {
						at = at*6364136223846793005 + 1442695040888963407
						records[i] = benchRecord((at >> 33) % uint64(size))
					}
					set.batch(records)
				}
			})
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/benchBatch, "ns/record")
			b.ReportMetric(bytes, "B/entry")
			b.ReportMetric(insert, "ns/insert")
			b.ReportMetric(float64(collected.Microseconds()), "µs/GC")
		})
	}
	runtime.KeepAlive(set)
}

func TestAtMost64BytesOfHeapPerSubject(t *testing.T) {
	const size = 1_000_000
	before := heapNow()
	state, err := New(Settings{MaxEntries: size})
	require.NoError(t, err)
	fill(&stateSet{state}, 0, size)
	bytes := float64(heapNow()-before) / float64(state.Stats().Entries)
	t.Logf("%.1f bytes of heap per subject at %d subjects", bytes, state.Stats().Entries)
	assert.LessOrEqual(t, bytes, 64.0)
	assert.InDelta(t, size, state.Stats().Entries, 100)
	runtime.KeepAlive(state)
}

func TestNoAllocationInSteadyState(t *testing.T) {
	state, err := New(Settings{MaxEntries: 100_000})
	require.NoError(t, err)
	set := &stateSet{state}
	// More subjects than entries, so that insertion and eviction go on forever.
	next := uint64(0)
	records := make([]Record, benchBatch)
	round := func() {
		for i := range records {
			next++
			records[i] = benchRecord(next % 200_000)
			if i%3 == 0 {
				records[i] = benchRecord(uint64(i)) // repeats
			}
		}
		set.batch(records)
	}
	for range 1000 {
		round()
	}
	assert.Zero(t, testing.AllocsPerRun(500, round))
	assert.Positive(t, state.Stats().Evicted)
}

// BenchmarkChange measures a batch of one record that changes the result of its subject: with a
// storage, what it costs to write that down before the batch goes out.
func BenchmarkChange(b *testing.B) {
	for _, storage := range []bool{false, true} {
		b.Run(fmt.Sprintf("file_storage=%t", storage), func(b *testing.B) {
			state, err := New(Settings{MaxEntries: 1000})
			require.NoError(b, err)
			if storage {
				var done func()
				state, done = openFileState(b, b.TempDir(), 1000)
				defer done()
			}
			rec := benchRecord(1)
			verdicts := make([]Verdict, 1)
			b.ResetTimer()
			for i := range b.N {
				rec.Result, rec.Time = uint64(i), rec.Time+1
				state.Reserve(b.Context(), []Record{rec}, verdicts).Commit(b.Context())
			}
		})
	}
}
