// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package receipts_test

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/amplitude"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/amplitude/receipts"
)

// noted is a Sink that records its receipts.
type noted struct {
	mu     sync.Mutex
	lines  []string
	former map[uint64]string
}

func (n *noted) Settle(tokens []uint64, outcome receipts.Outcome) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, token := range tokens {
		n.lines = append(n.lines, fmt.Sprint(token, " ", outcome))
	}
}

func (n *noted) SettleFormer(key uint64, outcome receipts.Outcome) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	name, ok := n.former[key]
	if ok {
		n.lines = append(n.lines, fmt.Sprint(name, " ", outcome))
		delete(n.former, key)
	}
	return ok
}

func logsOf(ids ...string) plog.Logs {
	logs := plog.NewLogs()
	records := logs.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords()
	for _, id := range ids {
		record := records.AppendEmpty()
		if id != "" {
			record.Attributes().PutStr(amplitude.AttrInsertID, id)
		}
	}
	return logs
}

// handOver registers copies under the tokens 1, 2, ...
func handOver(t *testing.T, batch *receipts.Batch, sink receipts.SinkID, ids ...string) context.Context {
	t.Helper()
	batch.Begin(sink)
	for i, id := range ids {
		batch.Add(receipts.Key(id), uint64(i+1))
	}
	return batch.Context(t.Context())
}

func register(t *testing.T) (*noted, receipts.SinkID) {
	t.Helper()
	sink := &noted{former: map[uint64]string{}}
	id := receipts.Register(sink)
	t.Cleanup(func() { receipts.Retire(id, func(context.Context) {}) })
	return sink, id
}

func TestReceiptsReachTheirCopies(t *testing.T) {
	sink, id := register(t)
	var batch receipts.Batch
	var book receipts.Book
	ctx := handOver(t, &batch, id, "a", "b", "c", "d")
	// A component in between has removed b, added others, and changed the order.
	book.Claim(ctx, logsOf("d", "", "foreign", "a", "c"))
	batch.Close()
	assert.Equal(t, []int{1, 0, 1, 1}, []int{batch.Claims(0), batch.Claims(1), batch.Claims(2), batch.Claims(3)})

	book.Settle(receipts.Key("c"), receipts.Delivered)
	book.Settle(receipts.Key("foreign"), receipts.Delivered)
	book.Settle(receipts.Key("a"), receipts.NotDelivered)
	book.Unanswered(receipts.Key("d"))
	book.Settle(receipts.Key("d"), receipts.Delivered)
	book.Settle(receipts.Key("d"), receipts.Delivered) // a second call does nothing
	book.Claim(handOver(t, &batch, id, "e"), logsOf("e"))
	book.Unanswered(receipts.Key("e"))
	book.Settle(receipts.Key("e"), receipts.NotDelivered)
	assert.Equal(t, []string{"3 0", "1 2", "4 1", "1 3"}, sink.lines)
	assert.Zero(t, book.Claims())
}

func TestReceiptsOfManyAtOnce(t *testing.T) {
	one, oneID := register(t)
	other, otherID := register(t)
	other.former[receipts.Key("former")] = "former"
	var book receipts.Book
	var first, second receipts.Batch
	book.Claim(handOver(t, &first, oneID, "a", "b"), logsOf("a", "b"))
	book.Claim(handOver(t, &second, otherID, "c"), logsOf("c"))
	book.Unanswered(receipts.Key("b"))
	var keys []uint64
	for _, id := range []string{"a", "b", "foreign", "former", "c", "a"} {
		keys = append(keys, receipts.Key(id))
	}
	book.SettleAll(keys, receipts.Delivered)
	assert.Equal(t, []string{"1 0", "2 1"}, one.lines)
	assert.Equal(t, []string{"former 0", "1 0"}, other.lines)
	assert.Zero(t, book.Claims())
	book.SettleAll(nil, receipts.Delivered)
}

func TestOneReceiptForEachCopyOfAnEvent(t *testing.T) {
	sink, id := register(t)
	var book receipts.Book
	var first, second receipts.Batch
	book.Claim(handOver(t, &first, id, "a"), logsOf("a"))
	ctx := handOver(t, &second, id, "x", "a")
	book.Claim(ctx, logsOf("a"))
	book.Settle(receipts.Key("a"), receipts.NotDelivered)
	book.Settle(receipts.Key("a"), receipts.Delivered)
	assert.Equal(t, []string{"1 2", "2 0"}, sink.lines, "the first receipt is for the first copy")
}

func TestTwoExportersClaimTheSameCopy(t *testing.T) {
	sink, id := register(t)
	var batch receipts.Batch
	var one, other receipts.Book
	ctx := handOver(t, &batch, id, "a")
	one.Claim(ctx, logsOf("a"))
	other.Claim(ctx, logsOf("a"))
	batch.Close()
	assert.Equal(t, 2, batch.Claims(0))
	one.Settle(receipts.Key("a"), receipts.Delivered)
	other.Settle(receipts.Key("a"), receipts.NotDelivered)
	assert.Equal(t, []string{"1 0", "1 2"}, sink.lines)
}

func TestClaimsAreTakenBack(t *testing.T) {
	_, id := register(t)
	var batch receipts.Batch
	var book receipts.Book
	ctx := handOver(t, &batch, id, "a", "b")
	claimed := book.Claim(ctx, logsOf("a", "b"))
	book.Settle(receipts.Key("a"), receipts.Delivered) // the exporter got that far
	book.TakeBack(claimed)
	batch.Close()
	assert.Equal(t, 1, batch.Claims(0))
	assert.Zero(t, batch.Claims(1))
	assert.Zero(t, book.Claims())
}

