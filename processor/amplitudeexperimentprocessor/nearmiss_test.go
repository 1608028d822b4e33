// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudeexperimentprocessor

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/processor/processortest"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/printable"
	"github.com/otelcol-amplitude/otelcol-amplitude/processor/amplitudeexperimentprocessor/internal/metadata"
)

func TestNearMisses(t *testing.T) {
	const nothing = ""
	for _, tc := range []struct {
		name   string
		config string
		event  string
		record attrs
		body   any
		// reason is what is counted, meant what is suggested.
		reason, meant string
	}{
		{name: "flag key alone", record: attrs{"feature_flag.key": "f"}, reason: "no_event_name", meant: evaluationEvent},
		{name: "exposure's flag key alone", record: attrs{"flag_key": "f"}, reason: "no_event_name", meant: "$exposure"},
		{name: "Amplitude's property alone", record: attrs{"[Experiment] Flag Key": "f"}, reason: "no_event_name", meant: "$exposure"},
		{name: "flag key in a map body", body: attrs{"feature_flag.key": "f"}, reason: "no_event_name", meant: evaluationEvent},
		{name: "the name as the body", body: "$exposure", reason: "no_event_name", meant: "$exposure"},
		{name: "configured flag key", config: "evaluation: {flag_key: [flag.id], event_names: [flag.seen]}", record: attrs{"flag.id": "f"}, reason: "no_event_name", meant: "flag.seen"},
		{name: "evaluations are disabled", config: "evaluation: {enabled: false}", record: attrs{"feature_flag.key": "f"}, meant: nothing},

		{name: "another ending", event: "feature_flag.evaluated", reason: "similar_event_name", meant: evaluationEvent},
		{name: "an underscore for the dot", event: "feature_flag_evaluation", reason: "similar_event_name", meant: evaluationEvent},
		{name: "a dot for the underscore", event: "feature.flag", reason: "similar_event_name", meant: "feature_flag"},
		{name: "other case", event: "[experiment] exposure", reason: "similar_event_name", meant: "[Experiment] Exposure"},
		{name: "no dollar sign", event: "exposure", reason: "similar_event_name", meant: "$exposure"},
		{name: "letters swapped", event: "$assigment", reason: "similar_event_name", meant: "$assignment"},
		{name: "white space", event: " $exposure ", reason: "similar_event_name", meant: "$exposure"},
		{name: "in an attribute", record: attrs{"event.name": "$exposures"}, reason: "similar_event_name", meant: "$exposure"},

		{name: "an ordinary line", body: "cart rendered", record: attrs{"http.request.method": "GET"}, meant: nothing},
		{name: "another event", event: "browser.web_vital", meant: nothing},
		{name: "another event about a flag", event: "checkout.completed", record: attrs{"feature_flag.key": "f"}, meant: nothing},
		{name: "an identify", event: "$identify", meant: nothing},
		{name: "nearly an identify", event: "identify", meant: nothing},
		{name: "a short name", event: "flag", meant: nothing},
		{name: "a long name", event: "feature_flag.evaluation" + strings.Repeat(".", 5000), meant: nothing},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if tc.config == "" {
				tc.config = "{}"
			}
			made := func() plog.Logs {
				ld := batch(t, tc.event, tc.record)
				r := recordsOf(ld)[0]
				require.NoError(t, r.Body().FromRaw(tc.body))
				return ld
			}
			p, sink, logs := logged(t, tc.config)
			require.NoError(t, p.ConsumeLogs(t.Context(), made()))
			assert.Equal(t, []plog.Logs{made()}, sink.AllLogs(), "it passes unchanged")
			counted := startExplained(t, configOf(t, tc.config), time.Now)
			why := counted.explain(t, made())[0].Rules[0].Because
			assert.Equal(t, 1, counted.outcome(t, "passed"))

			if tc.meant == nothing {
				assert.Empty(t, logs.All())
				assert.Zero(t, counted.counter(t, "otelcol_processor_amplitude_experiment_near_misses", "", ""))
				assert.NotContains(t, why, "did you mean")
				return
			}
			require.Len(t, logs.All(), 1)
			fields := logs.All()[0].ContextMap()
			assert.Equal(t, tc.reason, fields["reason"])
			assert.Equal(t, tc.meant, fields["did_you_mean"])
			assert.Equal(t, 1, counted.counter(t, "otelcol_processor_amplitude_experiment_near_misses", "reason", tc.reason))
			if tc.body == nil {
				assert.Contains(t, why, fmt.Sprintf("did you mean %q?", tc.meant))
			}
		})
	}
}

// TestForeignTextIsSafeInTheLog: names from applications are truncated, and cannot control a terminal.
func TestForeignTextIsSafeInTheLog(t *testing.T) {
	p, _, logs := logged(t, "exposure: {event_names: [$exposure, \"$ex\\u001b[2Jposure\"]}")
	ld := batch(t, "$ex\x1b[2Jposure\u202e", nil)
	ld.ResourceLogs().At(0).Resource().Attributes().PutStr("service.name", "check\x1b[31mout\n"+strings.Repeat("é", 5000))
	require.NoError(t, p.ConsumeLogs(t.Context(), ld))
	require.Len(t, logs.All(), 1)
	fields := logs.All()[0].ContextMap()
	assert.Equal(t, `$ex\x1b[2Jposure\u202e`, fields["found"])
	service := fields["service"].(string)
	assert.True(t, strings.HasPrefix(service, `check\x1b[31mout\n`), service)
	assert.True(t, strings.HasSuffix(service, "é…"), service)
	assert.Less(t, len(service), 2*printable.MaxBytes)
}

// TestForeignRecordsAllocateNothing: records that pass cause no allocations in a batch.
func TestForeignRecordsAllocateNothing(t *testing.T) {
	ld := plog.NewLogs()
	record(t, ld, "", attrs{"http.request.method": "GET", "event.domain": "browser"}).Body().SetStr("cart rendered")
	record(t, ld, "browser.web_vital", attrs{"name": "lcp"})
	record(t, ld, "", nil).Body().SetEmptyMap().PutStr("message", "ready")
	p, err := NewFactory().CreateLogs(t.Context(), processortest.NewNopSettings(metadata.Type), configOf(t, "{}"), consumertest.NewNop())
	require.NoError(t, err)
	require.NoError(t, p.Start(t.Context(), componenttest.NewNopHost()))
	t.Cleanup(func() { require.NoError(t, p.Shutdown(t.Context())) })
	without := testing.AllocsPerRun(100, func() { require.NoError(t, p.ConsumeLogs(t.Context(), ld)) })
	one := plog.NewLogs()
	record(t, one, "", attrs{"http.request.method": "GET"})
	assert.InDelta(t, testing.AllocsPerRun(100, func() { require.NoError(t, p.ConsumeLogs(t.Context(), one)) }), without, 0,
		"what a batch allocates does not grow with its foreign records")
}
