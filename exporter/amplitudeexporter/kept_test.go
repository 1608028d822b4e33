// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudeexporter

import (
	"runtime"
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
)

// TestOneHugeRequestIsNotKept: the memory that it took is given back, whatever was huge in it.
func TestOneHugeRequestIsNotKept(t *testing.T) {
	const huge = 60_000
	fill := func(m pcommon.Map) {
		all := map[string]any{"amplitude.user_id": "user-00001"}
		for i := range huge {
			all["n"+strconv.Itoa(i)] = true
		}
		assert.NoError(t, m.FromRaw(all))
	}
	for name, bomb := range map[string]func(plog.LogRecordSlice){
		"records of others": func(to plog.LogRecordSlice) {
			for range huge {
				to.AppendEmpty()
			}
		},
		"attributes": func(to plog.LogRecordSlice) { fill(exposure(to, "user-00001", "e0").Attributes()) },
		"names in a map": func(to plog.LogRecordSlice) {
			fill(exposure(to, "user-00001", "e0").Attributes().PutEmptyMap("map"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, map[string]any{"endpoint": newScript(t).url()}, nil)
			heap := func() int {
				_ = r.ConsumeLogs(t.Context(), numbered(1)) // connected, and with all that an exporter keeps
				runtime.GC()
				runtime.GC() // what a sync.Pool has
				var now runtime.MemStats
				runtime.ReadMemStats(&now)
				return int(now.HeapAlloc)
			}
			before := heap()
			func() {
				logs := plog.NewLogs()
				bomb(newRecords(logs))
				_ = r.ConsumeLogs(t.Context(), logs)
			}()
			const kept = 3 << 20
			assert.Less(t, heap()-before, kept)
		})
	}
}
