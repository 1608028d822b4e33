// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package dedup

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/extension/xextension/storage"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
	"pgregory.net/rapid"
)

const testNow = 20_000 * 86_400_000

type testingT interface {
	require.TestingT
	Helper()
}

// openState starts a state over a storage; set is changed by the options.
func openState(t testingT, kept *memStorage, options ...func(*Settings)) *State {
	t.Helper()
	set := Settings{
		MaxEntries: 100_000,
		Clock:      func() time.Time { return time.UnixMilli(testNow) },
		Storage:    &storageID,
		Scope:      "day UTC",
	}
	for _, option := range options {
		option(&set)
	}
	state, err := New(set)
	require.NoError(t, err)
	require.NoError(t, state.Start(context.Background(), kept))
	return state
}

func decideOne(t testingT, state *State, rec Record) Verdict {
	t.Helper()
	verdicts := make([]Verdict, 1)
	state.Reserve(context.Background(), []Record{rec}, verdicts).Commit(context.Background())
	return verdicts[0]
}

func numbered(from, to int) []Record {
	var records []Record
	for i := from; i < to; i++ {
		records = append(records, benchRecord(uint64(i)))
	}
	return records
}

func outcomes(state *State, records []Record) map[Outcome]int {
	verdicts := make([]Verdict, len(records))
	state.Reserve(context.Background(), records, verdicts).Commit(context.Background())
	count := make(map[Outcome]int)
	for _, v := range verdicts {
		count[v.Outcome]++
	}
	return count
}

func TestRestartKeepsTheState(t *testing.T) {
	kept := newMemStorage()
	state := openState(t, kept)
	assert.Equal(t, map[Outcome]int{Send: 5000}, outcomes(state, numbered(0, 5000)))
	a := Record{Subject: Key{1}, Result: 1, Bucket: 20_000, Time: testNow - 5000}
	b, again := a, a
	b.Result, b.Time, again.Time = 2, a.Time+1000, a.Time+2000
	decideOne(t, state, a)
	decideOne(t, state, b)
	assert.Equal(t, Verdict{Transition: 2, Changed: true}, decideOne(t, state, again))
	refused := Record{Subject: Key{2}, Result: 1, Bucket: 20_000, Time: testNow}
	state.Reserve(t.Context(), []Record{refused}, make([]Verdict, 1)).Release()
	require.NoError(t, state.Shutdown(t.Context()))

	state = openState(t, kept)
	assert.Equal(t, map[Outcome]int{Repeat: 5000}, outcomes(state, numbered(0, 5000)))
	for _, rec := range []Record{a, b, again} {
		assert.Equal(t, Verdict{Outcome: Repeat}, decideOne(t, state, rec))
	}
	b.Time = testNow
	assert.Equal(t, Verdict{Transition: 3, Changed: true}, decideOne(t, state, b))
	assert.Equal(t, Verdict{}, decideOne(t, state, refused))
	require.NoError(t, state.Shutdown(t.Context()))
	require.NoError(t, state.Shutdown(t.Context()))
}

func TestStateIsSharedUntilTheLastShutdown(t *testing.T) {
	kept := newMemStorage()
	state := openState(t, kept)
	require.NoError(t, state.Start(t.Context(), kept))
	require.NoError(t, state.Shutdown(t.Context()))
	decideOne(t, state, benchRecord(1))
	require.NoError(t, state.Shutdown(t.Context()))
	assert.Equal(t, Repeat, decideOne(t, openState(t, kept), benchRecord(1)).Outcome)
}

func TestShutdownWithoutStart(t *testing.T) {
	state, err := New(Settings{MaxEntries: 1, Storage: &storageID})
	require.NoError(t, err)
	require.NoError(t, state.Shutdown(t.Context()))
}

func TestOldEntriesAreNotReadBack(t *testing.T) {
	kept := newMemStorage()
	state := openState(t, kept)
	outcomes(state, numbered(0, 100))
	require.NoError(t, state.Shutdown(t.Context()))
	state = openState(t, kept, func(set *Settings) {
		set.Clock = func() time.Time { return time.UnixMilli(testNow).Add(DefaultForget + time.Minute) }
	})
	assert.Zero(t, state.Stats().Entries)
	require.NoError(t, state.Shutdown(t.Context()))
}

func TestMoreKeptThanMaxEntries(t *testing.T) {
	kept := newMemStorage()
	state := openState(t, kept)
	outcomes(state, numbered(0, 2000))
	require.NoError(t, state.Shutdown(t.Context()))
	state = openState(t, kept, func(set *Settings) { set.MaxEntries = 500 })
	assert.EqualValues(t, 500, state.Stats().Entries)
	require.NoError(t, state.Shutdown(t.Context()))
}

