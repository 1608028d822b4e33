// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package dedup

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/bits"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/zeebo/xxh3"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/amplitude"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/amplitude/receipts"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/heaptest"
)

const testBatch = 1000

func testHash(i uint64, seed uint64) ID {
	var raw [8]byte
	binary.LittleEndian.PutUint64(raw[:], i)
	h := xxh3.Hash128Seed(raw[:], seed)
	return ID{h.Hi, h.Lo}
}

// testLoad decides batches of exposures with one flag each, and settles what they send on demand.
type testLoad struct {
	ledger    *Ledger
	records   []Record
	flags     []Flag
	verdicts  []Verdict
	decisions []Decision
	sent      int
}

func newTestLoad(t require.TestingT, set Settings) *testLoad {
	l, err := New(set)
	require.NoError(t, err)
	require.NoError(t, l.Start(context.Background(), nil))
	return &testLoad{
		ledger: l, records: make([]Record, 0, testBatch), flags: make([]Flag, 0, testBatch),
		verdicts: make([]Verdict, testBatch), decisions: make([]Decision, testBatch),
	}
}

// A fraction of a million entries, in the same fraction of the shards, takes as much memory per entry as all of them.
const (
	million = 1_000_000
	part    = 16
)

// newPart makes a load with a fraction of the shards, for measuring with the same fraction of a million entries.
func newPart(t require.TestingT, size int, set Settings) *testLoad {
	o := newTestLoad(t, set)
	if size < million {
		o.ledger.shards = o.ledger.shards[:maxShards/part]
		o.ledger.shift = uint8(64 - bits.TrailingZeros(maxShards/part))
	}
	return o
}

func (o *testLoad) add(user, dev ID, event, flag uint64) {
	at := int32(len(o.flags))
	o.flags = append(o.flags, Flag{Key: flag, Value: event | 1})
	o.records = append(o.records, Record{
		User: user, Device: dev, Event: testHash(event, flag), Day: testDay, Time: testDay * 86_400_000, From: at, To: at + 1,
	})
}

func (o *testLoad) decide() *Reservation {
	r := o.ledger.Reserve(context.Background(), o.records, o.flags, o.verdicts[:len(o.records)], o.decisions[:len(o.flags)])
	o.sent += r.Copies()
	return r
}

func (o *testLoad) flush() {
	o.decide().Accept()
	o.records, o.flags = o.records[:0], o.flags[:0]
}

// TestBytesOfHeap measures the heap bytes of an entry: a property with its first fact, another fact, a device.
func TestBytesOfHeap(t *testing.T) {
	sizes := []int{million / part / testBatch * testBatch}
	if casesOf(t, 0) > 0 {
		sizes = []int{million, 10 * million}
	}
	for _, size := range sizes {
		for _, c := range []struct {
			name  string
			limit float64
			add   func(o *testLoad, i uint64)
		}{
			{"first subject", 72, func(o *testLoad, i uint64) { o.add(testHash(i, userSeed), ID{}, 1, 7) }},
			{"anonymous subject", 72, func(o *testLoad, i uint64) { o.add(ID{}, testHash(i, deviceSeed), 1, 7) }},
			{"further subject", 56, func(o *testLoad, i uint64) { o.add(testHash(i%1000, userSeed), ID{}, 1+i/1000*2, 7) }},
			{"device with its subject", 64 + 56, func(o *testLoad, i uint64) {
				o.add(testHash(i%1000, userSeed), testHash(i, deviceSeed), 1+i/1000*2, 7)
			}},
		} {
			t.Run(fmt.Sprint(c.name, "/", size), func(t *testing.T) {
				o := newPart(t, size, Settings{MaxEntries: 4 * size, Clock: func() time.Time { return time.UnixMilli((testDay + 1) * 86_400_000) }})
				// All other subjects have the value of the first one, so that the property does not change.
				fill := func(from, to int) {
					for i := from; i < to; i++ {
						c.add(o, uint64(i))
						o.flags[len(o.flags)-1].Value = 1
						if len(o.records) == testBatch {
							o.flush()
						}
					}
				}
				fill(0, testBatch) // the memory of a batch is reused
				before := heaptest.Live()
				fill(testBatch, size+testBatch)
				require.Zero(t, o.ledger.Stats().OnWay)
				bytes := float64(heaptest.Live()-before) / float64(size)
				t.Logf("%.1f bytes, %d entries", bytes, o.ledger.Stats().Entries)
				assert.LessOrEqual(t, bytes, c.limit)
				require.NoError(t, o.ledger.Shutdown(t.Context()))
				runtime.KeepAlive(o)
			})
		}
	}
}

// TestBytesOnTheWay measures the bytes of a flag between hand-over and receipt, in addition to its entry.
func TestBytesOnTheWay(t *testing.T) {
	size := million / part / testBatch * testBatch
	if casesOf(t, 0) > 0 {
		size = million
	}
	clock := func() time.Time { return time.UnixMilli((testDay + 1) * 86_400_000) }
	o := newPart(t, size, Settings{MaxEntries: 4 * size, Clock: clock})
	book := &receipts.Book{}
	logs := plog.NewLogs()
	records := logs.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords()
	for range testBatch {
		records.AppendEmpty().Attributes().PutStr(amplitude.AttrInsertID, "")
	}
	var keys []uint64
	before := heaptest.Live()
	for i := range size {
		o.add(testHash(uint64(i), userSeed), ID{}, 1, 7)
		if len(o.records) < testBatch {
			continue
		}
		r := o.decide()
		for j := range testBatch {
			id := fmt.Sprint(i, " ", j)
			v, _ := records.At(j).Attributes().Get(amplitude.AttrInsertID)
			v.SetStr(id)
			r.Name(o.verdicts[j].Event, receipts.Key(id))
			keys = append(keys, receipts.Key(id))
		}
		book.Claim(r.HandOver(t.Context()), logs)
		r.Accept()
		o.records, o.flags = o.records[:0], o.flags[:0]
	}
	require.EqualValues(t, size, o.ledger.Stats().OnWay)
	both := float64(heaptest.Live()-before-int64(8*cap(keys))) / float64(size)
	for _, key := range keys {
		book.Settle(key, receipts.Delivered)
	}
	require.Zero(t, o.ledger.Stats().OnWay)
	require.Zero(t, book.Claims())
	book.Close(t.Context(), true)
	book = nil
	settled := float64(heaptest.Live()-before-int64(8*cap(keys))) / float64(size)
	t.Logf("%.1f bytes a flag on its way beside the %.1f of its entry, 30 of them in the book of the exporter", both-settled, settled)
	assert.LessOrEqual(t, both-settled, 96.0+40)
	require.NoError(t, o.ledger.Shutdown(t.Context()))
	runtime.KeepAlive(keys)
}

// TestNoAllocationForRepeats of any kind.
func TestNoAllocationForRepeats(t *testing.T) {
	o := newTestLoad(t, Settings{MaxEntries: 100_000, Clock: func() time.Time { return time.UnixMilli((testDay + 1) * 86_400_000) }})
	add := func() {
		for i := range uint64(testBatch / 2) {
			o.add(testHash(i, userSeed), testHash(i, deviceSeed), 1, 7)
			o.add(ID{}, testHash(i, deviceSeed), 1, 7)
		}
	}
	add()
	o.flush()
	sent := o.sent
	assert.Zero(t, testing.AllocsPerRun(100, func() { add(); o.flush() }))
	assert.Equal(t, sent, o.sent)
	require.NoError(t, o.ledger.Shutdown(t.Context()))
}
