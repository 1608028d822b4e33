// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package dedup

import (
	"context"
	"encoding/hex"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/extension/xextension/storage"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/amplitude/receipts"
)

var updateGolden = flag.Bool("update", false, "write the golden files")

func TestRestartKeepsTheLedger(t *testing.T) {
	kept := newMemStorage()
	l := openLedger(t, kept)
	assert.Equal(t, map[string]int{sendsEvent: 5000}, reportMany(l, 0, 5000))
	assert.Equal(t, sendsEvent, report(l, "u", 1, testNow-5000))
	assert.Equal(t, sendsBoth, report(l, "u", 2, testNow-4000))
	assert.Equal(t, sendsIdentify, report(l, "u", 1, testNow-3000))
	refused, _ := reserveOne(l, exposure("refused", 1, testNow), 1)
	refused.Release()
	require.NoError(t, l.Shutdown(t.Context()))

	l = openLedger(t, kept)
	assert.Equal(t, map[string]int{sendsNothing: 5000}, reportMany(l, 0, 5000))
	for i, value := range []uint64{1, 2, 1} {
		assert.Equal(t, sendsNothing, report(l, "u", value, testNow-5000+int64(i)*1000), "sent again unchanged")
	}
	assert.Equal(t, sendsIdentify, report(l, "u", 2, testNow))
	assert.Equal(t, sendsEvent, report(l, "refused", 1, testNow))
	require.NoError(t, l.Shutdown(t.Context()))
	require.NoError(t, l.Shutdown(t.Context()), "a second time it does nothing")
}

func TestSharedUntilTheLastShutdown(t *testing.T) {
	kept := newMemStorage()
	l := openLedger(t, kept)
	require.NoError(t, l.Start(t.Context(), kept))
	require.NoError(t, l.Shutdown(t.Context()))
	assert.Equal(t, sendsEvent, report(l, "u", 1, testNow))
	require.NoError(t, l.Shutdown(t.Context()))
	l = openLedger(t, kept)
	assert.Equal(t, sendsNothing, report(l, "u", 1, testNow))
	require.NoError(t, l.Shutdown(t.Context()))
}

func TestShutdownWithoutStart(t *testing.T) {
	l, err := New(Settings{MaxEntries: 1, Storage: &storageID})
	require.NoError(t, err)
	require.NoError(t, l.Shutdown(t.Context()))
}

func TestOldEntriesAreNotReadBack(t *testing.T) {
	kept := newMemStorage()
	now := time.UnixMilli(testNow)
	l := openLedger(t, kept, clockOf(&now))
	reportMany(l, 0, 100)
	require.NoError(t, l.Shutdown(t.Context()))
	now = now.Add(DefaultForget + time.Minute)
	l = openLedger(t, kept, clockOf(&now))
	assert.Zero(t, l.Stats().Entries)
	require.NoError(t, l.Shutdown(t.Context()))
}

func TestMoreKeptThanMaxEntries(t *testing.T) {
	kept := newMemStorage()
	l := openLedger(t, kept)
	reportMany(l, 0, 2000)
	require.NoError(t, l.Shutdown(t.Context()))
	l = openLedger(t, kept, func(set *Settings) { set.MaxEntries = 500 })
	assert.EqualValues(t, 500, l.Stats().Entries)
	require.NoError(t, l.Shutdown(t.Context()))
}

// everything returns all that a ledger remembers, as rows without the time of the last touch and without tokens.
func everything(l *Ledger) (rows []string) {
	l.snapshot(func(row []byte) {
		if row[0] == rowProperty {
			stamp := row[1+idSize+8+8:]
			stamp[0], stamp[1] = stamp[0]&propertySure, 0
		}
		rows = append(rows, string(row[:len(row)-4]))
	}, func() {})
	slices.Sort(rows)
	return rows
}

func TestSnapshotReplacesTheJournal(t *testing.T) {
	kept := newMemStorage()
	now := time.UnixMilli(testNow)
	l := openLedger(t, kept, clockOf(&now))
	most := 0
	for i := range 60 {
		// The same properties change repeatedly, with enough time for tokens in between.
		now = now.Add(time.Minute)
		for j := range 500 {
			report(l, string(rune('a'+j)), uint64(1+i%2), now.UnixMilli())
		}
		most = max(most, kept.keys())
	}
	// 60,000 rows are 4 MiB of journal, or more than 60 blocks; a snapshot of 1,000 rows is one page.
	require.Eventually(t, func() bool { return kept.keys() < 40 }, time.Minute, 5*time.Millisecond)
	assert.Less(t, most, 90)
	want := everything(l)
	require.NoError(t, l.Shutdown(t.Context()))
	l = openLedger(t, kept, clockOf(&now))
	assert.Equal(t, want, everything(l))
	require.NoError(t, l.Shutdown(t.Context()))
}

