// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudeexperimentprocessor

import (
	"fmt"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/processor/processortest"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/tap"
	"github.com/otelcol-amplitude/otelcol-amplitude/processor/amplitudeexperimentprocessor/internal/metadata"
)

const (
	benchRecords = 1000
	benchFlags   = 50
	benchUsers   = 10_000
)

// workload makes batches of records; fill makes record n, counted over all batches.
func workload(batchNumber int, fill func(n int, r plog.LogRecord)) plog.Logs {
	ld := plog.NewLogs()
	records := ld.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords()
	for i := range benchRecords {
		n := batchNumber*benchRecords + i
		r := records.AppendEmpty()
		setMillis(r, testTime+int64(n))
		fill(n, r)
	}
	return ld
}

// exposureWorkload makes batches of evaluations of 50 flags for 10,000 users, each with four other attributes. No two
// records of all batches have the same user, flag and variant.
func exposureWorkload(b *testing.B, batchNumber int) plog.Logs {
	b.Helper()
	return workload(batchNumber, func(n int, r plog.LogRecord) {
		r.SetEventName("feature_flag.evaluation")
		a := r.Attributes()
		a.PutStr("feature_flag.key", fmt.Sprintf("experiment-%02d", (n/benchUsers)%benchFlags))
		a.PutStr("feature_flag.result.variant", []string{"control", "treatment"}[n%2])
		a.PutStr("feature_flag.result.reason", "split")
		a.PutStr("feature_flag.provider.name", "flag-table")
		a.PutStr("feature_flag.context.id", fmt.Sprintf("user-%08d", n%benchUsers+n/(benchUsers*benchFlags)*benchUsers))
		a.PutStr("feature_flag.set.id", "shop/production")
		a.PutStr("feature_flag.version", "12")
		a.PutStr("session.id", "f0b4871cd41578174c2ad12b3256e7b7")
	})
}

// outcomeWorkload makes batches of orders of 10,000 users, each with an id and as many attributes as evaluations have.
func outcomeWorkload(b *testing.B, batchNumber int) plog.Logs {
	b.Helper()
	ld := contentWorkload(b, batchNumber)
	for i, r := range recordsOf(ld) {
		r.Attributes().PutStr("order.id", fmt.Sprintf("order-%08d", batchNumber*benchRecords+i))
	}
	return ld
}

// contentWorkload makes batches of orders without an id.
func contentWorkload(b *testing.B, batchNumber int) plog.Logs {
	b.Helper()
	return workload(batchNumber, func(n int, r plog.LogRecord) {
		r.SetEventName("order.placed")
		a := r.Attributes()
		a.PutStr("user.id", fmt.Sprintf("user-%08d", n%benchUsers))
		a.PutDouble("revenue", 19.5)
		a.PutStr("currency", "EUR")
		a.PutInt("order.items", 3)
		a.PutStr("shop.country", "DE")
		a.PutStr("payment.method", "card")
		a.PutStr("session.id", "f0b4871cd41578174c2ad12b3256e7b7")
	})
}

// assignmentWorkload makes batches of assignments of ten flags.
func assignmentWorkload(b *testing.B, batchNumber int) plog.Logs {
	b.Helper()
	return workload(batchNumber, func(n int, r plog.LogRecord) {
		r.SetEventName("$assignment")
		r.Attributes().PutStr("user_id", fmt.Sprintf("user-%08d", n))
		variants := r.Attributes().PutEmptyMap("variants")
		for flag := range 10 {
			variants.PutStr(fmt.Sprintf("experiment-%02d", flag), []string{"control", "treatment", "off"}[(n+flag)%3])
		}
	})
}

// foreignWorkload makes batches of ordinary log records.
func foreignWorkload(b *testing.B, _ int) plog.Logs {
	b.Helper()
	ld := plog.NewLogs()
	ld.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty()
	for i := range benchRecords {
		r := ld.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().AppendEmpty()
		setMillis(r, testTime+int64(i))
		r.Body().SetStr("cart rendered")
		for a := range 8 {
			r.Attributes().PutStr(fmt.Sprintf("http.attribute.%d", a), "value")
		}
	}
	return ld
}

