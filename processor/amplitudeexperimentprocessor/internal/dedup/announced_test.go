// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package dedup

import (
	"context"
	"strconv"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/redistest"
)

// TestChangesOfOneBatchKeepTheirNumbers cuts off a batch in which users change their result several
// times, once or more, and lets the sender send it again: each change is sent again under the id it
// had, so that what arrived the first time is neither doubled nor missing.
func TestChangesOfOneBatchKeepTheirNumbers(t *testing.T) {
	t.Run("alone", func(t *testing.T) {
		rapid.Check(t, func(t *rapid.T) { changesKeepTheirNumbers(t, func(*Settings) {}) })
	})
	t.Run("with Redis", func(t *testing.T) {
		server := redistest.Start(t)
		number := 0
		rapid.Check(t, func(t *rapid.T) {
			number++ // each check has keys of its own
			changesKeepTheirNumbers(t, func(set *Settings) {
				set.Redis = &RedisSettings{
					Options:   redis.UniversalOptions{Addrs: []string{server.Address}},
					KeyPrefix: strconv.Itoa(number) + ":",
					Timeout:   2 * time.Second, // the machine may be busy
				}
			})
		})
	})
}

func changesKeepTheirNumbers(t *rapid.T, shared func(*Settings)) {
	ctx := context.Background()
	kept := newMemStorage()
	state := openState(t, kept, shared)
	states := []*State{state}
	now := int64(testNow) - 1_000_000
	draw := func(name string, most int) []Record {
		records := make([]Record, rapid.IntRange(1, most).Draw(t, name))
		for i := range records {
			now += int64(rapid.IntRange(1, 3).Draw(t, "pause"))
			records[i] = Record{
				Subject: Key{byte(rapid.IntRange(0, 1).Draw(t, "subject"))},
				Result:  uint64(rapid.IntRange(1, 3).Draw(t, "result")),
				Bucket:  20_000,
				Time:    now,
			}
		}
		return records
	}
	reserve := func(records []Record) (*Reservation, map[eventID]bool) {
		verdicts := make([]Verdict, len(records))
		r := state.Reserve(ctx, records, verdicts)
		ids := make(map[eventID]bool)
		for i, v := range verdicts {
			if v.Outcome != Repeat {
				ids[eventID{records[i].Subject, records[i].Result, records[i].Bucket, v.Transition}] = true
			}
		}
		return r, ids
	}
	before, delivered := reserve(draw("before", 5))
	before.Commit(ctx)
	state.journal.sync(ctx)

	// What other senders have on its way at that moment, and how it ends. What of it was accepted makes
	// an older record of the same result a repeat: that is the rule, whatever the order of arrival.
	others := make(map[eventID]bool)
	beside := func(name string) {
		if !rapid.Bool().Draw(t, name) {
			return
		}
		r, ids := reserve(draw(name, 2))
		switch rapid.SampledFrom([]string{"accepted", "refused", "cut off"}).Draw(t, name+" ends") {
		case "accepted":
			r.Commit(ctx)
			for one := range ids {
				delivered[one] = true
				one.n = 0
				others[one] = true
			}
		case "refused":
			r.Release()
		}
	}
	batch := draw("batch", 6)
	_, first := reserve(batch)
	beside("another")
	crashes := rapid.IntRange(1, 3).Draw(t, "crashes")
	for crash := range crashes {
		state.journal.sync(ctx)
		if rapid.Bool().Draw(t, "compacted") {
			require.NoError(t, state.Shutdown(ctx))
			kept = kept.after()
			state = openState(t, kept, shared)
			states = append(states, state)
		}
		kept = kept.after()
		state = openState(t, kept, shared)
		states = append(states, state)
		beside("newer")
		r, again := reserve(batch)
		for one := range first {
			result := one
			result.n = 0
			require.True(t, again[one] || delivered[one] || others[result], "missing: %+v", one)
		}
		for one := range again {
			// What was there before may be sent again, under the id that it had.
			require.True(t, first[one] || delivered[one], "doubled: %+v", one)
		}
		if crash == crashes-1 || rapid.Bool().Draw(t, "refused") {
			r.Release()
		}
	}
	last, _ := reserve(batch)
	last.Commit(ctx)
	_, repeats := reserve(batch)
	require.Empty(t, repeats, "all of it is known now")
	for _, s := range states {
		require.NoError(t, s.Shutdown(ctx))
	}
}

// A late result that is also the unconfirmed state is remembered as sent: B was accepted, the change
// to A was cut off, and then an A from before B comes, twice.
func TestLateRecordOfAnUnconfirmedResult(t *testing.T) {
	ctx := context.Background()
	kept := newMemStorage()
	state := openState(t, kept)
	late := Record{Subject: Key{1}, Result: 1, Bucket: 20_000, Time: testNow - 3000}
	b, a := late, late
	b.Result, b.Time, a.Time = 2, late.Time+1000, late.Time+2000
	decideOne(t, state, b)
	verdicts := make([]Verdict, 1)
	cutOff := state.Reserve(ctx, []Record{a}, verdicts)
	require.Equal(t, Verdict{Outcome: Send, Transition: 1, Changed: true}, verdicts[0])

	restarted := openState(t, kept.after())
	assert.Equal(t, Verdict{Outcome: Late}, decideOne(t, restarted, late))
	assert.Equal(t, Verdict{Outcome: Repeat}, decideOne(t, restarted, late), "it was accepted")
	assert.Equal(t, Verdict{Outcome: Send, Transition: 1}, decideOne(t, restarted, a), "nobody knows whether it arrived")
	assert.Equal(t, Verdict{Outcome: Repeat}, decideOne(t, restarted, a))
	require.NoError(t, restarted.Shutdown(ctx))
	cutOff.Release()
	require.NoError(t, state.Shutdown(ctx))
}
