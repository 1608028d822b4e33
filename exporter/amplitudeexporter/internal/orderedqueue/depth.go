// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package orderedqueue // import "github.com/otelcol-amplitude/otelcol-amplitude/exporter/amplitudeexporter/internal/orderedqueue"

import (
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
)

// maxDepth is how deeply maps and lists may be nested in what is written to disk. The core writes any depth, but since
// v0.165 it reads at most 100 levels of protobuf, of which a map takes three. Deeper values arrive in OTLP JSON, and
// one would make the whole request unreadable, including its neighbors.
const maxDepth = 28

// shallow returns logs in which values nested too deeply are emptied, and how many there were. It does not modify logs,
// but copies them if there is such a value.
func shallow(logs plog.Logs) (plog.Logs, int) {
	if !isDeep(logs) {
		return logs, 0
	}
	c := plog.NewLogs()
	logs.CopyTo(c)
	n := 0
	for top := range topValues(c) {
		n += cut(top, 0)
	}
	return c, n
}

func isDeep(logs plog.Logs) bool {
	for top := range topValues(logs) {
		if !isShallow(top, 0) {
			return true
		}
	}
	return false
}

// topValues yields attributes and bodies.
func topValues(logs plog.Logs) func(yield func(pcommon.Value) bool) {
	return func(yield func(pcommon.Value) bool) {
		attributes := func(m pcommon.Map) bool {
			for _, v := range m.All() {
				if !yield(v) {
					return false
				}
			}
			return true
		}
		for _, resource := range logs.ResourceLogs().All() {
			if !attributes(resource.Resource().Attributes()) {
				return
			}
			for _, scope := range resource.ScopeLogs().All() {
				if !attributes(scope.Scope().Attributes()) {
					return
				}
				for _, record := range scope.LogRecords().All() {
					if !attributes(record.Attributes()) || !yield(record.Body()) {
						return
					}
				}
			}
		}
	}
}

func isShallow(v pcommon.Value, depth int) bool {
	switch v.Type() {
	case pcommon.ValueTypeMap:
		if depth == maxDepth {
			return false
		}
		for _, inner := range v.Map().All() {
			if !isShallow(inner, depth+1) {
				return false
			}
		}
	case pcommon.ValueTypeSlice:
		if depth == maxDepth {
			return false
		}
		for _, inner := range v.Slice().All() {
			if !isShallow(inner, depth+1) {
				return false
			}
		}
	default:
	}
	return true
}

// cut empties the maps and lists that are nested too deeply, and returns how many there were.
func cut(v pcommon.Value, depth int) (n int) {
	switch v.Type() {
	case pcommon.ValueTypeMap:
		if depth == maxDepth {
			v.SetEmptyMap()
			return 1
		}
		for _, inner := range v.Map().All() {
			n += cut(inner, depth+1)
		}
	case pcommon.ValueTypeSlice:
		if depth == maxDepth {
			v.SetEmptySlice()
			return 1
		}
		for _, inner := range v.Slice().All() {
			n += cut(inner, depth+1)
		}
	default:
	}
	return n
}
