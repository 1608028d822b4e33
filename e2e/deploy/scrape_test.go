// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package deploy

import (
	"bytes"
	"fmt"
	"maps"
	"math"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/otelcol-amplitude/otelcol-amplitude/e2e/harness"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/redistest"
	"github.com/otelcol-amplitude/otelcol-amplitude/tools/operations"
)

const wait = time.Minute

// record is a log record by its event name and attributes, at a time relative to now.
type record struct {
	event      string
	ago        time.Duration
	attributes map[string]any
}

func exposure(user, variant string) record {
	return record{event: "$exposure", attributes: map[string]any{"user_id": user, "flag_key": "checkout", "variant": variant}}
}

func logs(t *testing.T, records ...record) plog.Logs {
	t.Helper()
	logs := plog.NewLogs()
	to := logs.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords()
	for _, from := range records {
		r := to.AppendEmpty()
		r.SetEventName(from.event)
		r.SetTimestamp(pcommon.NewTimestampFromTime(time.Now().Add(-from.ago)))
		require.NoError(t, r.Attributes().FromRaw(from.attributes))
	}
	return logs
}

func numbered(n int) []record {
	records := make([]record, n)
	for i := range records {
		records[i] = exposure(fmt.Sprintf("user-%06d", i), "treatment")
	}
	return records
}

// fault makes the sandbox fail the next request.
type fault map[string]any

// TestEverythingThatIsWatchedIsThere makes Collectors go through everything that can happen, and looks in what
// Prometheus would scrape for each metric, label and label value that the dashboard or an alert names.
func TestEverythingThatIsWatchedIsThere(t *testing.T) {
	scrapes := [][]byte{eventful(t), invalidKey(t), dryRun(t), fullQueue(t), sdks(t)}
	for _, scrape := range scrapes {
		checkMetrics(t, scrape)
	}
	series := parse(t, scrapes)

	catalog, err := operations.LoadCatalog(harness.Root())
	require.NoError(t, err)
	_, uses, err := catalog.Files()
	require.NoError(t, err)
	for _, use := range uses {
		switch {
		case use.Metric == "up" || use.Label == "job" || use.Label == "instance":
			// Prometheus adds these.
		case use.Value == "":
			assert.True(t, series[operations.Use{Metric: use.Metric, Label: use.Label}], "%s{%s} is in no scrape", use.Metric, use.Label)
		default:
			assert.True(t, series[use], "%s{%s=%q} is in no scrape", use.Metric, use.Label, use.Value)
		}
	}
}

