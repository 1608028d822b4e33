// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package diagnostics_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/diagnostics"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/pattern"
)

func newBook(change func(*diagnostics.Settings)) *diagnostics.Book {
	set := diagnostics.Settings{
		Flags: pattern.NewList([]string{"*"}), MaxFlags: 10, MaxVariants: 3, MaxAllVariants: 100, MaxPersons: 1000, Forget: time.Hour,
	}
	if change != nil {
		change(&set)
	}
	return diagnostics.NewBook(set)
}

const start = int64(1_768_478_400_000)

func user(n int) diagnostics.Person { return diagnostics.PersonOf(fmt.Sprint("user-", n), "") }

func expose(b *diagnostics.Book, flag, variant string, who diagnostics.Person, second int) {
	b.Expose(&diagnostics.Exposure{Flag: flag, Variant: variant, Person: who, Time: start + int64(second)*1000, Day: 20468}, start)
}

// TestEvidence compares with values computed from the definition: the ratio of two beta functions.
func TestEvidence(t *testing.T) {
	shares := diagnostics.NewShares(map[string]float64{"a": 1, "b": 1})
	beta := func(x, y float64) float64 {
		a, _ := math.Lgamma(x)
		b, _ := math.Lgamma(y)
		c, _ := math.Lgamma(x + y)
		return a + b - c
	}
	for _, n := range [][2]int{{0, 0}, {1, 0}, {60, 40}, {5300, 4700}, {1_000_000, 1_000_000}} {
		want := beta(100+float64(n[0]), 100+float64(n[1])) - beta(100, 100) + float64(n[0]+n[1])*math.Ln2
		got := diagnostics.Evidence(shares, map[string]int{"a": n[0], "b": n[1], "nobody expects it": 5})
		assert.InDelta(t, want, got, 1e-6*math.Max(1, float64(n[0])/1000), n)
	}
	assert.InDelta(t, 0, diagnostics.Evidence(shares, map[string]int{"a": 1}), 1e-9, "the first person shows nothing")
}

// TestCounts of one run, by what the persons did.
func TestCounts(t *testing.T) {
	b := newBook(func(s *diagnostics.Settings) { s.Expected = map[string]map[string]float64{"f": {"a": 3, "b": 1}} })
	for range 3 {
		expose(b, "f", "a", user(1), 0)
	}
	expose(b, "f", "b", user(2), 10)
	expose(b, "f", "a", user(2), 5) // arrives later but happened earlier
	expose(b, "f", "", user(1), 20)
	device := diagnostics.PersonOf("", "device-3")
	expose(b, "f", "b", device, 0)
	expose(b, "f", "b", diagnostics.PersonOf("", "device-4"), 0)
	expose(b, "f", "b", diagnostics.PersonOf("user-3", "device-3"), 30) // the device has a user now
	b.Assign("f", user(1), 20468, start)
	b.Assign("f", user(2), 20467, start) // the day before
	b.Assign("f", user(9), 20468, start) // never exposed
	b.Expose(&diagnostics.Exposure{Flag: "f", Variant: "a", Person: user(1), Time: start, Day: 20468, Late: true}, start)

	counts := b.Read()
	require.Len(t, counts, 1)
	c := counts[0]
	assert.Equal(t, []diagnostics.VariantCount{{Variant: "a", Persons: 2, Tested: 2, Share: 0.75}, {Variant: "b", Persons: 2, Tested: 2, Share: 0.25}}, c.Variants)
	assert.Equal(t, 4, c.Persons)
	assert.Equal(t, 1, c.Changed)
	assert.Equal(t, 1, c.DeviceOnly)
	assert.Equal(t, 3, c.Assigned)
	assert.Equal(t, 2, c.ExposedAssigned)
	assert.Equal(t, 3, c.WithoutAssignment, "user 2 was assigned on another day, user 3 and device 4 never")
	assert.EqualValues(t, 9, c.Exposures)
	assert.EqualValues(t, 1, c.Unexposures)
	assert.EqualValues(t, 1, c.Late)
	assert.InDelta(t, 1, c.SampledShare, 0)
	assert.True(t, c.Verdict.Tested)
	assert.False(t, c.Verdict.Mismatch())
}

// TestDeviceAndUser: a device that gets a user becomes that user. A device first seen alone after its user counts as
// another person.
func TestDeviceAndUser(t *testing.T) {
	for name, test := range map[string]struct {
		met                 []diagnostics.Person
		persons, deviceOnly int
	}{
		"a login":            {[]diagnostics.Person{{Device: 7}, {User: 1, Device: 7}, {Device: 7}}, 1, 0},
		"a logout":           {[]diagnostics.Person{{User: 1, Device: 7}, {Device: 7}}, 2, 1},
		"two users on it":    {[]diagnostics.Person{{Device: 7}, {User: 1, Device: 7}, {User: 2, Device: 7}}, 2, 0},
		"two devices of one": {[]diagnostics.Person{{Device: 7}, {Device: 8}, {User: 1, Device: 7}, {User: 1, Device: 8}}, 1, 0},
		"only a device":      {[]diagnostics.Person{{Device: 7}, {Device: 7}}, 1, 1},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBook(func(*diagnostics.Settings) {})
			for n, who := range test.met {
				expose(b, "f", "a", who, n)
			}
			c := b.Read()[0]
			assert.Equal(t, test.persons, c.Persons)
			assert.Equal(t, test.deviceOnly, c.DeviceOnly)
		})
	}
}

