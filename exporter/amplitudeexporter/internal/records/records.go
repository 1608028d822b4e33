// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

// Package records extracts single log records from logs, and puts them together again.
package records // import "github.com/otelcol-amplitude/otelcol-amplitude/exporter/amplitudeexporter/internal/records"

import (
	"iter"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/xpdata"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/amplitude"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/amplitude/receipts"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/steps"
)

// Ref is a record with its resource and scope, and its arrival time in nanoseconds since 1970 (0 if unknown).
type Ref struct {
	Resource plog.ResourceLogs
	Scope    plog.ScopeLogs
	Record   plog.LogRecord
	Arrived  int64
}

// All yields each record of logs, in order.
func All(logs plog.Logs) iter.Seq[Ref] { return AllAt(logs, 0) }

// AllAt yields each record of logs that arrived at a given time, in order.
func AllAt(logs plog.Logs, arrived int64) iter.Seq[Ref] {
	return func(yield func(Ref) bool) {
		for _, resource := range logs.ResourceLogs().All() {
			for _, scope := range resource.ScopeLogs().All() {
				for _, record := range scope.LogRecords().All() {
					if !yield(Ref{Resource: resource, Scope: scope, Record: record, Arrived: arrived}) {
						return
					}
				}
			}
		}
	}
}

// From maps each element of a list, for example to its record.
func From[E, V any](list []E, of func(E) V) iter.Seq[V] {
	return func(yield func(V) bool) {
		for _, e := range list {
			if !yield(of(e)) {
				return
			}
		}
	}
}

// Receipt returns the key of a record's receipt, 0 without an insert_id.
func Receipt(record plog.LogRecord) uint64 {
	id, ok := record.Attributes().Get(amplitude.AttrInsertID)
	if !ok {
		return 0
	}
	return receipts.Key(id.Str())
}

// Runs yields a list in runs of at most this size; each is valid until the next one. A larger element is a run by
// itself.
func Runs[E any](list iter.Seq[E], most int, size func(E) int) iter.Seq[[]E] {
	return func(yield func([]E) bool) {
		var run []E
		filled := 0
		for e := range list {
			n := size(e)
			if len(run) > 0 && filled+n > most {
				if !yield(run) {
					return
				}
				run, filled = run[:0], 0
			}
			run = append(run, e)
			filled += n
		}
		if len(run) > 0 {
			yield(run)
		}
	}
}

// Collect copies records into new logs, keeping their order, resources and scopes. If a resource or scope has more than
// [maxContext] bytes of attributes, only the first of them are copied, and the rest is counted as dropped: each part of
// a request has a copy, and events do not use them.
func Collect(refs iter.Seq[Ref]) plog.Logs {
	logs := plog.NewLogs()
	var last Ref
	var scope plog.ScopeLogs
	for r := range refs {
		if r.Resource != last.Resource || last == (Ref{}) {
			resource := logs.ResourceLogs().AppendEmpty()
			from, to := r.Resource.Resource(), resource.Resource()
			if n := fitting(from.Attributes()); n == from.Attributes().Len() {
				from.CopyTo(to)
			} else {
				to.SetDroppedAttributesCount(from.DroppedAttributesCount() + copyFirst(n, from.Attributes(), to.Attributes()))
			}
			resource.SetSchemaUrl(r.Resource.SchemaUrl())
			last = Ref{Resource: r.Resource}
			scope = plog.ScopeLogs{}
		}
		if r.Scope != last.Scope || scope == (plog.ScopeLogs{}) {
			resources := logs.ResourceLogs()
			scope = resources.At(resources.Len() - 1).ScopeLogs().AppendEmpty()
			from, to := r.Scope.Scope(), scope.Scope()
			if n := fitting(from.Attributes()); n == from.Attributes().Len() {
				from.CopyTo(to)
			} else {
				to.SetName(from.Name())
				to.SetVersion(from.Version())
				to.SetDroppedAttributesCount(from.DroppedAttributesCount() + copyFirst(n, from.Attributes(), to.Attributes()))
			}
			scope.SetSchemaUrl(r.Scope.SchemaUrl())
			last.Scope = r.Scope
		}
		r.Record.CopyTo(scope.LogRecords().AppendEmpty())
	}
	return logs
}

// Bare copies records into new logs without their resources and scopes, whose attributes are counted as dropped.
func Bare(refs iter.Seq[Ref]) plog.Logs {
	logs := plog.NewLogs()
	resource := logs.ResourceLogs().AppendEmpty()
	scope := resource.ScopeLogs().AppendEmpty()
	var last Ref
	for r := range refs {
		if r.Resource != last.Resource {
			from := r.Resource.Resource()
			resource.Resource().SetDroppedAttributesCount(resource.Resource().DroppedAttributesCount() + from.DroppedAttributesCount() + uint32(from.Attributes().Len()))
		}
		if r.Scope != last.Scope {
			from := r.Scope.Scope()
			scope.Scope().SetDroppedAttributesCount(scope.Scope().DroppedAttributesCount() + from.DroppedAttributesCount() + uint32(from.Attributes().Len()))
		}
		last = r
		r.Record.CopyTo(scope.LogRecords().AppendEmpty())
	}
	return logs
}

// maxContext bounds the copied attributes of a resource or scope, in bytes.
const maxContext = 64 << 10

// fitting returns how many of the attributes of a resource or scope fit.
func fitting(attributes pcommon.Map) (n int) {
	left := maxContext
	for name, value := range attributes.All() {
		if left -= len(name); !fits(value, &left) {
			break
		}
		n++
	}
	steps.Add(n)
	return n
}

// copyFirst copies the first n attributes, and returns how many are left.
func copyFirst(n int, from, to pcommon.Map) (dropped uint32) {
	var first xpdata.MapBuilder
	first.EnsureCapacity(n)
	copied := 0
	for name, value := range from.All() {
		if copied == n {
			break
		}
		value.CopyTo(first.AppendEmpty(name))
		copied++
	}
	first.UnsafeIntoMap(to)
	return uint32(from.Len() - n)
}

// fits subtracts what a value needs from what is left, and reports whether there was enough. It stops as soon as there
// is not.
func fits(value pcommon.Value, left *int) bool {
	const valueCost = 16
	*left -= valueCost
	switch value.Type() {
	case pcommon.ValueTypeStr:
		*left -= len(value.Str())
	case pcommon.ValueTypeBytes:
		*left -= value.Bytes().Len()
	case pcommon.ValueTypeMap:
		for name, inner := range value.Map().All() {
			if *left -= len(name); !fits(inner, left) {
				return false
			}
		}
	case pcommon.ValueTypeSlice:
		for _, inner := range value.Slice().All() {
			if !fits(inner, left) {
				return false
			}
		}
	}
	return *left >= 0
}