// eventful is a Collector to which many things happen.
func eventful(t *testing.T) []byte {
	redis := redistest.Start(t)
	c := harness.Start(t, "testdata/operations.yaml", harness.Options{Env: []string{"E2E_REDIS=" + redis.Address}})
	arm := func(faults ...fault) { c.SandboxPost(t, "/_sandbox/faults", faults) }
	until := func(metric string, labels ...string) {
		require.Eventually(t, func() bool { return c.Metric(t, metric, labels...) > 0 }, wait, 20*time.Millisecond, "%s %v", metric, labels)
	}
	const exporter, processor = "otelcol_exporter_amplitude_", "otelcol_processor_amplitude_experiment_"

	// Deliveries, every outcome of the processor, and everything that can be left out of an event.
	flags := map[string]any{}
	for i := range 1100 {
		flags[fmt.Sprintf("flag-%04d", i)] = "on"
	}
	flags["broken"] = []any{"no", "variant"}
	oneChanged := maps.Clone(flags)
	oneChanged["flag-1099"] = "off"
	groups := map[string]any{}
	for i := range 6 {
		groups[fmt.Sprintf("type-%d", i)] = "acme"
	}
	nested := any("deep")
	for range 45 {
		nested = []any{nested}
	}
	c.SendLogs(t, logs(
		t,
		exposure("user-000001", "control"),
		exposure("user-000001", "control"),
		exposure("user-000001", "treatment"),
		exposure("user-000002", "off"),
		exposure(`"user-000007"`, "control"),
		record{event: "order.placed", attributes: map[string]any{"user_id": "user-000001"}},
		record{event: "$impression", attributes: map[string]any{"user_id": "user-000001", "flag_key": "checkout", "variant": "control"}},
		exposure("user-000006", "control"),
		exposure("user-000006", "treatment"),
		exposure("user-000006", "control"),
		record{event: "$exposure", ago: 72 * time.Hour, attributes: map[string]any{"user_id": "user-000001", "flag_key": "checkout", "variant": "control"}},
		record{event: "$assignment", attributes: map[string]any{"user_id": "user-000001", "variants": flags}},
		// Of the two events of all flags, the first is a repeat.
		record{event: "$assignment", attributes: map[string]any{"user_id": "user-000001", "variants": oneChanged}},
		record{event: "$exposure", attributes: map[string]any{"user_id": "user-000003", "flag_key": "checkout", "variant": "control", "n": math.NaN(), "nested": nested, "groups": groups}},
		record{event: "$exposure", attributes: map[string]any{"user_id": "anonymous", "device_id": "device-000001", "flag_key": "checkout", "variant": "control"}},
		record{event: "$exposure", attributes: map[string]any{"flag_key": "checkout", "variant": "control"}},
		record{event: "feature_flag.evaluation", attributes: map[string]any{"feature_flag.key": "checkout", "feature_flag.result.reason": "disabled"}},
		record{event: "feature_flag.evaluation", attributes: map[string]any{"user_id": "user-000006", "feature_flag.key": "checkout", "feature_flag.result.variant": "control"}},
		record{event: "another event", attributes: map[string]any{"user_id": "user-000001"}},
		record{event: "$Exposure", attributes: map[string]any{"user_id": "user-000001", "flag_key": "checkout", "variant": "control"}},
		record{event: "[Experiment] Exposure", attributes: map[string]any{
			"amplitude.user_id": "user-000004", "amplitude.insert_id": "already shaped", "amplitude.user_properties.$set.n": math.NaN(),
			"[Experiment] Flag Key": "checkout", "[Experiment] Variant": "control",
		}},
		// Undeliverable: the session is not a number.
		record{event: "[Experiment] Exposure", attributes: map[string]any{
			"amplitude.user_id": "user-000005", "amplitude.insert_id": "undeliverable", "amplitude.session_id": "yesterday",
			"[Experiment] Flag Key": "checkout", "[Experiment] Variant": "control",
		}},
	))
	until(exporter+"events", `outcome="delivered"`)
	until(exporter+"events", `outcome="dead_lettered"`)

	arm(fault{"action": "wrong_code", "code": 500})
	c.SendLogs(t, logs(t, exposure("user-000010", "treatment")))
	until(exporter + "unexpected_answers")

	arm(fault{"action": "status", "code": 503, "times": 2})
	c.SendLogs(t, logs(t, exposure("user-000011", "treatment")))
	until(exporter+"events", `outcome="retried"`)

	c.SandboxPost(t, "/_sandbox/throttle", map[string]any{"ids": []string{"user-000012"}, "until": "+1h"})
	c.SendLogs(t, logs(t, exposure("user-000012", "treatment")))
	until(exporter+"events", `outcome="throttled"`)
	until(exporter+"requests", `status="429"`)

	redis.Kill()
	c.SendLogs(t, logs(t, exposure("user-000013", "treatment")))
	until(processor + "dedup_redis_failures")
	c.SendLogs(t, logs(t, exposure("user-000014", "treatment")))
	until(processor + "dedup_redis_bypassed")
	return c.Scrape(t)
}

// invalidKey has a key that is refused, and no dead letter file.
func invalidKey(t *testing.T) []byte {
	far := harness.Start(t, "../testdata/sandbox.yaml", harness.Options{})
	c := harness.Start(t, "../testdata/sender.yaml", harness.Options{
		Env:  []string{"E2E_TARGET=" + far.Sandbox, "E2E_KEY=refused"},
		Sets: []string{"exporters::amplitude::retry_on_failure::max_elapsed_time: 1s"},
	})
	records := numbered(3)
	records[0].attributes["amplitude.plan"] = "applications cannot set it"
	c.SendLogs(t, logs(t, records...))
	require.Eventually(t, func() bool {
		return c.Metric(t, "otelcol_exporter_amplitude_events", `outcome="dropped"`) == 3
	}, wait, 20*time.Millisecond)
	return c.Scrape(t)
}