// TestNoSharesNoVerdict: without configured shares, there is no verdict, however the persons are split.
func TestNoSharesNoVerdict(t *testing.T) {
	b := newBook(nil)
	for n := range 1000 {
		expose(b, "f", map[bool]string{true: "b", false: "a"}[n%20 == 0], user(n), 0)
	}
	assert.False(t, b.Read()[0].Verdict.Tested)
}

// TestEstimates of 50,000 persons, of whom at most 1,000 are tracked, are within four standard errors, and the split is
// preserved.
func TestEstimates(t *testing.T) {
	const persons, remembered = 50_000, 1000
	b := newBook(nil)
	for n := range persons {
		expose(b, "f", map[bool]string{true: "b", false: "a"}[n%4 == 0], user(n), n)
		if n%10 == 0 {
			expose(b, "f", "b", user(n/10), n)
		}
	}
	c := b.Read()[0]
	deviation := math.Sqrt(2.0/remembered) * persons
	assert.InDelta(t, persons, c.Persons, 4*deviation)
	assert.InDelta(t, 0.75*persons, c.Variants[0].Persons, 4*deviation)
	assert.InDelta(t, 0.25*persons, c.Variants[1].Persons, 4*deviation)
	assert.InDelta(t, 0.075*persons, c.Changed, 4*deviation)
	assert.LessOrEqual(t, c.SampledShare, float64(remembered)/persons)
}

// TestMerge: persons are counted as in one process, however they are distributed over replicas, and however often and
// in whatever order those are merged.
func TestMerge(t *testing.T) {
	for name, persons := range map[string]int{"exact": 900, "sampled": 5000} {
		t.Run(name, func(t *testing.T) {
			set := func(s *diagnostics.Settings) { s.Expected = map[string]map[string]float64{"f": {"a": 1, "b": 1}} }
			one := newBook(set)
			replicas := []*diagnostics.Book{newBook(set), newBook(set), newBook(set)}
			random := rand.New(rand.NewPCG(1, 2))
			for n := range 3 * persons {
				who := user(random.IntN(persons))
				variant := []string{"a", "b"}[random.IntN(2)]
				to := replicas[random.IntN(3)]
				for _, b := range []*diagnostics.Book{one, to} {
					expose(b, "f", variant, who, n)
					if n%3 == 0 {
						b.Assign("f", who, 20468, start)
					}
				}
			}
			merged := newBook(set)
			var events int64
			for _, i := range []int{2, 0, 1, 0, 2} {
				content, version := replicas[i].Encode(nil, "f", diagnostics.Shared)
				assert.NotZero(t, version)
				all, _, _ := merged.Exchange("f", content, 0, start)
				assert.NotNil(t, all)
			}
			for _, b := range replicas {
				events += b.Read()[0].Exposures
			}
			want, got := one.Read()[0], merged.Read()[0]
			assert.Equal(t, want.Exposures, events, "numbers of events add up")
			want.Exposures, got.Exposures = 0, 0
			assert.Equal(t, want, got)

			// After a restart, a process knows all of it.
			content, _ := one.Encode(nil, "f", diagnostics.Own)
			next := newBook(set)
			restart, err := next.Load("f", content)
			require.NoError(t, err)
			assert.Nil(t, restart)
			assert.Equal(t, one.Read(), next.Read())
		})
	}
}

// TestOtherSharesStartOver: persons seen under other shares are counted but not tested.
func TestOtherSharesStartOver(t *testing.T) {
	expecting := func(b float64) *diagnostics.Book {
		return newBook(func(s *diagnostics.Settings) {
			s.MaxPersons = 10_000
			s.Expected = map[string]map[string]float64{"f": {"a": 1, "b": b}}
		})
	}
	before := expecting(1)
	for n := range 2000 {
		expose(before, "f", map[bool]string{true: "b", false: "a"}[n%4 == 0], user(n), 0)
	}
	require.True(t, before.Read()[0].Verdict.Mismatch())
	content, _ := before.Encode(nil, "f", diagnostics.Own)
	now := expecting(3)
	restart, err := now.Load("f", content)
	require.NoError(t, err)
	assert.Equal(t, &diagnostics.Restart{Flag: "f", Before: `"a": 0.5, "b": 0.5`, Now: `"a": 0.25, "b": 0.75`}, restart)
	c := now.Read()[0]
	assert.Equal(t, 2000, c.Persons)
	assert.InDelta(t, 1, c.Verdict.PValue, 0)
	for n := range 4000 {
		expose(now, "f", map[bool]string{true: "a", false: "b"}[n%4 == 0], user(n), 10)
	}
	c = now.Read()[0]
	assert.Equal(t, 4000, c.Persons)
	assert.Equal(t, 500, c.Variants[0].Tested)
	assert.Equal(t, 1500, c.Variants[1].Tested)
	assert.False(t, c.Verdict.Mismatch())
}

