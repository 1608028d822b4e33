// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

// Package steps counts the work that a request costs: compares, probes, moves. Tests ask for the count, since work that
// grows faster than the request shows in it long before it shows in a time that may be asserted. Outside of tests a
// count is one load and one branch.
package steps // import "github.com/otelcol-amplitude/otelcol-amplitude/internal/steps"

import (
	"sync/atomic"

	"go.opentelemetry.io/collector/pdata/pcommon"
)

var counter atomic.Pointer[atomic.Int64]

// Add counts n steps. Loops count once for all their turns.
func Add(n int) {
	if c := counter.Load(); c != nil {
		c.Add(int64(n))
	}
}

// Count returns how many steps run takes. Only one Count may be under way in a process.
func Count(run func()) int64 {
	var c atomic.Int64
	if !counter.CompareAndSwap(nil, &c) {
		panic("steps are being counted already")
	}
	defer counter.Store(nil)
	run()
	return c.Load()
}

// Get looks up an attribute, which compares with one after the other.
func Get(m pcommon.Map, name string) (pcommon.Value, bool) {
	Add(m.Len())
	return m.Get(name)
}

// PutEmpty puts an attribute, which compares with all that there are.
func PutEmpty(m pcommon.Map, name string) pcommon.Value {
	Add(m.Len())
	return m.PutEmpty(name)
}
