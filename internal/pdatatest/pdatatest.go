// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

// Package pdatatest makes telemetry for tests.
package pdatatest // import "github.com/otelcol-amplitude/otelcol-amplitude/internal/pdatatest"

import (
	"maps"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
)

// PutSorted puts Go values into a map, sorted by key at every level: what a limit leaves out, and the order of the
// exposures of a result, must not depend on the order of Go's maps.
func PutSorted(t testing.TB, to pcommon.Map, from map[string]any) {
	t.Helper()
	for _, name := range slices.Sorted(maps.Keys(from)) {
		if nested, ok := from[name].(map[string]any); ok {
			PutSorted(t, to.PutEmptyMap(name), nested)
			continue
		}
		require.NoError(t, to.PutEmpty(name).FromRaw(from[name]))
	}
}
