// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/otelcol-amplitude/otelcol-amplitude/e2e/harness"
)

// documented is a row of docs/metrics.md.
type documented struct {
	kind   string
	labels []string
}

// TestMetricsAreScrapedAsDocumented changes every metric of the components, and compares names, types and labels of a
// scrape with docs/metrics.md, both ways.
func TestMetricsAreScrapedAsDocumented(t *testing.T) {
	collector := harness.Start(t, "testdata/metrics.yaml", harness.Options{})
	collector.SandboxPost(t, "/_sandbox/faults", map[string]any{"action": "wrong_code", "code": 400})
	collector.SendLogs(t, recordsOfEveryKind())
	require.Eventually(t, func() bool {
		return collector.Metric(t, "otelcol_exporter_amplitude_unexpected_answers") > 0
	}, patience, 20*time.Millisecond, "the answer with the wrong code")
	collector.SendLogs(t, exposures(0, 1)) // the sandbox does not count answers of faults
	traces, err := (&ptrace.ProtoMarshaler{}).MarshalTraces(spansOfEveryKind())
	require.NoError(t, err)
	_, err = collector.PostTraces("application/x-protobuf", "", traces)
	require.NoError(t, err)
	for body, want := range map[string]int{
		// A member that is not a field, and an operator that Amplitude ignores.
		`{"api_key":"sdk-key","events":[{"event_type":"$identify","user_id":"user-9","shade":"red","user_properties":{"$rotate":{"a":1}}}]}`: http.StatusOK,
		`{"api_key":"unknown","events":[{"event_type":"e","user_id":"user-9"}]}`:                                                             http.StatusBadRequest,
	} {
		status, _ := harness.Post("http://"+collector.OTLPGRPC+"/2/httpapi", "application/json", "", []byte(body)) // here the address of the receiver amplitude
		require.Equal(t, want, status)
	}

	page := metricsPage(t)
	var scraped string
	var missing []string
	assert.Eventually(t, func() bool {
		_, scraped = get(t, "http://"+collector.Metrics+"/metrics")
		missing = nil
		for name := range page {
			if name == "otelcol_exporter_amplitude_dead_letters_dropped" {
				continue // takes a megabyte of dead letters: the exporter's tests cover it
			}
			if !strings.Contains(scraped, "# TYPE "+name+" ") {
				missing = append(missing, name)
			}
		}
		return len(missing) == 0
	}, patience, 20*time.Millisecond)
	require.Empty(t, missing, "documented, and never scraped")

	for _, line := range regexp.MustCompile(`(?m)^# TYPE (\S+) (\S+)$`).FindAllStringSubmatch(scraped, -1) {
		name, kind := line[1], line[2]
		row, known := page[name]
		if !known {
			assert.NotRegexp(t, `amplitude|feature_flag_events`, name, "it is not in docs/metrics.md")
			continue
		}
		assert.Equal(t, row.kind, kind, name)
		suffix := ""
		if kind == "histogram" {
			suffix = "_count"
		}
		for _, series := range regexp.MustCompile(`(?m)^`+name+suffix+`\{(.*)\} \S+$`).FindAllStringSubmatch(scraped, -1) {
			for _, label := range row.labels {
				assert.Contains(t, ","+series[1], ","+label+`="`, name)
			}
			for _, label := range regexp.MustCompile(`([a-z_]+)="`).FindAllStringSubmatch(series[1], -1) {
				general := []string{"processor", "exporter", "connector", "extension", "receiver", "otel_signal"}
				assert.Contains(t, append(general, row.labels...), label[1], name)
			}
		}
	}
}

