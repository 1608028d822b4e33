// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

// Package records takes single log records out of logs, and puts them together again.
package records // import "github.com/otelcol-amplitude/otelcol-amplitude/exporter/amplitudeexporter/internal/records"

import (
	"iter"

	"go.opentelemetry.io/collector/pdata/plog"
)

// Ref is a record with the resource and the scope that it belongs to.
type Ref struct {
	Resource plog.ResourceLogs
	Scope    plog.ScopeLogs
	Record   plog.LogRecord
}

// All yields each record of logs, in order.
func All(logs plog.Logs) iter.Seq[Ref] {
	return func(yield func(Ref) bool) {
		for _, resource := range logs.ResourceLogs().All() {
			for _, scope := range resource.ScopeLogs().All() {
				for _, record := range scope.LogRecords().All() {
					if !yield(Ref{resource, scope, record}) {
						return
					}
				}
			}
		}
	}
}

// From yields the record of each element of a list.
func From[E any](list []E, ref func(E) Ref) iter.Seq[Ref] {
	return func(yield func(Ref) bool) {
		for _, e := range list {
			if !yield(ref(e)) {
				return
			}
		}
	}
}

// Collect copies records into new logs, keeping their order, resources and scopes.
func Collect(refs iter.Seq[Ref]) plog.Logs {
	logs := plog.NewLogs()
	var last Ref
	var scope plog.ScopeLogs
	for r := range refs {
		if r.Resource != last.Resource || last == (Ref{}) {
			resource := logs.ResourceLogs().AppendEmpty()
			r.Resource.Resource().CopyTo(resource.Resource())
			resource.SetSchemaUrl(r.Resource.SchemaUrl())
			last = Ref{Resource: r.Resource}
			scope = plog.ScopeLogs{}
		}
		if r.Scope != last.Scope || scope == (plog.ScopeLogs{}) {
			resources := logs.ResourceLogs()
			scope = resources.At(resources.Len() - 1).ScopeLogs().AppendEmpty()
			r.Scope.Scope().CopyTo(scope.Scope())
			scope.SetSchemaUrl(r.Scope.SchemaUrl())
			last.Scope = r.Scope
		}
		r.Record.CopyTo(scope.LogRecords().AppendEmpty())
	}
	return logs
}
