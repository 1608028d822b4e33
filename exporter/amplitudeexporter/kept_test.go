// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudeexporter

import (
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/heaptest"
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
			heap := func() int64 {
				_ = r.ConsumeLogs(t.Context(), numbered(1)) // connected, and with all that an exporter keeps
				return heaptest.Live()
			}
			before := heap()
			func() {
				logs := plog.NewLogs()
				bomb(newRecords(logs))
				_ = r.ConsumeLogs(t.Context(), logs)
			}()
			const kept int64 = 3 << 20
			assert.Less(t, heap()-before, kept)
		})
	}
}