// dryRun sends nothing.
func dryRun(t *testing.T) []byte {
	c := harness.Start(t, "../testdata/collector.yaml", harness.Options{Sets: []string{
		"exporters::amplitude::dry_run: true", "processors::amplitude_experiment::diagnostics::expected::checkout: {control: 1, treatment: 1}",
	}})
	c.SendLogs(t, logs(t, numbered(3)...))
	require.Eventually(t, func() bool {
		return c.Metric(t, "otelcol_exporter_amplitude_events", `outcome="dry_run"`) == 3
	}, wait, 20*time.Millisecond)
	return c.Scrape(t)
}

// fullQueue has nowhere to send to, and a queue that is too small.
func fullQueue(t *testing.T) []byte {
	c := harness.Start(t, "../testdata/limits.yaml", harness.Options{Env: []string{"E2E_ENDPOINT=http://127.0.0.1:1/2/httpapi", "E2E_QUEUE=100"}})
	body, err := (&plog.ProtoMarshaler{}).MarshalLogs(logs(t, numbered(200)...))
	require.NoError(t, err)
	status, err := c.PostLogs("application/x-protobuf", "", body)
	require.Error(t, err)
	assert.Equal(t, 503, status)
	return c.Scrape(t)
}

// sdks has a receiver for Amplitude's SDKs, and a queue that fills up quickly.
func sdks(t *testing.T) []byte {
	c := harness.Start(t, "testdata/sdks.yaml", harness.Options{})
	post := func(path, event string) int {
		// The receiver has the address of OTLP over gRPC.
		status, _ := harness.Post("http://"+c.OTLPGRPC+path, "application/json", "", []byte(`{"api_key":"sdk-key","events":[`+event+`]}`))
		return status
	}
	// A member that is not a field, and an operator that Amplitude ignores.
	require.Equal(t, http.StatusOK, post("/2/httpapi", `{"event_type":"e","user_id":"user-1","shade":"red","user_properties":{"$rotate":{"a":1}}}`))
	require.Equal(t, http.StatusBadRequest, post("/", `{"event_type":"e","user_id":"user-1"}`))
	require.Eventually(t, func() bool {
		return post("/2/httpapi", `{"event_type":"e","user_id":"user-1"}`) == http.StatusServiceUnavailable
	}, wait, 20*time.Millisecond)
	return c.Scrape(t)
}

// checkMetrics checks a scrape with promtool. The Collector's names deliberately have no suffix for the type; every
// other remark of promtool is an error.
func checkMetrics(t *testing.T, scrape []byte) {
	t.Helper()
	out, _ := promtool(t, scrape, "check", "metrics") // its exit status does not distinguish remarks from errors
	for line := range strings.Lines(out) {
		assert.Regexp(t, `counter metrics should have "_total" suffix`, line)
	}
}

var (
	sample = regexp.MustCompile(`^([a-z_]+)(?:\{(.*)\})? [^ ]+$`)
	label  = regexp.MustCompile(`([a-z_]+)="((?:[^"\\]|\\.)*)"`)
)

// parse returns every metric, label and value of the scrapes.
func parse(t *testing.T, scrapes [][]byte) map[operations.Use]bool {
	t.Helper()
	found := map[operations.Use]bool{}
	for _, scrape := range scrapes {
		for line := range bytes.Lines(scrape) {
			if bytes.HasPrefix(line, []byte("#")) {
				continue
			}
			match := sample.FindSubmatch(bytes.TrimSpace(line))
			require.NotNil(t, match, "%s", line)
			name := string(match[1])
			found[operations.Use{Metric: name}] = true
			for _, pair := range label.FindAllSubmatch(match[2], -1) {
				found[operations.Use{Metric: name, Label: string(pair[1])}] = true
				found[operations.Use{Metric: name, Label: string(pair[1]), Value: string(pair[2])}] = true
			}
		}
	}
	return found
}
