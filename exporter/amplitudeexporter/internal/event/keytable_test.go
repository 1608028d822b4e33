// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package event

import (
	"encoding/json"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/plog"
	"pgregory.net/rapid"
)

// TestEncoderCacheDoesNotChangeEvents compares encoders with and without earlier records.
func TestEncoderCacheDoesNotChangeEvents(t *testing.T) {
	names := []string{
		"plan", "a\"b", "[Experiment] Flag Key", "amplitude.city", "amplitude.price", "amplitude.nothing", "amplitude.", "",
		"amplitude.user_properties.$set.plan", "amplitude.user_properties.$unset.plan", "amplitude.user_properties.$clearAll",
		"amplitude.user_properties.$set.", "amplitude.user_properties.$no.plan", "amplitude.group_properties.$set.plan",
		"amplitude.groups.org", "amplitude.groups.", "amplitude.unknown.org", "amplitude.device_id",
	}
	rapid.Check(t, func(rt *rapid.T) {
		used := testEncoder(Settings{})
		for range rapid.IntRange(1, 8).Draw(rt, "records") {
			record := recordOf(rt, rapid.SliceOfN(rapid.SampledFrom(names), 0, 6).Draw(rt, "names"))
			want, wantUser, wantDevice, wantFailed := testEncoder(Settings{}).Encode(nil, record)
			got, user, device, failed := used.Encode(nil, record)
			require.Equal(rt, string(want), string(got))
			require.Equal(rt, []any{wantUser, wantDevice, wantFailed}, []any{user, device, failed})
		}
	})
}

// recordOf makes an event with string attributes of these names, which may contain duplicates.
func recordOf(t require.TestingT, names []string) plog.LogRecord {
	attributes := []map[string]any{{"key": "amplitude.user_id", "value": map[string]any{"stringValue": "user-1"}}}
	for i, name := range names {
		attributes = append(attributes, map[string]any{"key": name, "value": map[string]any{"stringValue": strconv.Itoa(i)}})
	}
	raw, err := json.Marshal(attributes)
	require.NoError(t, err)
	logs, err := (&plog.JSONUnmarshaler{}).UnmarshalLogs([]byte(
		`{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"eventName":"$exposure","attributes":` + string(raw) + `}]}]}]}`))
	require.NoError(t, err)
	return logs.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().At(0)
}

// TestKeyTableIsBounded: names that are never used again do not fill the memory.
func TestKeyTableIsBounded(t *testing.T) {
	for length, count := range map[int]int{8: 3 * maxKeys, 10_000: 3 * maxKeyBytes / 10_000} {
		e := testEncoder(Settings{})
		for i := range count {
			name := strconv.Itoa(i) + strings.Repeat("x", length)
			out, _, _, failed := e.Encode(nil, recordOf(t, []string{name, name}))
			require.Zero(t, failed)
			require.Equal(t, 1, strings.Count(string(out), name))
			require.LessOrEqual(t, len(e.keys.known), maxKeys+2)
			require.LessOrEqual(t, e.keys.bytes, maxKeyBytes+2*len(name))
		}
	}
}
