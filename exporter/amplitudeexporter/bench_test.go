// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudeexporter

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/exporter/exportertest"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.uber.org/zap"

	"github.com/otelcol-amplitude/otelcol-amplitude/exporter/amplitudeexporter/internal/metadata"
)

// w1 is n exposures as the processor makes them; w2 is n assignments of ten flags.
func w1(n int) plog.Logs {
	logs := plog.NewLogs()
	records := newRecords(logs)
	for i := range n {
		a := exposure(records, fmt.Sprintf("user-%08d", i), fmt.Sprintf("user-%08d device-%08d 9f2c41d8e7a6b50312345678deadbeef 20779", i, i)).Attributes()
		a.PutStr("amplitude.device_id", fmt.Sprintf("device-%08d", i))
		a.PutInt("amplitude.session_id", 1763895600000)
		a.PutStr("[Experiment] Experiment Key", "checkout-2026")
		a.PutStr("amplitude.app_version", "4.2.1")
	}
	return logs
}

func w2(n int) plog.Logs {
	logs := plog.NewLogs()
	records := newRecords(logs)
	for i := range n {
		record := records.AppendEmpty()
		record.SetEventName("[Experiment] Assignment")
		record.SetTimestamp(1763895600_000_000_000)
		a := record.Attributes()
		a.PutStr("amplitude.user_id", fmt.Sprintf("user-%08d", i))
		a.PutStr("amplitude.insert_id", fmt.Sprintf("user-%08d  9f2c41d8e7a6b50312345678deadbeef 20779", i))
		for flag := range 10 {
			a.PutStr(fmt.Sprintf("[Experiment] flag-number-%d.variant", flag), "treatment")
			a.PutStr(fmt.Sprintf("amplitude.user_properties.$set.[Experiment] flag-number-%d", flag), "treatment")
		}
	}
	return logs
}

func BenchmarkEncode(b *testing.B) {
	for name, logs := range map[string]plog.Logs{"exposure": w1(1000), "assignment": w2(1000)} {
		b.Run(name, func(b *testing.B) {
			e := testEncoder(b, nil)
			records := logs.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords()
			var out []byte
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				record := records.At(i % records.Len())
				var failed verdict
				if out, _, _, failed = e.encode(out[:0], record); failed.reason != 0 {
					b.Fatal(failed.reason)
				}
			}
			b.SetBytes(int64(len(out)))
		})
		// The way without an encoder of one's own.
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
	for name, logs := range map[string]plog.Logs{"exposure": w1(100), "assignment": w2(100)} {
		e := testEncoder(t, nil)
		records := logs.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords()
		out := make([]byte, 0, 4096)
		i := 0
		require.Zero(t, testing.AllocsPerRun(1000, func() {
			out, _, _, _ = e.encode(out[:0], records.At(i%records.Len()))
			i++
		}), name)
	}
}

// BenchmarkPush is everything from the batch to the answer of a local server that only reads.
func BenchmarkPush(b *testing.B) {
	sink := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = io.WriteString(w, `{"code":200}`)
	}))
	defer sink.Close()
	const events = 8000
	logs := w1(events)
	for _, compression := range []string{"none", "gzip"} {
		for _, concurrency := range []int{1, 8} {
			b.Run(fmt.Sprintf("%s/concurrency %d", compression, concurrency), func(b *testing.B) {
				cfg := newConfig(b, map[string]any{"endpoint": sink.URL + "/2/httpapi", "compression": compression, "concurrency": concurrency})
				set := exportertest.NewNopSettings(metadata.Type)
				set.Logger = zap.NewNop()
				x, err := NewFactory().CreateLogs(b.Context(), set, cfg)
				require.NoError(b, err)
				require.NoError(b, x.Start(b.Context(), componenttest.NewNopHost()))
				b.ReportAllocs()
				for b.Loop() {
					if err := x.ConsumeLogs(b.Context(), logs); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*events), "ns/event")
				require.NoError(b, x.Shutdown(b.Context()))
			})
		}
	}
}
