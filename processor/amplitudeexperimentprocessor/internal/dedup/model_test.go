// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package dedup

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// model is the rules of [State] in their plainest form: maps, full scans, no shards.
type model struct {
	forget   int64 // seconds
	entries  map[Key]*modelEntry
	sent     map[modelSent]int64 // when it was last touched, in seconds
	inFlight map[Key][]*modelRecord
	batches  int
}

type modelEntry struct {
	result          uint64
	newest, touched int64
	bucket          int32
	n               uint32
	overtaken       bool
}

type modelSent struct {
	subject Key
	result  uint64
	bucket  int32
}

type modelRecord struct {
	subject      Key
	batch        int
	result       uint64
	time, newest int64
	bucket       int32
	n            uint32
	late         bool
}

type modelBatch struct {
	number int
	second int64
	held   []*modelRecord
}

func newModel(forget time.Duration) *model {
	return &model{
		forget:   int64(forget / time.Second),
		entries:  make(map[Key]*modelEntry),
		sent:     make(map[modelSent]int64),
		inFlight: make(map[Key][]*modelRecord),
	}
}

func (m *model) reserve(records []Record, now int64) (*modelBatch, []Verdict) {
	m.batches++
	b := &modelBatch{number: m.batches, second: now / 1000}
	var verdicts []Verdict
	for _, rec := range records {
		verdicts = append(verdicts, m.decide(b, rec, min(rec.Time, now)))
	}
	return b, verdicts
}

func (m *model) decide(b *modelBatch, rec Record, t int64) Verdict {
	committed := m.entries[rec.Subject]
	if committed != nil && committed.touched < b.second-m.forget {
		committed = nil
	}
	var own *modelRecord
	ownSent := false
	for _, r := range b.held {
		if r.subject == rec.Subject {
			ownSent = ownSent || (r.bucket == rec.Bucket && r.result == rec.Result)
			if !r.late {
				own = r
			}
		}
	}
	hold := func(n uint32, late bool) {
		r := &modelRecord{rec.Subject, b.number, rec.Result, t, t, rec.Bucket, n, late}
		b.held = append(b.held, r)
		m.inFlight[rec.Subject] = append(m.inFlight[rec.Subject], r)
	}

	// What the record is compared with: the batch's own view, else what is committed.
	var current *modelEntry
	switch {
	case own != nil:
		current = &modelEntry{result: own.result, newest: own.newest, bucket: own.bucket, n: own.n}
		if committed != nil {
			current.newest = max(current.newest, committed.newest)
		}
	case committed != nil:
		current = committed
	}
	same := current != nil && current.bucket == rec.Bucket && current.result == rec.Result
	if same && own != nil {
		own.newest = max(own.newest, t)
		return Verdict{Outcome: Repeat}
	}
	if current != nil && !same && t < current.newest {
		if committed != nil && committed.bucket == rec.Bucket && committed.result == rec.Result {
			return Verdict{Outcome: Repeat}
		}
		key := modelSent{rec.Subject, rec.Result, rec.Bucket}
		if touched, ok := m.sent[key]; ok && touched >= b.second-m.forget {
			m.sent[key] = b.second
			return Verdict{Outcome: Repeat}
		}
		if ownSent {
			return Verdict{Outcome: Repeat}
		}
		hold(0, true)
		return Verdict{Outcome: Late}
	}

	next := uint32(0)
	if current != nil && current.bucket == rec.Bucket {
		next = current.n + 1
	}
	var others []*modelRecord
	for _, r := range m.inFlight[rec.Subject] {
		if r.batch != b.number && !r.late && r.bucket == rec.Bucket && r.n >= next && r.time <= t {
			others = append(others, r)
		}
	}
	slices.SortStableFunc(others, func(a, b *modelRecord) int {
		if a.time != b.time {
			return int(a.time - b.time)
		}
		return int(a.n) - int(b.n)
	})
	n := next
	exact := slices.IndexFunc(others, func(r *modelRecord) bool { return r.time == t && r.result == rec.Result })
	switch {
	case exact >= 0:
		n = others[exact].n
	case len(others) > 0 && others[len(others)-1].result == rec.Result:
		n = others[len(others)-1].n
	case len(others) > 0:
		n = others[len(others)-1].n + 1
	case same && committed.overtaken:
		n = committed.n + 1
	case same:
		committed.touched, committed.newest = b.second, max(committed.newest, t)
		return Verdict{Outcome: Repeat}
	}
	hold(n, false)
	return Verdict{Outcome: Send, Transition: n, Changed: current != nil && current.result != rec.Result}
}