// run measures only ConsumeLogs; making the batches is not timed.
func run(b *testing.B, yaml string, workload func(*testing.B, int) plog.Logs, distinct bool) {
	b.Helper()
	cfg := createDefaultConfig()
	if yaml != "" {
		cfg = configOf(b, yaml)
	}
	p, err := NewFactory().CreateLogs(b.Context(), processortest.NewNopSettings(metadata.Type), cfg, consumertest.NewNop())
	require.NoError(b, err)
	require.NoError(b, p.Start(b.Context(), componenttest.NewNopHost()))
	defer func() { require.NoError(b, p.Shutdown(b.Context())) }()
	number := 0
	if !distinct {
		require.NoError(b, p.ConsumeLogs(b.Context(), workload(b, 0)))
	}
	var before, after runtime.MemStats
	var allocs, bytes uint64
	b.ResetTimer()
	for range b.N {
		b.StopTimer()
		ld := workload(b, number)
		if distinct {
			number++
		}
		runtime.ReadMemStats(&before)
		b.StartTimer()
		err := p.ConsumeLogs(b.Context(), ld)
		b.StopTimer()
		runtime.ReadMemStats(&after)
		require.NoError(b, err)
		allocs += after.Mallocs - before.Mallocs
		bytes += after.TotalAlloc - before.TotalAlloc
		b.StartTimer()
	}
	events := float64(b.N * benchRecords)
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/events, "ns/event")
	b.ReportMetric(float64(allocs)/events, "allocs/event")
	b.ReportMetric(float64(bytes)/events, "B/event")
}

// BenchmarkExposures: every record becomes an event.
func BenchmarkExposures(b *testing.B) { run(b, "", exposureWorkload, true) }

// BenchmarkExposuresDiagnosed: every record is counted, too.
func BenchmarkExposuresDiagnosed(b *testing.B) {
	run(b, "diagnostics: {flags: ['*'], expected: {experiment-00: {control: 1, treatment: 1}}}", exposureWorkload, true)
}

// BenchmarkExposuresWithoutDedup shows the cost of reading and writing alone.
func BenchmarkExposuresWithoutDedup(b *testing.B) {
	run(b, "dedup: {enabled: false}", exposureWorkload, true)
}

// BenchmarkOutcomes: every record becomes an event; its insert_id is made from an id or from the whole record.
func BenchmarkOutcomes(b *testing.B) {
	const yaml = "outcomes: {events: [order.placed], properties: [order.items], insert_id: [order.id]}"
	b.Run("ID", func(b *testing.B) { run(b, yaml, outcomeWorkload, true) })
	b.Run("Content", func(b *testing.B) { run(b, yaml, contentWorkload, true) })
}

// BenchmarkAssignments: every record becomes an event of ten flags.
func BenchmarkAssignments(b *testing.B) { run(b, "", assignmentWorkload, true) }

// BenchmarkForeign: records that pass through.
func BenchmarkForeign(b *testing.B) { run(b, "", foreignWorkload, true) }

// BenchmarkRepeats: every record is a repeat.
func BenchmarkRepeats(b *testing.B) { run(b, "", exposureWorkload, false) }

// BenchmarkWatched: one watcher receives a hundred records per second.
func BenchmarkWatched(b *testing.B) {
	w, err := tap.Watch(tap.Filter{}, 100)
	require.NoError(b, err)
	defer w.Close()
	for name, workload := range map[string]func(*testing.B, int) plog.Logs{"Exposures": exposureWorkload, "Assignments": assignmentWorkload, "Foreign": foreignWorkload} {
		b.Run(name, func(b *testing.B) { run(b, "", workload, true) })
	}
}