// TestUnusableStorageStartsEmptyWithOneWarning, whatever is wrong with it. Then nothing is certainly new, so properties
// are set as well.
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
		"newer format":  func(data map[string][]byte) { data["meta"][4]++ },
		"block cut":     func(data map[string][]byte) { k := block(data); data[k] = data[k][:len(data[k])-1] },
		"block flipped": func(data map[string][]byte) { k := block(data); data[k][len(data[k])/2] ^= 1 },
		"block empty":   func(data map[string][]byte) { data[block(data)] = []byte{} },
		"block foreign": func(data map[string][]byte) { data[block(data)] = []byte("another component's") },
		"block epoch":   func(data map[string][]byte) { data[block(data)][6] ^= 1 },
		"row unknown": func(data map[string][]byte) {
			k := block(data)
			data[k][headerSize] = '?'
			seal(data[k])
		},
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
		// Written by an earlier version: numbers per subject, under the magic AXD1.
		"older format": func(data map[string][]byte) {
			clear(data)
			data["meta"] = append([]byte("AXD1\x01"), make([]byte, 60)...)
			data["journal/0"] = append([]byte("AXD1\x01"), make([]byte, 60)...)
		},
	} {
		t.Run(name, func(t *testing.T) {
			kept := newMemStorage()
			l := openLedger(t, kept)
			reportMany(l, 0, 100)
			require.NoError(t, l.Shutdown(t.Context()))
			kept.edit(damage)

			core, logs := observer.New(zapcore.WarnLevel)
			logged := func(set *Settings) { set.Logger = zap.New(core) }
			l = openLedger(t, kept, logged)
			require.Equal(t, 1, logs.Len())
			assert.Contains(t, logs.All()[0].Message, "Failed to load the de-duplication state")
			assert.Equal(t, map[string]int{sendsBoth: 100}, reportMany(l, 0, 100))
			require.NoError(t, l.Shutdown(t.Context()))
			l = openLedger(t, kept, logged)
			assert.Equal(t, 1, logs.Len(), "what was written since is valid")
			assert.Equal(t, map[string]int{sendsNothing: 100}, reportMany(l, 0, 100))
			assert.Equal(t, map[string]int{sendsBoth: 1}, reportMany(l, 200, 201), "and it is still not known what was sent before")
			require.NoError(t, l.Shutdown(t.Context()))
		})
	}
}

func TestFullStorageIsCountedAndMadeUpFor(t *testing.T) {
	core, logs := observer.New(zapcore.WarnLevel)
	kept := newMemStorage()
	l := openLedger(t, kept, func(set *Settings) { set.Logger = zap.New(core) })
	reportMany(l, 0, 100)
	kept.fail(storage.ErrStorageFull)
	assert.Equal(t, map[string]int{sendsEvent: 100}, reportMany(l, 100, 200))
	// The failure is counted before it is logged.
	require.Eventually(t, func() bool { return l.Stats().StorageFailures > 0 && logs.Len() > 0 }, time.Minute, time.Millisecond)
	assert.Equal(t, map[string]int{sendsNothing: 200}, reportMany(l, 0, 200), "served from memory")
	assert.Equal(t, 1, logs.Len())

	kept.fail(nil)
	require.NoError(t, l.Shutdown(t.Context()))
	l = openLedger(t, kept, func(set *Settings) { set.Logger = zap.New(core) })
	assert.Equal(t, map[string]int{sendsNothing: 200}, reportMany(l, 0, 200), "a stop makes up for what the storage lacked")
	assert.Equal(t, 1, logs.Len())
	require.NoError(t, l.Shutdown(t.Context()))
}

// TestSlowStorageDoesNotBlock: no lock is held during storage operations. Batches that repair a property wait for a
// bounded time.
func TestSlowStorageDoesNotBlock(t *testing.T) {
	kept := newMemStorage()
	l := openLedger(t, kept)
	report(l, "u", 1, testNow-3)
	l.journal.sync(t.Context())
	kept.slow, l.journal.patience = make(chan struct{}), syncTimeout
	assert.Equal(t, map[string]int{sendsEvent: 10_000}, reportMany(l, 0, 10_000))
	assert.Zero(t, l.Stats().StorageFailures)
	assert.Equal(t, sendsBoth, report(l, "u", 2, testNow-2), "after a while it goes on without")
	assert.EqualValues(t, 1, l.Stats().StorageFailures)
	hungUp, cancel := context.WithCancel(t.Context())
	cancel()
	r, v := reserveOne(l, exposure("u", 3, testNow-1), 3)
	assert.Equal(t, sendsBoth, answerOf(v))
	r.HandOver(hungUp)
	r.Accept()
	assert.EqualValues(t, 1, l.Stats().StorageFailures, "a sender that hung up is not waited for")
	close(kept.slow)
	require.NoError(t, l.Shutdown(t.Context()))
	l = openLedger(t, kept)
	assert.Equal(t, sendsNothing, report(l, "u", 3, testNow), "in the end, everything is written")
	assert.Equal(t, map[string]int{sendsNothing: 10_000}, reportMany(l, 0, 10_000))
	require.NoError(t, l.Shutdown(t.Context()))
}