func TestTooLateToClaim(t *testing.T) {
	_, id := register(t)
	var batch receipts.Batch
	var book receipts.Book
	old := handOver(t, &batch, id, "a")
	batch.Close()
	handOver(t, &batch, id, "a") // the batch is reused
	book.Claim(old, logsOf("a"))
	book.Claim(t.Context(), logsOf("a"))
	assert.Zero(t, batch.Claims(0))
	assert.Zero(t, book.Claims())
}

func TestReceiptForAnEarlierProcess(t *testing.T) {
	one, _ := register(t)
	other, _ := register(t)
	other.former[receipts.Key("a")] = "former a"
	var book receipts.Book
	book.Settle(receipts.Key("a"), receipts.Delivered)
	book.Settle(receipts.Key("a"), receipts.Delivered)
	assert.Empty(t, one.lines)
	assert.Equal(t, []string{"former a 0"}, other.lines)
}

// TestReceiptsAfterTheProcessorHasStopped: they arrive until the exporters that owe some have stopped. What is left
// then is lost, unless a queue on disk keeps it.
func TestReceiptsAfterTheProcessorHasStopped(t *testing.T) {
	for name, c := range map[string]struct {
		kept bool
		want []string
	}{
		"queue in memory": {false, []string{"1 0", "2 2", "1 2"}},
		"queue on disk":   {true, []string{"1 0"}},
	} {
		t.Run(name, func(t *testing.T) {
			sink := &noted{}
			id := receipts.Register(sink)
			var batch receipts.Batch
			var one, other, third receipts.Book
			before, losing := receipts.Exporters()
			one.Open(c.kept)
			other.Open(c.kept)
			all, lose := receipts.Exporters()
			assert.Equal(t, before+2, all)
			assert.Equal(t, c.kept, lose == losing)
			ctx := handOver(t, &batch, id, "a", "b")
			one.Claim(ctx, logsOf("a", "b"))
			other.Claim(ctx, logsOf("a"))
			batch.Close()
			type key struct{}
			ended := 0
			var with context.Context
			assert.False(t, receipts.Retire(id, func(ctx context.Context) { ended, with = ended+1, ctx }))
			one.Settle(receipts.Key("a"), receipts.Delivered)
			assert.Equal(t, []string{"1 0"}, sink.lines)
			third.Close(t.Context(), false) // never had any of its copies
			one.Close(t.Context(), c.kept)
			assert.Zero(t, ended)
			stop := context.WithValue(t.Context(), key{}, 1)
			other.Close(stop, c.kept)
			assert.Equal(t, 1, ended)
			assert.Equal(t, stop, with)
			all, _ = receipts.Exporters()
			assert.Equal(t, before, all)
			assert.Equal(t, c.want, sink.lines)
			one.Settle(receipts.Key("b"), receipts.Delivered)
			assert.Equal(t, c.want, sink.lines)
		})
	}
}

// TestRetiredImmediately: no exporter has any of its copies.
func TestRetiredImmediately(t *testing.T) {
	assert.True(t, receipts.Retire(receipts.Register(&noted{}), nil))
}

// TestReceiptForAnEarlierProcessKeepsTheSink that accepted it.
func TestReceiptForAnEarlierProcessKeepsTheSink(t *testing.T) {
	sink := &noted{former: map[uint64]string{receipts.Key("a"): "a", receipts.Key("b"): "b"}}
	id := receipts.Register(sink)
	var book receipts.Book
	book.Settle(receipts.Key("a"), receipts.Delivered)
	ended := false
	receipts.Retire(id, func(context.Context) { ended = true })
	assert.False(t, ended)
	book.Settle(receipts.Key("b"), receipts.Delivered)
	book.Close(t.Context(), true)
	assert.True(t, ended)
	assert.Equal(t, []string{"a 0", "b 0"}, sink.lines)
}

// TestManyClaims, in order and out of order: each is found, and memory is reused.
func TestManyClaims(t *testing.T) {
	sink, id := register(t)
	var batch receipts.Batch
	var book receipts.Book
	const many = 10_000
	ids := make([]string, many)
	for i := range ids {
		ids[i] = fmt.Sprint("event ", i)
	}
	for range 3 {
		book.Claim(handOver(t, &batch, id, ids...), logsOf(ids...))
		batch.Close()
		for i := range ids {
			require.Equal(t, 1, batch.Claims(i))
			book.Settle(receipts.Key(ids[(i*7919)%many]), receipts.Delivered)
		}
		require.Zero(t, book.Claims())
	}
	assert.Len(t, sink.lines, 3*many)
}

// BenchmarkClaimAndSettle measures a claim and its settlement, in batches of 1,000.
func BenchmarkClaimAndSettle(b *testing.B) {
	id := receipts.Register(&discard{})
	defer receipts.Retire(id, func(context.Context) {})
	const size = 1000
	var batch receipts.Batch
	var book receipts.Book
	ids, keys := make([]string, size), make([]uint64, size)
	for i := range ids {
		ids[i] = fmt.Sprintf("user-%06d device-%06d 0123456789abcdef0123456789abcdef 20000", i, i)
		keys[i] = receipts.Key(ids[i])
	}
	logs := logsOf(ids...)
	b.ReportAllocs()
	for b.Loop() {
		batch.Begin(id)
		for i := range keys {
			batch.Add(keys[i], uint64(i))
		}
		book.Claim(batch.Context(b.Context()), logs)
		batch.Close()
		book.SettleAll(keys, receipts.Delivered)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/size, "ns/event")
}

type discard struct{}

func (*discard) Settle([]uint64, receipts.Outcome)          {}
func (*discard) SettleFormer(uint64, receipts.Outcome) bool { return false }
