// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package dedup

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/amplitude"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/amplitude/receipts"
)

// BenchmarkLedger measures a repeat, an event and a receipt in batches of 1,000 exposures of one flag. Run it with
// -benchtime=300x -count=10; -short leaves out 10^7 entries.
func BenchmarkLedger(b *testing.B) {
	for _, size := range []uint64{100_000, 10_000_000} {
		if testing.Short() && size > 1_000_000 {
			continue
		}
		b.Run(fmt.Sprint("repeat/", size), func(b *testing.B) {
			o := filled(b, size)
			rng := rand.New(rand.NewPCG(1, 1))
			o.bench(b, o.batches(256, func() uint64 { return rng.Uint64N(size) }), (*Reservation).Accept)
		})
		b.Run(fmt.Sprint("event/", size), func(b *testing.B) {
			o := filled(b, size)
			next := size
			o.bench(b, o.batches(b.N, func() uint64 { next++; return next }), (*Reservation).Accept)
		})
		b.Run(fmt.Sprint("receipt/", size), func(b *testing.B) { benchReceipts(b, filled(b, size), size) })
	}
}

func filled(b *testing.B, size uint64) *testLoad {
	clock := func() time.Time { return time.UnixMilli((testDay + 1) * 86_400_000) }
	o := newTestLoad(b, Settings{MaxEntries: int(4*size) + 1_000_000, Clock: clock})
	for i := range size {
		o.add(testHash(i, userSeed), ID{}, 1, 7)
		if len(o.records) == testBatch {
			o.flush()
		}
	}
	b.Cleanup(func() { _ = o.ledger.Shutdown(context.Background()) })
	return o
}

// batches makes n batches of exposures of the users that next returns.
func (o *testLoad) batches(n int, next func() uint64) [][]Record {
	batches := make([][]Record, n)
	for i := range batches {
		o.records, o.flags = make([]Record, 0, testBatch), o.flags[:0]
		for range testBatch {
			o.add(testHash(next(), userSeed), ID{}, 1, 7)
		}
		batches[i] = o.records
	}
	return batches // all have the same flags
}

func (o *testLoad) bench(b *testing.B, batches [][]Record, end func(*Reservation)) {
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		o.records = batches[i%len(batches)]
		end(o.decide())
	}
	perRecord(b, "ns/record", b.Elapsed())
}

func perRecord(b *testing.B, unit string, spent time.Duration) {
	b.ReportMetric(float64(spent.Nanoseconds())/float64(b.N)/testBatch, unit)
}

// benchReceipts hands batches to an exporter that claims them, and measures only the receipts.
func benchReceipts(b *testing.B, o *testLoad, next uint64) {
	book := &receipts.Book{}
	defer book.Close(context.Background(), true)
	logs := plog.NewLogs()
	records := logs.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords()
	keys := make([]uint64, testBatch)
	for j := range keys {
		id := fmt.Sprintf("user-%d device-%d 0123456789abcdef0123456789abcdef 20000", j, j)
		records.AppendEmpty().Attributes().PutStr(amplitude.AttrInsertID, id)
		keys[j] = receipts.Key(id)
	}
	batches := o.batches(b.N, func() uint64 { next++; return next })
	var claims, settles time.Duration
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		o.records = batches[i]
		o.decideClaimed(b, book, logs, keys, &claims)
		begun := time.Now()
		book.SettleAll(keys, receipts.Delivered)
		settles += time.Since(begun)
	}
	perRecord(b, "ns/receipt", settles)
	perRecord(b, "ns/claim", claims)
}

func (o *testLoad) decideClaimed(b *testing.B, book *receipts.Book, logs plog.Logs, keys []uint64, claims *time.Duration) {
	r := o.decide()
	for j, key := range keys {
		r.Name(o.verdicts[j].Event, key)
	}
	ctx := r.HandOver(b.Context())
	begun := time.Now()
	book.Claim(ctx, logs)
	*claims += time.Since(begun)
	r.Accept()
}
