// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package experiment // import "github.com/otelcol-amplitude/otelcol-amplitude/internal/experiment"

import (
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/xpdata"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/amplitude"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/steps"
)

// another writes another event of the record that first was written into, with the additional properties. It returns
// how many were left out.
func (w *writer) another(e *Event, first plog.LogRecord, budget *parser) (record plog.LogRecord, leftOut int) {
	record = w.beside(first)
	if w.along.of != e.parsedRecord {
		w.along = w.takesAlong(e.parsedRecord, first)
	}
	if e.kind == kindAssignment {
		var copies xpdata.MapBuilder
		leftOut = w.along.copyTo(&copies, len(w.along.names), budget)
		copies.UnsafeIntoMap(record.Attributes())
		return record, leftOut + w.write(e, record, e.insertID)
	}
	w.stash.begin(e)
	leftOut = w.exposure(e, record, e.insertID, sink{builder: &w.builder})
	leftOut += w.along.copyTo(&w.builder, amplitude.MaxPropertyKeys-ownProperties, budget)
	w.builder.UnsafeIntoMap(record.Attributes())
	return record, leftOut
}

// along are the properties that are sent with each event of a record, as written in its first, and the size of a copy.
type along struct {
	of     *parsedRecord
	names  []string
	values []pcommon.Value
	weight int
}

func (w *writer) takesAlong(of *parsedRecord, first plog.LogRecord) along {
	found := along{of: of}
	steps.Add(first.Attributes().Len())
	for name, value := range first.Attributes().All() {
		if _, travels := w.kept[name]; travels {
			found.names, found.values = append(found.names, name), append(found.values, value)
			found.weight += weightOf(value)
		}
	}
	return found
}

// copyTo copies up to most properties, and none if they exceed the budget of the batch. It returns how many were not
// copied.
func (a *along) copyTo(to *xpdata.MapBuilder, most int, budget *parser) (leftOut int) {
	if !budget.inherits(a.weight) {
		return len(a.names)
	}
	n := min(len(a.names), most)
	steps.Add(n)
	for i, name := range a.names[:n] {
		a.values[i].CopyTo(to.AppendEmpty(name))
	}
	return len(a.names) - n
}

// beside makes a record that follows what became of first so far.
func (w *writer) beside(first plog.LogRecord) plog.LogRecord {
	record := plog.NewLogRecord()
	record.SetObservedTimestamp(first.ObservedTimestamp())
	record.SetTraceID(first.TraceID())
	record.SetSpanID(first.SpanID())
	w.extra = append(w.extra, extraRecord{w.stay, record})
	return record
}

// weightOf estimates how many bytes a copy of a value takes. Strings are shared in memory, but not when they are
// marshaled.
func weightOf(value pcommon.Value) int {
	const valueCost = 48
	weight := valueCost
	switch value.Type() {
	case pcommon.ValueTypeStr:
		weight += len(value.Str())
	case pcommon.ValueTypeMap:
		steps.Add(value.Map().Len())
		for key, inner := range value.Map().All() {
			weight += len(key) + weightOf(inner)
		}
	case pcommon.ValueTypeSlice:
		steps.Add(value.Slice().Len())
		for _, inner := range value.Slice().All() {
			weight += weightOf(inner)
		}
	}
	return weight
}

// extraRecord follows the record with this position among those that stay in the scope.
type extraRecord struct {
	behind int
	record plog.LogRecord
}

// insertExtra inserts what the records of a scope become after their first event, and returns how many there are.
func (w *writer) insertExtra(records plog.LogRecordSlice) int {
	n := len(w.extra)
	if n == 0 {
		return 0
	}
	all := plog.NewLogRecordSlice()
	all.EnsureCapacity(records.Len() + n)
	next := 0
	for i := range records.Len() {
		records.At(i).MoveTo(all.AppendEmpty())
		for ; next < n && w.extra[next].behind == i; next++ {
			w.extra[next].record.MoveTo(all.AppendEmpty())
		}
	}
	all.MoveAndAppendTo(emptied(records))
	w.extra = w.extra[:0]
	return n
}

func emptied(records plog.LogRecordSlice) plog.LogRecordSlice {
	records.RemoveIf(func(plog.LogRecord) bool { return true })
	return records
}
