// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

// Package steps counts the work that a request costs: comparisons, probes, moves. Tests check the count, because
// superlinear work shows in it long before it shows in timings, which may not be asserted. Outside of tests, a count is
// one load and one branch.
package steps // import "github.com/otelcol-amplitude/otelcol-amplitude/internal/steps"

import (
	"sync/atomic"

	"go.opentelemetry.io/collector/pdata/pcommon"
)

var counter atomic.Pointer[atomic.Int64]

// Add counts n steps. Loops count once for all iterations.
func Add(n int) {
	if c := counter.Load(); c != nil {
		c.Add(int64(n))
	}
}

// Count returns how many steps run takes. Only one Count may run at a time in a process.
func Count(run func()) int64 {
	var c atomic.Int64
	if !counter.CompareAndSwap(nil, &c) {
		panic("steps are being counted already")
	}
	defer counter.Store(nil)
	run()
	return c.Load()
}

// Get looks up an attribute, which compares names one by one.
func Get(m pcommon.Map, name string) (pcommon.Value, bool) {
	Add(m.Len())
	return m.Get(name)
}

// PutEmpty puts an attribute, which compares with all existing names.
func PutEmpty(m pcommon.Map, name string) pcommon.Value {
	Add(m.Len())
	return m.PutEmpty(name)
}
