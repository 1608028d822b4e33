// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package docs

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/otelcol-amplitude/otelcol-amplitude/e2e/harness"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/pdatatest"
)

const (
	arriveTimeout = time.Minute
	pollInterval  = 20 * time.Millisecond
	anything      = "…"
)

// recordTime is the time of records without one: noon UTC of 15 January 2026.
var recordTime = time.Date(2026, time.January, 15, 12, 0, 0, 0, time.UTC)

// flat is a log record as pages write it: a name and a value per line, separated by at least two spaces. With the name
// of a span or span event, it is that instead.
type flat struct {
	eventName  string
	span       string
	spanEvent  string
	time       time.Time
	attributes map[string]any
}

var betweenNameAndValue = regexp.MustCompile(`  +`)

func readFlat(t testing.TB, text string) flat {
	t.Helper()
	r := flat{time: recordTime, attributes: map[string]any{}}
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		parts := betweenNameAndValue.Split(line, 2)
		require.Len(t, parts, 2, "%q is not a name and a value with two spaces between them", line)
		r.set(t, parts[0], value(t, parts[1]))
	}
	return r
}

func (r *flat) set(t testing.TB, name string, value any) {
	t.Helper()
	switch name {
	case "EventName":
		r.eventName, _ = value.(string)
	case "Span":
		r.span, _ = value.(string)
	case "SpanEvent":
		r.spanEvent, _ = value.(string)
	case "Timestamp":
		at, err := time.Parse(time.RFC3339, value.(string))
		require.NoError(t, err)
		r.time = at
	default:
		r.attributes[name] = value
	}
}

// value reads YAML in flow style: text, a number, a boolean, a list or a map. What is not valid YAML, such as
// "[Experiment] Exposure", is text.
func value(t testing.TB, text string) any {
	t.Helper()
	if strings.HasPrefix(text, "[Experiment] ") || strings.HasPrefix(text, "20") { // times stay text
		return text
	}
	retrieved, err := confmap.NewRetrievedFromYAML([]byte(text))
	require.NoError(t, err, text)
	raw, err := retrieved.AsRaw()
	require.NoError(t, err, text)
	if quoted, ok := raw.(string); ok && strings.HasPrefix(quoted, `"`) { // the Collector keeps the text of a scalar
		raw, err = strconv.Unquote(quoted)
		require.NoError(t, err, text)
	}
	return raw
}

func (r flat) logs(t testing.TB) plog.Logs {
	t.Helper()
	logs := plog.NewLogs()
	record := logs.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords().AppendEmpty()
	record.SetEventName(r.eventName)
	record.SetTimestamp(pcommon.NewTimestampFromTime(r.time))
	pdatatest.PutSorted(t, record.Attributes(), r.attributes)
	return logs
}

// traces returns the traces for a record that is a span or span event.
func (r flat) traces(t testing.TB) ptrace.Traces {
	t.Helper()
	traces := ptrace.NewTraces()
	span := traces.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans().AppendEmpty()
	at := pcommon.NewTimestampFromTime(r.time)
	span.SetName(r.span)
	span.SetStartTimestamp(at)
	span.SetEndTimestamp(at)
	attributes := span.Attributes()
	if r.spanEvent != "" {
		event := span.Events().AppendEmpty()
		event.SetName(r.spanEvent)
		event.SetTimestamp(at)
		attributes = event.Attributes()
	}
	require.NoError(t, attributes.FromRaw(r.attributes))
	return traces
}

// TestRecordsBecomeTheEventsShown sends each record on a page through the built Collector, and compares what its
// sandbox stored with the event on the page.
func TestRecordsBecomeTheEventsShown(t *testing.T) {
	eachBlock(t, "record", func(t *testing.T, p *page, i int, argument string) {
		if argument == "configured" {
			c := startExample(t, harness.Options{Env: []string{"ID_SALT=salt"}}, configurationBefore(t, p, i)...)
			arrivesAsShown(t, c, p, i)
			return
		}
		c := harness.Start(t, filepath.Join(harness.Root(), "e2e", "testdata", "collector.yaml"), harness.Options{})
		arrivesAsShown(t, c, p, i)
	})
}

// configurationBefore returns the files of the configuration before block i on its page.
func configurationBefore(t *testing.T, p *page, i int) (files []string) {
	t.Helper()
	for i--; i >= 0 && p.blocks[i].marker != "validate"; {
		i--
	}
	require.GreaterOrEqual(t, i, 0, "no configuration stands before the record")
	for _, argument := range configArguments(t, p.blocks[i].text) {
		if argument != "--config" {
			files = append(files, argument)
		}
	}
	return files
}