func TestSnapshotReplacesTheJournal(t *testing.T) {
	kept := newMemStorage()
	state := openState(t, kept)
	const rounds = 60
	most := 0
	for i := range rounds {
		// The same subjects change again and again.
		records := numbered(0, 1000)
		for j := range records {
			records[j].Result = uint64(i)
			records[j].Time += int64(i)
		}
		outcomes(state, records)
		most = max(most, kept.keys())
	}
	// 60,000 changes are 2.6 MiB of journal, or more than 41 blocks; a snapshot of 1,000 subjects is one page.
	require.Eventually(t, func() bool { return kept.keys() < 30 }, 5*time.Second, 5*time.Millisecond)
	assert.Less(t, most, 60)
	require.NoError(t, state.Shutdown(t.Context()))

	state = openState(t, kept)
	records := numbered(0, 1000)
	for j := range records {
		records[j].Result = rounds - 1
	}
	assert.Equal(t, map[Outcome]int{Repeat: 1000}, outcomes(state, records))
	require.NoError(t, state.Shutdown(t.Context()))
}

func TestUnusableStorageStartsEmptyWithOneWarning(t *testing.T) {
	block := func(data map[string][]byte) string {
		for key := range data {
			if strings.HasPrefix(key, "journal/") {
				return key
			}
		}
		return ""
	}
	for name, damage := range map[string]func(data map[string][]byte){
		"meta cut":      func(data map[string][]byte) { data["meta"] = data["meta"][:7] },
		"meta flipped":  func(data map[string][]byte) { data["meta"][20] ^= 1 },
		"meta foreign":  func(data map[string][]byte) { data["meta"] = []byte("something else altogether, of another component") },
		"meta empty":    func(data map[string][]byte) { data["meta"] = []byte{} },
		"version":       func(data map[string][]byte) { data["meta"][4]++ },
		"block cut":     func(data map[string][]byte) { k := block(data); data[k] = data[k][:len(data[k])-1] },
		"block flipped": func(data map[string][]byte) { k := block(data); data[k][len(data[k])/2] ^= 1 },
		"block empty":   func(data map[string][]byte) { data[block(data)] = []byte{} },
		"block foreign": func(data map[string][]byte) { data[block(data)] = []byte("another component's") },
		"block epoch":   func(data map[string][]byte) { data[block(data)][6] ^= 1 },
		"pages are gone": func(data map[string][]byte) {
			m, _ := readMeta(data["meta"], "0 day UTC")
			m.pages = 3
			data["meta"] = m.encode()
		},
		"of another zone": func(data map[string][]byte) {
			m, _ := readMeta(data["meta"], "0 day UTC")
			m.scope = "0 day Asia/Tokyo"
			data["meta"] = m.encode()
		},
	} {
		t.Run(name, func(t *testing.T) {
			kept := newMemStorage()
			state := openState(t, kept)
			outcomes(state, numbered(0, 100))
			require.NoError(t, state.Shutdown(t.Context()))
			kept.edit(damage)

			core, logs := observer.New(zapcore.WarnLevel)
			state = openState(t, kept, func(set *Settings) { set.Logger = zap.New(core) })
			assert.Equal(t, 1, logs.Len())
			assert.Equal(t, map[Outcome]int{Send: 100}, outcomes(state, numbered(0, 100)))
			require.NoError(t, state.Shutdown(t.Context()))
			state = openState(t, kept, func(set *Settings) { set.Logger = zap.New(core) })
			assert.Equal(t, 1, logs.Len(), "the fresh state is good")
			assert.Equal(t, map[Outcome]int{Repeat: 100}, outcomes(state, numbered(0, 100)))
			require.NoError(t, state.Shutdown(t.Context()))
		})
	}
}

func TestFullStorageIsCountedAndMadeUpFor(t *testing.T) {
	core, logs := observer.New(zapcore.WarnLevel)
	kept := newMemStorage()
	state := openState(t, kept, func(set *Settings) { set.Logger = zap.New(core) })
	outcomes(state, numbered(0, 100))
	kept.fail(storage.ErrStorageFull)
	assert.Equal(t, map[Outcome]int{Send: 100}, outcomes(state, numbered(100, 200)))
	// The failure is counted before it is logged.
	require.Eventually(t, func() bool { return state.Stats().StorageFailures > 0 && logs.Len() > 0 }, 5*time.Second, time.Millisecond)
	assert.Equal(t, map[Outcome]int{Repeat: 200}, outcomes(state, numbered(0, 200)), "served from memory")
	assert.Equal(t, 1, logs.Len())

	kept.fail(nil)
	before := kept.writeCount()
	require.Eventually(t, func() bool { return kept.writeCount() > before }, 10*time.Second, 5*time.Millisecond)
	require.NoError(t, state.Shutdown(t.Context()))
	state = openState(t, kept)
	assert.Equal(t, map[Outcome]int{Repeat: 200}, outcomes(state, numbered(0, 200)))
	require.NoError(t, state.Shutdown(t.Context()))
}

