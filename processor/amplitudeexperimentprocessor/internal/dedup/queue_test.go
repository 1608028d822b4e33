// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package dedup

import (
	"fmt"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/amplitude"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/amplitude/receipts"
)

// queue is an exporter with a queue on disk, which delivers what it accepted some time later.
type queue struct {
	book  receipts.Book
	keys  []uint64
	came  []time.Time
	named int
}

// take claims and accepts what a reservation of one record sends.
func (q *queue) take(t *testing.T, r *Reservation, v Verdict, now time.Time) {
	logs := q.name(r, v)
	for len(q.came) < len(q.keys) {
		q.came = append(q.came, now)
	}
	q.book.Claim(r.HandOver(t.Context()), logs)
	r.Accept()
}

// name names what a reservation of one record sends, and records the keys.
func (q *queue) name(r *Reservation, v Verdict) plog.Logs {
	logs := plog.NewLogs()
	records := logs.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords()
	for _, copied := range []int32{v.Event, v.Identify} {
		if copied == 0 {
			continue
		}
		q.named++
		id := fmt.Sprintf("%p %d", q, q.named)
		r.Name(copied, receipts.Key(id))
		records.AppendEmpty().Attributes().PutStr(amplitude.AttrInsertID, id)
		q.keys = append(q.keys, receipts.Key(id))
	}
	return logs
}

// settle delivers what arrived up to a time.
func (q *queue) settle(until time.Time) {
	n := 0
	for n < len(q.came) && !q.came[n].After(until) {
		n++
	}
	q.book.SettleAll(q.keys[:n], receipts.Delivered)
	q.keys, q.came = q.keys[n:], q.came[n:]
}
