// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package event

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/otelcol-amplitude/otelcol-amplitude/exporter/amplitudeexporter/internal/records/recordstest"
)

func BenchmarkEncode(b *testing.B) {
	for name, logs := range map[string]plog.Logs{"exposure": recordstest.Exposures(1000), "assignment": recordstest.Assignments(1000)} {
		b.Run(name, func(b *testing.B) {
			e := testEncoder(Settings{})
			records := logs.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords()
			var out []byte
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				record := records.At(i % records.Len())
				var failed Failure
				if out, _, _, failed = e.Encode(out[:0], record); failed.Reason != 0 {
					b.Fatal(failed.Reason)
				}
			}
			b.SetBytes(int64(len(out)))
		})
		// The same without an encoder: a map and encoding/json.
		b.Run(name+"/maps and encoding_json", func(b *testing.B) {
			records := logs.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords()
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if _, err := json.Marshal(eventAsMap(records.At(i % records.Len()))); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// eventAsMap is the event of a record in maps.
func eventAsMap(record plog.LogRecord) map[string]any {
	event := map[string]any{"event_type": record.EventName(), "time": int64(record.Timestamp()) / 1e6, "library": "otelcol-amplitude/1.2.3"}
	properties, set := map[string]any{}, map[string]any{}
	for name, value := range record.Attributes().All() {
		if key, ok := strings.CutPrefix(name, "amplitude.user_properties.$set."); ok {
			set[key] = value.AsRaw()
		} else if key, ok := strings.CutPrefix(name, "amplitude."); ok {
			event[key] = value.AsRaw()
		} else {
			properties[name] = value.AsRaw()
		}
	}
	event["event_properties"] = properties
	event["user_properties"] = map[string]any{"$set": set}
	return event
}

func TestEncodeAllocatesNothing(t *testing.T) {
	for name, logs := range map[string]plog.Logs{"exposure": recordstest.Exposures(100), "assignment": recordstest.Assignments(100)} {
		e := testEncoder(Settings{})
		records := logs.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords()
		out := make([]byte, 0, 4096)
		i := 0
		require.Zero(t, testing.AllocsPerRun(1000, func() {
			out, _, _, _ = e.Encode(out[:0], records.At(i%records.Len()))
			i++
		}), name)
	}
}