func arrivesAsShown(t *testing.T, c *harness.Collector, p *page, i int) {
	t.Helper()
	require.Less(t, i+1, len(p.blocks), "no event is shown after the record")
	shown := p.blocks[i+1]
	require.Equal(t, "event", shown.marker, "%s: an event must follow the record", shown.at)
	var records []flat
	var newest time.Time
	for one := range strings.SplitSeq(p.blocks[i].text, "\n\n") {
		r := readFlat(t, one)
		records = append(records, r)
		if r.time.After(newest) {
			newest = r.time
		}
	}
	days := harness.DaysSince(newest)
	logs, traces := plog.NewLogs(), ptrace.NewTraces()
	for _, r := range records {
		r.time = r.time.Add(time.Duration(days) * 24 * time.Hour)
		if r.span != "" || r.spanEvent != "" {
			r.traces(t).ResourceSpans().MoveAndAppendTo(traces.ResourceSpans())
		} else {
			r.logs(t).ResourceLogs().MoveAndAppendTo(logs.ResourceLogs())
		}
	}
	if logs.LogRecordCount() > 0 {
		c.SendLogs(t, logs)
	}
	if traces.SpanCount() > 0 {
		c.SendTraces(t, traces)
	}
	// Even if a record that should not become an event arrives after the one that should, it has reached the exporter by
	// now.
	require.InDelta(t, 1, c.Metric(t, "otelcol_exporter_amplitude_received_events"), 0, "events made of the records")
	events := c.WaitForEvents(t, 1)
	require.Len(t, events, 1)
	events[0].Back(days)
	pattern, got := compared(t, readEvent(t, shown), events[0])
	assert.Regexp(t, pattern, got)
}

func readEvent(t testing.TB, b block) map[string]any {
	t.Helper()
	var event map[string]any
	require.NoError(t, json.Unmarshal([]byte(b.text), &event), b.at)
	return event
}

// compared returns a pattern for the event on a page, and the text of one that arrived. A page may leave out the time
// and the library, and … matches anything.
func compared(t testing.TB, shown, got map[string]any) (pattern *regexp.Regexp, text string) {
	t.Helper()
	for _, field := range []string{"time", "library"} {
		if _, ok := shown[field]; !ok {
			delete(got, field)
		}
	}
	want, err := json.MarshalIndent(shown, "", "  ")
	require.NoError(t, err)
	have, err := json.MarshalIndent(got, "", "  ")
	require.NoError(t, err)
	return regexp.MustCompile("^" + strings.ReplaceAll(regexp.QuoteMeta(string(want)), anything, ".*") + "$"), string(have)
}

// TestEmittersArriveAsShown runs the examples of emitters whose event is shown on a page, posts their request, and
// looks for that event.
func TestEmittersArriveAsShown(t *testing.T) {
	families := map[string]bool{}
	eachBlock(t, "event", func(t *testing.T, p *page, i int, argument string) {
		family, ok := strings.CutPrefix(argument, "of ")
		if !ok {
			return // it belongs to the record before it
		}
		families[family] = true
		folder := filepath.Join(harness.Root(), "examples", "emitters")
		c := startExample(t, harness.Options{}, filepath.Join(folder, family+".yaml"))
		days := c.SendRecent(t, filepath.Join(folder, family+".logs.json"), false)
		shown := readEvent(t, p.blocks[i])
		require.EventuallyWithT(t, func(poll *assert.CollectT) {
			events := c.Events(t)
			for _, event := range events {
				event.Back(days)
				if pattern, got := compared(t, shown, event); pattern.MatchString(got) {
					return
				}
			}
			assert.Fail(poll, "not among the events", "%v", events)
		}, arriveTimeout, pollInterval)
	})
	examples, err := filepath.Glob(filepath.Join(harness.Root(), "examples", "emitters", "*.logs.json"))
	require.NoError(t, err)
	for _, example := range examples {
		family := strings.TrimSuffix(filepath.Base(example), ".logs.json")
		assert.True(t, families[family], "no page shows what becomes of examples/emitters/%s", family)
	}
}

// startExample starts a configuration with the usual ports on free ports instead.
func startExample(t *testing.T, options harness.Options, configs ...string) *harness.Collector {
	t.Helper()
	a := harness.NewAddresses(t)
	options.Addresses = a
	options.More = append(options.More, configs[1:]...)
	options.Sets = append(options.Sets,
		"receivers::otlp::protocols::grpc::endpoint: "+a.OTLPGRPC,
		"receivers::otlp::protocols::http::endpoint: "+a.OTLPHTTP,
		"exporters::amplitude::endpoint: http://"+a.Sandbox+"/2/httpapi",
		"extensions::amplitude_sandbox::endpoint: "+a.Sandbox,
		"extensions::health_check::endpoint: "+a.Health,
		"service::extensions: ["+strings.Join(extensions(t, configs), ", ")+"]",
		"service::telemetry::metrics::readers: [{pull: {exporter: {prometheus: {host: 127.0.0.1, port: "+a.Metrics[strings.LastIndexByte(a.Metrics, ':')+1:]+"}}}}]",
	)
	return harness.Start(t, configs[0], options)
}

// extensions returns those that the last configuration with such a list uses, and the two that the tests need.
func extensions(t *testing.T, configs []string) []string {
	t.Helper()
	var used []string
	for _, config := range configs {
		text, err := os.ReadFile(config)
		require.NoError(t, err)
		service, _ := readYAML(t, string(text))["service"].(map[string]any)
		if list, ok := service["extensions"].([]any); ok {
			used = nil
			for _, one := range list {
				used = append(used, one.(string))
			}
		}
	}
	for _, needed := range []string{"amplitude_sandbox", "health_check"} {
		if !slices.Contains(used, needed) {
			used = append(used, needed)
		}
	}
	return used
}
