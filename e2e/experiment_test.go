// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/otelcol-amplitude/otelcol-amplitude/e2e/harness"
)

// experimentRow is something that Amplitude Experiment's SDKs or site do, and what a user's records become.
type experimentRow struct {
	name, pipeline string
	// behavior is changed in the sandbox before the row, and back after it.
	behavior, back string
	// event and records are the name and the attributes of records; the user of the row is added.
	event   string
	records []map[string]any
	// user is the id in the events, if it is not the row's.
	user string
	// types are the event types that are stored, in order of time; properties the user's experiment properties at the end.
	types      []string
	properties map[string]any
	// check checks what is stored.
	check func(t *testing.T, c *harness.Collector, events []harness.Event)
}

func ofEvaluate(key string, metadata map[string]any) map[string]any {
	return map[string]any{"key": key, "value": key, "metadata": metadata}
}

var experimentRows = []experimentRow{
	{
		name: "evaluate() becomes exposures", pipeline: "exposures", event: "$assignment",
		records: []map[string]any{{"variants": map[string]any{
			"checkout": ofEvaluate("one-page", map[string]any{"experimentKey": "run-2"}),
			"search":   ofEvaluate("off", map[string]any{"default": true}),
			"slots":    ofEvaluate("slot-1", map[string]any{"flagType": "mutual-exclusion-group"}),
			"quiet":    ofEvaluate("on", map[string]any{"trackExposure": false}),
		}}},
		types:      []string{"[Experiment] Exposure", "[Experiment] Exposure"},
		properties: map[string]any{"[Experiment] checkout": "one-page"},
		check: func(t *testing.T, c *harness.Collector, events []harness.Event) {
			for _, e := range events {
				if p := e["event_properties"].(map[string]any); p["[Experiment] Flag Key"] == "checkout" {
					assert.Equal(t, map[string]any{
						"[Experiment] Flag Key": "checkout", "[Experiment] Variant": "one-page", "[Experiment] Experiment Key": "run-2",
						"metadata": map[string]any{"experimentKey": "run-2"},
					}, p)
				}
			}
			assert.Positive(t, c.Metric(t, "otelcol_processor_amplitude_experiment_extra_events", `processor="amplitude_experiment/exposures"`))
		},
	},
	{
		name: "evaluate() twice, one flag changed", pipeline: "exposures", event: "$assignment",
		records: []map[string]any{
			{"variants": map[string]any{"a": "on", "b": "on"}},
			{"variants": map[string]any{"a": "on", "b": "other"}},
		},
		types:      []string{"[Experiment] Exposure", "[Experiment] Exposure", "[Experiment] Exposure"},
		properties: map[string]any{"[Experiment] a": "on", "[Experiment] b": "other"},
		check: func(t *testing.T, c *harness.Collector, _ []harness.Event) {
			assert.InDelta(t, 1, c.Metric(t, "otelcol_processor_amplitude_experiment_extra_repeats", `processor="amplitude_experiment/exposures"`), 0)
		},
	},
	{
		name: "a key per kind: the assignment sets nothing, the exposure does", pipeline: "both", event: "$assignment",
		records:    []map[string]any{{"variants": map[string]any{"a": "on", "b": "off"}}},
		types:      []string{"[Experiment] Assignment", "[Experiment] Exposure"},
		properties: map[string]any{"[Experiment] a": "on"},
		check: func(t *testing.T, _ *harness.Collector, events []harness.Event) {
			for _, e := range events {
				if e.Text("event_type") == "[Experiment] Assignment" {
					assert.NotContains(t, e, "user_properties")
				}
			}
		},
	},
	{
		name: "impressions are off", pipeline: "standard", event: "$impression",
		records: []map[string]any{{"flag_key": "hero", "variant": "v1"}}, types: []string{},
	},
	{
		name: "each impression counts and sets nothing", pipeline: "impressions", event: "$impression",
		records: []map[string]any{{"flag_key": "hero", "variant": "v1"}, {"flag_key": "hero", "variant": "v1"}},
		types:   []string{"[Experiment] Impression", "[Experiment] Impression"},
	},
	{
		name: "the delivery method web is an impression, and a custom event has its name", pipeline: "impressions", event: "$exposure",
		records: []map[string]any{
			{"flag_key": "hero", "variant": "v1", "metadata": map[string]any{"deliveryMethod": "web"}},
			{"flag_key": "banner", "variant": "v2", "metadata": map[string]any{"exposureEvent": "Hero Shown"}},
		},
		types:      []string{"[Experiment] Impression", "Hero Shown"},
		properties: map[string]any{"[Experiment] banner": "v2"},
		check: func(t *testing.T, c *harness.Collector, _ []harness.Event) {
			assert.Contains(t, sandboxText(t, c, http.MethodGet, "/_sandbox/events?verdict=stored", ""), "an exposure with a custom event name counts toward event volume")
		},
	},
	{
		name: "a raw $exposure without a variant is an event", pipeline: "raw", event: "$exposure",
		records:    []map[string]any{{"flag_key": "f", "variant": "on"}, {"flag_key": "g", "variant": "on"}, {"flag_key": "f"}},
		types:      []string{"[Experiment] Exposure", "[Experiment] Exposure", "[Experiment] Exposure"},
		properties: map[string]any{"[Experiment] g": "on"},
	},
	{
		name: "and none where Amplitude only unsets", pipeline: "raw", event: "$exposure",
		behavior: `{"unassigned_exposure": "unset"}`, back: `{"unassigned_exposure": "event"}`,
		records:    []map[string]any{{"flag_key": "f", "variant": "on"}, {"flag_key": "f"}},
		types:      []string{"[Experiment] Exposure"},
		properties: map[string]any{},
	},
	{
		name: "transformed, it unsets the property in either case", pipeline: "standard", event: "$exposure",
		behavior: `{"unassigned_exposure": "unset"}`, back: `{"unassigned_exposure": "event"}`,
		records:    []map[string]any{{"flag_key": "f", "variant": "on"}, {"flag_key": "f"}},
		types:      []string{"[Experiment] Exposure", "[Experiment] Exposure"},
		properties: map[string]any{},
	},
	{
		name: "a quoted id is used, and suspect", pipeline: "standard", event: "$exposure", user: `"quoted-1"`,
		records:    []map[string]any{{"flag_key": "f", "variant": "on", "user_id": `"quoted-1"`}},
		types:      []string{"[Experiment] Exposure"},
		properties: map[string]any{"[Experiment] f": "on"},
		check: func(t *testing.T, c *harness.Collector, _ []harness.Event) {
			// That of the row, and that of the marker after it.
			assert.InDelta(t, 2, c.Metric(t, "otelcol_processor_amplitude_experiment_ids_suspect", `reason="quoted"`, `amplitude_experiment/standard`), 0)
		},
	},
	{
		name: "quotes are removed if configured", pipeline: "unquote", event: "$exposure", user: "quoted-2",
		records:    []map[string]any{{"flag_key": "f", "variant": "on", "user_id": `"quoted-2"`}},
		types:      []string{"[Experiment] Exposure"},
		properties: map[string]any{"[Experiment] f": "on"},
	},
	{
		name: "a client's ExposureTrackingProvider", pipeline: "standard", event: "$exposure",
		records: []map[string]any{
			{"flag_key": "f", "variant": "on", "metadata": map[string]any{"segmentName": "all"}, "device.id": "device-of-client"},
			{"flag_key": "g", "metadata": map[string]any{"default": true}, "device.id": "device-of-client"}, // a default variant is sent without it
		},
		types:      []string{"[Experiment] Exposure", "[Experiment] Exposure"},
		properties: map[string]any{"[Experiment] f": "on"},
	},
	{
		name: "more experiment properties than a project may have", pipeline: "standard", event: "$assignment",
		records:    []map[string]any{{"variants": map[string]any{"p1": "on", "p2": "on", "p3": "on", "p4": "on"}}},
		types:      []string{"[Experiment] Assignment"},
		properties: map[string]any{"[Experiment] p1": "on", "[Experiment] p2": "on", "[Experiment] p3": "on", "[Experiment] p4": "on"},
		check: func(t *testing.T, c *harness.Collector, _ []harness.Event) {
			assert.Contains(t, sandboxText(t, c, http.MethodGet, "/_sandbox/events?verdict=stored", ""), "is beyond the 3 experiment user properties of a project")
		},
	},
}