// metricsPage reads the tables of docs/metrics.md.
func metricsPage(t *testing.T) map[string]documented {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(harness.Root(), "docs", "metrics.md"))
	require.NoError(t, err)
	page := map[string]documented{}
	for line := range strings.Lines(string(text)) {
		cells := strings.Split(line, " | ")
		if name, ok := strings.CutPrefix(cells[0], "| `otelcol_"); ok {
			labels := regexp.MustCompile("[a-z_]+").FindAllString(cells[3], -1)
			page["otelcol_"+strings.TrimSuffix(name, "`")] = documented{kind: cells[1], labels: slices.Sorted(slices.Values(labels))}
		}
	}
	require.Greater(t, len(page), 30)
	return page
}

// recordsOfEveryKind returns log records that change the metrics of processor and exporter.
func recordsOfEveryKind() plog.Logs {
	logs := plog.NewLogs()
	records := logs.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords()
	add := func(event string, at time.Time, attributes map[string]any) plog.LogRecord {
		record := records.AppendEmpty()
		record.SetEventName(event)
		record.SetTimestamp(pcommon.NewTimestampFromTime(at))
		if err := record.Attributes().FromRaw(attributes); err != nil {
			panic(err) // the attributes are written below
		}
		return record
	}
	now := time.Now()
	add("$exposure", now, map[string]any{"flag_key": "f", "variant": "on", "user_id": "user-1", "ratio": math.NaN()})
	add("$exposure", now, map[string]any{"flag_key": "f", "variant": "other", "user_id": "user-1"})
	add("$exposure", now.Add(-49*time.Hour), map[string]any{"flag_key": "f", "variant": "on", "user_id": "user-1"})
	add("$exposure", now, map[string]any{"flag_key": "f", "variant": "on", "user_id": "anonymous", "device_id": "device-1"})
	add("$exposure", now, map[string]any{"flag_key": "f", "variant": "on"})
	groups := map[string]any{}
	for i := range 6 {
		groups[fmt.Sprintf("type-%d", i)] = "acme"
	}
	add("$exposure", now, map[string]any{"flag_key": "f", "variant": "on", "user_id": `"user-4"`, "groups": groups})
	add("feature_flag.evaluation", now, map[string]any{"feature_flag.key": "f", "feature_flag.result.variant": "on", "user.id": "user-5"})
	add("feature_flag.evaluation", now, map[string]any{"feature_flag.key": "f", "feature_flag.result.reason": "error", "user.id": "user-1"})
	variants := map[string]any{"bad": []any{"a list is not a variant"}}
	for i := range 1_100 {
		variants[fmt.Sprintf("flag-%04d", i)] = "on"
	}
	add("$assignment", now, map[string]any{"variants": variants, "user_id": "user-2"})
	variants["flag-1099"] = "other" // of the two events of all flags, one is a repeat
	add("$assignment", now, map[string]any{"variants": variants, "user_id": "user-2"})
	add("Order placed", now, map[string]any{"amplitude.user_id": "user-3", "total": math.Inf(1)})
	add("Order placed", now, map[string]any{"total": 1})
	add("feature_flag.evaluated", now, map[string]any{"feature_flag.key": "f"})
	add("Order placed", now, map[string]any{"amplitude.user_id": "user-3", "amplitude.user_properties.$set.plan": "gold"})
	return logs
}

// spansOfEveryKind returns spans that change the metrics of the connector.
func spansOfEveryKind() ptrace.Traces {
	traces := ptrace.NewTraces()
	spans := traces.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans()
	event := spans.AppendEmpty().Events().AppendEmpty()
	event.SetName("feature_flag.evaluation")
	event.Attributes().PutStr("feature_flag.key", "f")
	event.Attributes().PutStr("feature_flag.provider.name", "LaunchDarkly")
	event.Attributes().PutStr("feature_flag.context.id", "org:acme")
	event.Attributes().PutStr("feature_flag.result.variant", "on")
	spans.At(0).Attributes().PutEmptyMap("user.id") // not a scalar
	skipped := spans.AppendEmpty()
	skipped.SetName("flag")
	skipped.Attributes().PutBool("cached", true)
	return traces
}