func (m *model) end(b *modelBatch, accepted bool) {
	for _, r := range b.held {
		if accepted {
			m.commit(r, b.second)
		}
		m.inFlight[r.subject] = slices.DeleteFunc(m.inFlight[r.subject], func(o *modelRecord) bool { return o == r })
	}
}

func (m *model) commit(r *modelRecord, second int64) {
	e := m.entries[r.subject]
	if e == nil || e.touched < second-m.forget {
		if r.late {
			m.sent[modelSent{r.subject, r.result, r.bucket}] = second
			return
		}
		m.entries[r.subject] = &modelEntry{result: r.result, newest: r.newest, touched: second, bucket: r.bucket, n: r.n}
		return
	}
	e.touched = second
	equal := e.bucket == r.bucket && e.result == r.result
	newer := !r.late && (r.newest > e.newest || (r.newest == e.newest && (e.bucket != r.bucket || r.n >= e.n)))
	if !equal {
		if !newer {
			m.sent[modelSent{r.subject, r.result, r.bucket}] = second
		} else if e.bucket == r.bucket || e.n > 0 {
			m.sent[modelSent{r.subject, e.result, e.bucket}] = second // of the day that ends, if it had a change
		}
	}
	switch {
	case equal && r.n > e.n, newer && !equal:
		e.overtaken = false
	case !equal && !r.late:
		e.overtaken = true
	}
	if newer {
		if e.bucket != r.bucket {
			e.n = 0
		}
		e.result, e.bucket, e.newest = r.result, r.bucket, r.newest
	}
	if e.bucket == r.bucket {
		e.n = max(e.n, r.n)
	}
}

func TestStateAgreesWithTheModel(t *testing.T) {
	const forget = 40 * time.Second
	rapid.Check(t, func(t *rapid.T) {
		now := int64(1_000_000)
		state, err := New(Settings{
			// Both one shard and many.
			MaxEntries: rapid.SampledFrom([]int{1000, 100_000}).Draw(t, "max_entries"),
			Forget:     forget,
			Clock:      func() time.Time { return time.UnixMilli(now) },
		})
		require.NoError(t, err)
		m := newModel(forget)

		type pair struct {
			state *Reservation
			model *modelBatch
		}
		var open []pair
		end := func(t *rapid.T, accepted bool) {
			if len(open) == 0 {
				t.Skip("nothing in flight")
			}
			i := rapid.IntRange(0, len(open)-1).Draw(t, "batch")
			if accepted {
				open[i].state.Commit(t.Context())
			} else {
				open[i].state.Release()
			}
			m.end(open[i].model, accepted)
			open = slices.Delete(open, i, i+1)
		}
		t.Repeat(map[string]func(*rapid.T){
			"reserve": func(t *rapid.T) {
				records := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Record {
					age := rapid.Int64Range(-2, 12).Draw(t, "age")
					return Record{
						Subject: Key{0: rapid.Byte().Draw(t, "hi") % 2, 15: rapid.Byte().Draw(t, "lo") % 2},
						Result:  uint64(rapid.IntRange(1, 3).Draw(t, "result")),
						Bucket:  int32((now/1000 - age) / 10),
						Time:    now - age*1000,
					}
				}), 1, 6).Draw(t, "records")
				verdicts := make([]Verdict, len(records))
				r := state.Reserve(t.Context(), records, verdicts)
				b, want := m.reserve(records, now)
				require.Equal(t, want, verdicts)
				open = append(open, pair{r, b})
			},
			"commit":  func(t *rapid.T) { end(t, true) },
			"release": func(t *rapid.T) { end(t, false) },
			"wait":    func(t *rapid.T) { now += 1000 * rapid.Int64Range(0, 15).Draw(t, "seconds") },
			"": func(t *rapid.T) {
				for i := range state.shards {
					checkShard(t, &state.shards[i])
				}
			},
		})
		for len(open) > 0 {
			open[0].state.Release()
			m.end(open[0].model, false)
			open = open[1:]
		}
		for i := range state.shards {
			require.Zero(t, state.shards[i].flight.live)
		}
	})
}

// checkShard proves that every entry and every record in flight can be found, and nothing else.
func checkShard(t require.TestingT, sh *shard) {
	slots := 0
	for _, slot := range sh.table.index {
		if slot != 0 {
			slots++
		}
	}
	require.Equal(t, sh.table.live, slots)
	live := 0
	for number := uint32(1); number <= sh.table.used; number++ {
		if e := sh.table.at(number); !e.is(flagFree) {
			live++
			require.Same(t, e, sh.table.find(e.id))
		}
	}
	require.Equal(t, sh.table.live, live)
	chained := 0
	for _, number := range sh.flight.heads {
		for ; number != 0; number = sh.flight.at(number).next {
			chained++
		}
	}
	require.Equal(t, sh.flight.live, chained)
}