// TestExperiment does what the SDKs and the site of Amplitude Experiment do, through one Collector.
func TestExperiment(t *testing.T) {
	c := harness.Start(t, "testdata/experiment.yaml", harness.Options{})
	start := time.Now()
	for i, row := range experimentRows {
		t.Run(row.name, func(t *testing.T) {
			user := "row-" + strings.Repeat("x", 5) + string(rune('a'+i))
			if row.behavior != "" {
				sandboxText(t, c, http.MethodPut, "/_sandbox/config", row.behavior)
			}
			for n, attributes := range row.records {
				logs := plog.NewLogs()
				resource := logs.ResourceLogs().AppendEmpty()
				resource.Resource().Attributes().PutStr("pipeline", row.pipeline)
				record := resource.ScopeLogs().AppendEmpty().LogRecords().AppendEmpty()
				record.SetEventName(row.event)
				record.SetTimestamp(pcommon.NewTimestampFromTime(start.Add(time.Duration(n-len(row.records)) * time.Second)))
				require.NoError(t, record.Attributes().FromRaw(attributes))
				if _, own := attributes["user_id"]; !own {
					record.Attributes().PutStr("user_id", user)
				}
				c.SendLogs(t, logs)
			}
			if row.user != "" {
				user = row.user
			}
			// A later event of the same user shows that the rest has arrived.
			marker := plog.NewLogs()
			marker.ResourceLogs().AppendEmpty().Resource().Attributes().PutStr("pipeline", row.pipeline)
			last := marker.ResourceLogs().At(0).ScopeLogs().AppendEmpty().LogRecords().AppendEmpty()
			last.SetEventName("$exposure")
			last.SetTimestamp(pcommon.NewTimestampFromTime(start))
			require.NoError(t, last.Attributes().FromRaw(map[string]any{"flag_key": "marker", "variant": "seen", "user_id": user}))
			c.SendLogs(t, marker)
			var events []harness.Event
			var types []string
			require.Eventually(t, func() bool {
				events, types = nil, []string{}
				marked := false
				for _, e := range c.Events(t) {
					if properties, _ := e["event_properties"].(map[string]any); e.Text("user_id") == user {
						if properties["[Experiment] Flag Key"] == "marker" {
							marked = true
							continue
						}
						events, types = append(events, e), append(types, e.Text("event_type"))
					}
				}
				return marked
			}, patience, 20*time.Millisecond, "the marker behind the row")
			assert.ElementsMatch(t, row.types, types)
			if row.properties != nil {
				got := c.UserProperties(t, user)
				delete(got, "[Experiment] marker")
				assert.Equal(t, row.properties, got)
			}
			if row.check != nil {
				row.check(t, c, events)
			}
			if row.back != "" {
				sandboxText(t, c, http.MethodPut, "/_sandbox/config", row.back)
			}
		})
	}
	t.Run("a server that fails for some events", func(t *testing.T) {
		c.SandboxPost(t, "/_sandbox/faults", map[string]any{"action": "status", "code": 500, "times": 2, "match": map[string]any{"contains": "row-of-faults"}})
		logs := exposures(0, 1)
		logs.ResourceLogs().At(0).Resource().Attributes().PutStr("pipeline", "standard")
		logs.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().At(0).Attributes().PutStr("user_id", "row-of-faults")
		c.SendLogs(t, logs)
		require.Eventually(t, func() bool {
			for _, e := range c.Events(t) {
				if e.Text("user_id") == "row-of-faults" {
					return true
				}
			}
			return false
		}, patience, 20*time.Millisecond)
		assert.Contains(t, sandboxText(t, c, http.MethodGet, "/_sandbox/requests", ""), `"status":500`)
	})
	t.Run("read back by the Export API", func(t *testing.T) {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+c.Sandbox+"/api/2/export?start="+
			start.UTC().Format("20060102T15")+"&end="+time.Now().UTC().Format("20060102T15"), nil)
		require.NoError(t, err)
		request.SetBasicAuth("e2e-key", "secret")
		response, err := http.DefaultClient.Do(request)
		require.NoError(t, err)
		defer func() { _ = response.Body.Close() }()
		body, err := io.ReadAll(response.Body)
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, response.StatusCode, string(body))
		archive, err := zip.NewReader(bytes.NewReader(body), int64(len(body)))
		require.NoError(t, err)
		assert.NotEmpty(t, archive.File)
	})
	t.Run("a path that is not modeled says so", func(t *testing.T) {
		response, err := http.Post("http://"+c.Sandbox+"/usermap", "application/json", strings.NewReader("{}"))
		require.NoError(t, err)
		defer func() { _ = response.Body.Close() }()
		assert.Equal(t, http.StatusNotImplemented, response.StatusCode)
	})
}

// sandboxText calls the sandbox, and returns the text of a successful answer.
func sandboxText(t *testing.T, c *harness.Collector, method, path, body string) string {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, "http://"+c.Sandbox+path, strings.NewReader(body))
	require.NoError(t, err)
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	require.Equal(t, 2, response.StatusCode/100, "%s answered %d: %s", path, response.StatusCode, text)
	var compact bytes.Buffer
	if json.Compact(&compact, text) == nil {
		return compact.String()
	}
	return string(text)
}
