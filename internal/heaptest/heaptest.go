// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

// Package heaptest measures for tests how much memory is kept.
package heaptest // import "github.com/otelcol-amplitude/otelcol-amplitude/internal/heaptest"

import "runtime"

// Live returns how many bytes of the heap are in use once everything that can be collected is, including what a
// sync.Pool holds, which survives one collection.
func Live() int64 {
	runtime.GC()
	runtime.GC()
	var now runtime.MemStats
	runtime.ReadMemStats(&now)
	return int64(now.HeapAlloc)
}