func TestStorageThatCannotBeReadStartsEmpty(t *testing.T) {
	kept := newMemStorage()
	kept.fail(errors.New("no such disk"))
	state := openState(t, kept)
	assert.Positive(t, state.Stats().StorageFailures)
	assert.Equal(t, Send, decideOne(t, state, benchRecord(1)).Outcome)
	assert.Equal(t, Repeat, decideOne(t, state, benchRecord(1)).Outcome)
	require.NoError(t, state.Shutdown(t.Context()))
}

// amplitude is what an ingestion API with insert_ids makes of the events: the property of each
// subject, and the ids it knows.
type amplitude struct {
	seen     map[eventID]bool
	property map[Key]uint64
}

type eventID struct {
	subject Key
	result  uint64
	bucket  int32
	n       uint32
}

func (a *amplitude) receive(rec Record, v Verdict) {
	id := eventID{rec.Subject, rec.Result, rec.Bucket, v.Transition}
	if v.Outcome == Repeat || a.seen[id] {
		return
	}
	a.seen[id] = true
	if v.Outcome == Send {
		a.property[rec.Subject] = rec.Result
	}
}

// TestCrashNeverHides crashes at random moments. Whatever was written by then, a result that
// Amplitude does not have as the user's present one is sent, under an id that it does not know.
//
// Only one of the crashes loses what was not written yet: if two in a row each forget the first
// result of the same user, and the results differ, nobody is left who knows of the change.
func TestCrashNeverHides(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		at := &amplitude{seen: make(map[eventID]bool), property: make(map[Key]uint64)}
		kept := newMemStorage()
		state := openState(t, kept)
		var states []*State
		now := int64(testNow) - 1_000_000
		forgetful := true
		steps := rapid.IntRange(1, 40).Draw(t, "steps")
		for range steps {
			now += 1000
			rec := Record{
				Subject: Key{byte(rapid.IntRange(0, 1).Draw(t, "subject"))},
				Result:  uint64(rapid.IntRange(1, 3).Draw(t, "result")),
				Bucket:  20_000,
				Time:    now,
			}
			verdicts := make([]Verdict, 1)
			r := state.Reserve(context.Background(), []Record{rec}, verdicts)
			what := rapid.SampledFrom([]string{"accept", "accept", "accept", "refuse", "crash", "accept and crash"}).Draw(t, "what")
			if what == "accept" || what == "accept and crash" {
				at.receive(rec, verdicts[0])
				if at.property[rec.Subject] != rec.Result {
					t.Fatalf("hidden: Amplitude has %d, the record says %d, verdict %+v", at.property[rec.Subject], rec.Result, verdicts[0])
				}
			}
			switch what {
			case "accept":
				r.Commit(context.Background())
			case "refuse":
				r.Release()
			case "accept and crash", "crash":
				// Sometimes what waits gets written at the last moment.
				switch written := rapid.Bool().Draw(t, "written"); {
				case forgetful && !written:
					forgetful = false
				case !forgetful && what == "accept and crash":
					r.Commit(context.Background())
					state.journal.sync(context.Background())
				default:
					forgetful = forgetful && what == "crash"
					state.journal.sync(context.Background())
				}
				kept = kept.after()
				states = append(states, state)
				state = openState(t, kept)
			}
		}
		for _, s := range append(states, state) {
			require.NoError(t, s.Shutdown(context.Background()))
		}
	})
}

func TestBlocksThatAreWrittenTwiceAreEqual(t *testing.T) {
	// A snapshot in the middle of changes leaves the last image of each entry last.
	kept := newMemStorage()
	state := openState(t, kept)
	for i := range 200 {
		records := numbered(0, 500)
		for j := range records {
			records[j].Result, records[j].Time = uint64(i%7), records[j].Time-1000+int64(i)
		}
		outcomes(state, records)
	}
	want := stateOf(state)
	require.NoError(t, state.Shutdown(t.Context()))
	state = openState(t, kept)
	assert.Equal(t, want, stateOf(state))
	require.NoError(t, state.Shutdown(t.Context()))
}

// stateOf is everything that a state remembers, without the order of touches.
func stateOf(s *State) map[id]entry {
	all := make(map[id]entry)
	s.snapshot(func(img image) {
		img.order = 0
		all[img.id] = img.entry
	}, func() {})
	return all
}

func TestMillionEntriesAreReadBack(t *testing.T) {
	const size = 1_000_000
	directory := t.TempDir()
	state, done := openFileState(t, directory, size)
	fill(&stateSet{state}, 0, size)
	done()

	begun := time.Now()
	state, done = openFileState(t, directory, size)
	defer done()
	t.Logf("%d entries read back from a file_storage in %s", state.Stats().Entries, time.Since(begun))
	assert.InDelta(t, size, state.Stats().Entries, 100)
	assert.Zero(t, state.Stats().StorageFailures)
	assert.Equal(t, map[Outcome]int{Repeat: 1000}, outcomes(state, numbered(size-1000, size)))
}