func TestStorageThatCannotBeReadStartsEmpty(t *testing.T) {
	kept := newMemStorage()
	kept.fail(errors.New("no such disk"))
	l := openLedger(t, kept)
	assert.Positive(t, l.Stats().StorageFailures)
	assert.Equal(t, sendsBoth, report(l, "u", 1, testNow), "its content is unknown")
	assert.Equal(t, sendsNothing, report(l, "u", 1, testNow))
	require.NoError(t, l.Shutdown(t.Context()))
}

// TestStorageFailsAndTheProcessIsKilled: A is stored, the storage fails, B is sent, the process dies, and the user
// returns to A. A must be sent again, however the storage failed and for however long.
func TestStorageFailsAndTheProcessIsKilled(t *testing.T) {
	for name, c := range map[string]struct {
		away   time.Duration // from A to the failure, and from there to B
		marked bool          // the storage still recorded that it lacks something
	}{
		"at once":               {},
		"after a while, marked": {away: 5 * time.Minute, marked: true},
		"for long":              {away: aliveLimit},
	} {
		t.Run(name, func(t *testing.T) {
			kept := newMemStorage()
			now := time.UnixMilli(testNow)
			l := openLedger(t, kept, clockOf(&now))
			assert.Equal(t, sendsEvent, report(l, "u", 1, now.UnixMilli()))
			l.journal.sync(t.Context())
			now = now.Add(c.away)
			kept.fail(storage.ErrStorageFull)
			now = now.Add(c.away + time.Second)
			assert.Equal(t, sendsBoth, report(l, "u", 2, now.UnixMilli()))
			if c.marked {
				kept.edit(func(data map[string][]byte) { data[lostKey] = []byte{1} })
			}
			after := kept.after()
			now = now.Add(time.Second)
			restarted := openLedger(t, after, clockOf(&now))
			assert.Equal(t, sendsIdentify, report(restarted, "u", 1, now.UnixMilli()))
			require.NoError(t, restarted.Shutdown(t.Context()))
			_ = l.Shutdown(t.Context())
		})
	}
}

// TestStorageFailsForMinutesUnnoticed: it cannot be noticed if a storage fails for less than aliveLimit without even
// recording that, for a user not seen in the half minute before, followed by a kill.
func TestStorageFailsForMinutesUnnoticed(t *testing.T) {
	kept := newMemStorage()
	now := time.UnixMilli(testNow)
	l := openLedger(t, kept, clockOf(&now))
	report(l, "u", 1, now.UnixMilli())
	now = now.Add(time.Minute)
	report(l, "another", 1, now.UnixMilli())
	l.journal.sync(t.Context())
	kept.fail(storage.ErrStorageFull)
	now = now.Add(time.Minute)
	report(l, "u", 2, now.UnixMilli())
	restarted := openLedger(t, kept.after(), clockOf(&now))
	now = now.Add(time.Second)
	assert.Equal(t, sendsNothing, report(restarted, "u", 1, now.UnixMilli()))
	assert.Equal(t, sendsBoth, report(restarted, "u", 2, now.UnixMilli()), "any other report corrects it")
	assert.Equal(t, sendsIdentify, report(restarted, "another", 1, now.UnixMilli()), "users seen recently are sent once more")
	require.NoError(t, restarted.Shutdown(t.Context()))
	_ = l.Shutdown(t.Context())
}

// TestKilledInPeaceTrustsTheStorage: with a working storage, a kill only affects users seen in the last moments.
func TestKilledInPeaceTrustsTheStorage(t *testing.T) {
	kept := newMemStorage()
	now := time.UnixMilli(testNow)
	l := openLedger(t, kept, clockOf(&now))
	reportMany(l, 0, 100)
	now = now.Add(time.Minute)
	report(l, "late riser", 1, now.UnixMilli())
	l.journal.sync(t.Context())
	restarted := openLedger(t, kept.after(), clockOf(&now))
	assert.Equal(t, map[string]int{sendsNothing: 100, sendsEvent: 1}, reportMany(restarted, 0, 101))
	assert.Equal(t, sendsIdentify, report(restarted, "late riser", 1, now.UnixMilli()))
	require.NoError(t, restarted.Shutdown(t.Context()))
	_ = l.Shutdown(t.Context())
}

