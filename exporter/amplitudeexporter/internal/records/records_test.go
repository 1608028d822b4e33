// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package records

import (
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/plog"
)

// grid makes logs with a number of resources, scopes per resource, and records per scope.
func grid(resources, scopes, each int) plog.Logs {
	logs := plog.NewLogs()
	for r := range resources {
		resource := logs.ResourceLogs().AppendEmpty()
		resource.SetSchemaUrl("https://example.com/resource")
		resource.Resource().Attributes().PutInt("resource", int64(r))
		for s := range scopes {
			scope := resource.ScopeLogs().AppendEmpty()
			scope.SetSchemaUrl("https://example.com/scope")
			scope.Scope().SetName(strconv.Itoa(s))
			for n := range each {
				scope.LogRecords().AppendEmpty().Body().SetInt(int64(n))
			}
		}
	}
	return logs
}

func TestCollectKeepsEverything(t *testing.T) {
	logs := grid(2, 3, 4)
	copied := Collect(All(logs))
	assert.Equal(t, logs, copied)
	copied.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().At(0).Body().SetStr("changed")
	assert.Equal(t, grid(2, 3, 4), logs, "a copy")
}

func TestCollectOfSome(t *testing.T) {
	all := slices.Collect(All(grid(2, 2, 2)))
	require.Len(t, all, 8)
	some := Collect(slices.Values([]Ref{all[1], all[6], all[7]}))
	require.Equal(t, 2, some.ResourceLogs().Len(), "only what the records belong to")
	assert.Equal(t, 1, some.ResourceLogs().At(0).ScopeLogs().Len())
	assert.Equal(t, 1, some.ResourceLogs().At(1).ScopeLogs().Len())
	assert.Equal(t, 3, some.LogRecordCount())
	assert.Zero(t, Collect(slices.Values([]Ref(nil))).ResourceLogs().Len())
}

// TestCollectBoundsContexts: each part of a request copies only the first attributes of a huge resource, and counts the
// rest as dropped.
func TestCollectBoundsContexts(t *testing.T) {
	logs := grid(2, 1, 1)
	huge := logs.ResourceLogs().At(0).Resource().Attributes()
	for i := range 100 {
		huge.PutStr("large-"+strconv.Itoa(i), strings.Repeat("x", 10_000))
	}
	scope := logs.ResourceLogs().At(0).ScopeLogs().At(0).Scope().Attributes()
	scope.PutStr("first", "small")
	deep := scope.PutEmptySlice("deep")
	for range 10_000 {
		deep.AppendEmpty().SetEmptyMap().PutInt("n", 1)
	}
	scope.PutStr("last", "small")
	copied := Collect(All(logs))
	require.Equal(t, 2, copied.LogRecordCount())
	resource := copied.ResourceLogs().At(0)
	assert.Equal(t, 7, resource.Resource().Attributes().Len(), "the number of the resource, and six of the large ones")
	assert.EqualValues(t, 94, resource.Resource().DroppedAttributesCount())
	assert.Equal(t, map[string]any{"first": "small"}, resource.ScopeLogs().At(0).Scope().Attributes().AsRaw())
	assert.EqualValues(t, 2, resource.ScopeLogs().At(0).Scope().DroppedAttributesCount())
	assert.Equal(t, logs.ResourceLogs().At(1), copied.ResourceLogs().At(1), "its neighbor is whole")
}

func TestAllStops(t *testing.T) {
	seen := 0
	for range All(grid(2, 2, 2)) {
		if seen++; seen == 3 {
			break
		}
	}
	assert.Equal(t, 3, seen)
}

func TestBare(t *testing.T) {
	logs := grid(2, 2, 3)
	logs.ResourceLogs().At(1).ScopeLogs().At(0).Scope().Attributes().PutStr("scope", "has one")
	logs.ResourceLogs().At(0).Resource().SetDroppedAttributesCount(5)
	bare := Bare(All(logs))
	require.Equal(t, 1, bare.ResourceLogs().Len())
	resource := bare.ResourceLogs().At(0)
	require.Equal(t, 1, resource.ScopeLogs().Len())
	assert.Zero(t, resource.Resource().Attributes().Len())
	assert.Equal(t, uint32(5+2), resource.Resource().DroppedAttributesCount())
	assert.Equal(t, uint32(1), resource.ScopeLogs().At(0).Scope().DroppedAttributesCount())
	var bodies, want []int64
	for r := range All(bare) {
		bodies = append(bodies, r.Record.Body().Int())
	}
	for r := range All(logs) {
		want = append(want, r.Record.Body().Int())
	}
	assert.Equal(t, want, bodies)
}