// TestAlarmStays: a bad split stays reported even if it improves.
func TestAlarmStays(t *testing.T) {
	b := newBook(func(s *diagnostics.Settings) {
		s.Expected, s.MaxPersons = map[string]map[string]float64{"f": {"a": 1, "b": 1}}, 10_000
	})
	for n := range 200 {
		expose(b, "f", "a", user(n), 0)
	}
	require.True(t, b.Read()[0].Verdict.Mismatch())
	for n := range 200 {
		expose(b, "f", "b", user(1000+n), 0)
	}
	v := b.Read()[0].Verdict
	assert.True(t, v.Mismatch())
	assert.Negative(t, v.Evidence)
}

// TestBounds: 100,000 flags, runs and variants take no more memory than the first ones.
func TestBounds(t *testing.T) {
	const flags, hostile = 100_000, 10_000
	b := newBook(func(s *diagnostics.Settings) {
		s.Expected = map[string]map[string]float64{"expected": {"a": 1, "b": 1}}
	})
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for n := range hostile {
		expose(b, fmt.Sprint("flag-", n), "a", user(n), 0)
		b.Assign(fmt.Sprint("assigned-", n), user(n), 20468, start)
		b.Expose(&diagnostics.Exposure{Flag: "flag-1", Run: fmt.Sprint("run-", n), Variant: "a", Person: user(n), Time: start}, start)
		expose(b, "flag-2", fmt.Sprint("variant-", n), user(n), 0)
	}
	for n := hostile; n < flags; n++ {
		expose(b, fmt.Sprint("flag-", n), "a", user(1), 0)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	assert.Less(t, int64(after.HeapAlloc)-int64(before.HeapAlloc), int64(1<<20))
	expose(b, "expected", "a", user(1), 0)
	counts := b.Read()
	assert.Contains(t, b.Flags(), "expected", "it has room")
	assert.Len(t, b.Flags(), 7, "beside three runs beyond the first of a flag")
	assert.Len(t, counts, 10)
	for _, c := range counts {
		assert.LessOrEqual(t, len(c.Variants), 3)
	}
	assert.EqualValues(t, 3*hostile-6-3+flags-hostile, b.NotCounted(diagnostics.BoundFlags))
	assert.EqualValues(t, hostile-2, b.NotCounted(diagnostics.BoundVariants))
	runtime.KeepAlive(b)
}

// TestExpire: what is not seen for a while is removed and makes room.
func TestExpire(t *testing.T) {
	b := newBook(func(s *diagnostics.Settings) { s.MaxFlags = 2 })
	at := func(flag, run string, minute int64) {
		b.Expose(&diagnostics.Exposure{Flag: flag, Run: run, Variant: "a", Person: user(1), Time: start}, start+minute*60_000)
	}
	at("f", "one", 0)
	at("f", "two", 30)
	at("f", "three", 30)
	at("g", "", 30)
	assert.EqualValues(t, 2, b.NotCounted(diagnostics.BoundFlags))
	b.Expire(start + 61*60_000)
	require.Len(t, b.Read(), 1)
	assert.Equal(t, "two", b.Read()[0].Run)
	at("f", "three", 62)
	assert.Len(t, b.Read(), 2)
	b.Expire(start + 200*60_000)
	assert.Empty(t, b.Read())
	at("g", "", 200)
	assert.Equal(t, "g", b.Read()[0].Flag)
}

// FuzzLoad: a storage may return anything.
func FuzzLoad(f *testing.F) {
	b := newBook(func(s *diagnostics.Settings) { s.Expected = map[string]map[string]float64{"f": {"a": 1, "b": 1}} })
	for n := range 20 {
		expose(b, "f", []string{"a", "b"}[n%2], user(n), n)
		b.Assign("f", user(n), 20468, start)
	}
	content, _ := b.Encode(nil, "f", diagnostics.Own)
	f.Add(content)
	f.Add(content[:len(content)/2])
	f.Add([]byte("AXD1"))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, content []byte) {
		b := newBook(nil)
		if _, err := b.Load("f", content); err != nil {
			assert.Empty(t, b.Flags())
			return
		}
		again, _ := b.Encode(nil, "f", diagnostics.Own)
		other := newBook(nil)
		_, err := other.Load("f", again)
		require.NoError(t, err)
		b.Read()
	})
}