// TestJournalFormat pins the format: changing it requires a new version.
func TestJournalFormat(t *testing.T) {
	user, dev := UserID("user-1"), DeviceID("device-1")
	p := entry[property]{ID: user.property(7), touched: 1_728_043_200}
	p.p.value = 0x1122334455667788
	p.p.setFact(0x99aabbccddeeff00, testDay)
	p.p.raise(testNow)
	p.p.setTold(testNow + 1)
	p.p.set(propertySure, true)
	fact := entry[delivered]{ID: user.fact(ID{1, 2}, testDay), touched: p.touched}
	device := entry[device]{ID: dev, p: device{owner: user, since: testNow}, touched: p.touched}
	pending := formerCopy{
		user: user, device: dev, fact: 5, day: testDay, time: testNow, single: true, ahead: true, moves: []Flag{{Key: 7, Value: 8}, {Key: 9}},
	}
	block := newBlock(nil, 7)
	block = appendProperty(block, &p)
	block = appendFact(block, &fact)
	block = appendDevice(block, &device, user)
	block = appendPending(block, 3<<lifeShift|4, receipts.Key("user-1  id 20000"), &pending)
	block = appendDone(block, 2<<lifeShift|4)
	m := meta{epoch: 7, generation: 2, pages: 3, first: 4, life: 5, scope: "0 day UTC"}
	var text strings.Builder
	for _, part := range [][]byte{m.encode(), encodeAlive(aliveStopped, testNow, testNow+1), seal(block)} {
		text.WriteString(hex.Dump(part) + "\n")
	}
	file := filepath.Join("testdata", "journal.hex")
	if *updateGolden {
		require.NoError(t, os.WriteFile(file, []byte(text.String()), 0o600))
	}
	want, err := os.ReadFile(file)
	require.NoError(t, err)
	assert.Equal(t, string(want), text.String())

	l := openLedger(t, nil)
	rows, err := openBlock(block, 7)
	require.NoError(t, err)
	o := newLoader(l)
	require.NoError(t, o.load(rows))
	require.Len(t, o.pending, 1)
	assert.Equal(t, formerCopy{
		number: 3<<lifeShift | 4, user: user, device: dev, fact: 5, day: testDay, time: testNow, single: true, ahead: true, moves: pending.moves,
	}, o.pending[3<<lifeShift|4].formerCopy)
	assert.EqualValues(t, 3, l.Stats().Entries)
}

// FuzzReadJournal: any stored bytes are either refused or read completely.
func FuzzReadJournal(f *testing.F) {
	m := meta{epoch: 7, generation: 2, pages: 3, first: 4, scope: "0 day UTC"}
	f.Add(m.encode())
	user := UserID("user-1")
	block := appendProperty(newBlock(nil, m.epoch), &entry[property]{ID: user.property(7), touched: seconds(testNow)})
	block = appendFact(block, &entry[delivered]{ID: user, touched: seconds(testNow)})
	block = appendDevice(block, &entry[device]{ID: DeviceID("device-1"), touched: seconds(testNow)}, user)
	block = appendPending(block, 1, 2, &formerCopy{user: user, fact: 3, time: testNow, moves: []Flag{{7, 1}}})
	f.Add(slices.Clone(seal(block)))
	f.Add(slices.Clone(block[:len(block)-1]))
	f.Add(slices.Clone(block[:headerSize]))
	f.Add(encodeAlive(aliveRunning, testNow, 0))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, raw []byte) {
		if got, err := readMeta(raw, m.scope); err == nil {
			require.Equal(t, raw, got.encode(), "reading returns what was written")
		}
		if state, at, until, ok := readAlive(raw); ok {
			require.Equal(t, raw, encodeAlive(state, at, until))
		}
		// Rows that passed the checksum; here, any bytes.
		l := openLedger(t, nil)
		o := newLoader(l)
		_ = o.load(raw)
		o.finish()
		require.LessOrEqual(t, l.Stats().Entries, int64(len(raw)/doneSize))
		reportMany(l, 0, 10)
		require.NoError(t, l.Shutdown(t.Context()))
	})
}

// TestWindowLongerThanADay: after a storage failure, nothing is certainly new for as long as the window lasts.
func TestWindowLongerThanADay(t *testing.T) {
	now := testTime(0)
	kept := newMemStorage()
	kept.data[metaKey] = []byte("damaged")
	l := openLedger(t, kept, clockOf(&now), func(set *Settings) { set.Window = 72 * time.Hour })
	now = now.Add(71 * time.Hour)
	assert.Equal(t, sendsBoth, report(l, "u", 1, now.UnixMilli()))
	now = now.Add(2 * time.Hour)
	assert.Equal(t, sendsEvent, report(l, "v", 1, now.UnixMilli()))
	require.NoError(t, l.Shutdown(t.Context()))
}
