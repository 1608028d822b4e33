// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudeexperimentprocessor

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/plog"
)

// variantsOf returns the variants of exposures, "" for none.
func variantsOf(out []plog.LogRecord) []string {
	variants := []string{}
	for _, r := range out {
		value, _ := r.Attributes().Get("[Experiment] Variant")
		variants = append(variants, value.AsString())
	}
	return variants
}

// TestNewerNameDecides: if an evaluation arrives under both names of the conventions, the newer one counts, in any
// order.
func TestNewerNameDecides(t *testing.T) {
	older := evaluated(attrs{"feature_flag.result.variant": nil, "feature_flag.variant": "one-page-layout"})
	for _, tc := range []struct {
		name         string
		newer, older attrs
		want         []string
		superseded   int
	}{
		{"both exposures", evaluated(attrs{"feature_flag.result.reason": "split"}), older, []string{"on"}, 1},
		{"the newer is not an exposure", evaluated(attrs{"feature_flag.result.reason": "static"}), older, []string{}, 1},
		{"the newer failed", evaluated(attrs{"error.type": "general"}), older, []string{}, 1},
		{"the newer has no id", evaluated(attrs{"feature_flag.context.id": nil}), older, []string{"one-page-layout"}, 0},
		{"of another user", evaluated(attrs{"feature_flag.context.id": "user-67890"}), older, []string{"on", "one-page-layout"}, 0},
		{"of another flag", evaluated(attrs{"feature_flag.key": "other"}), older, []string{"on", "one-page-layout"}, 0},
		{"of one device", override(evaluated(nil), attrs{"feature_flag.context.id": nil, "device.id": "device-1"}), override(evaluated(attrs{"feature_flag.result.variant": "x"}), attrs{"feature_flag.context.id": nil, "device.id": "device-1"}), []string{"on"}, 1},
	} {
		for _, newerFirst := range []bool{true, false} {
			t.Run(tc.name, func(t *testing.T) {
				p := start(t, configOf(t, "{}"), nil)
				ld := plog.NewLogs()
				if newerFirst {
					record(t, ld, evaluationEvent, tc.newer)
				}
				record(t, ld, "feature_flag", tc.older)
				if !newerFirst {
					record(t, ld, evaluationEvent, tc.newer)
				}
				assert.ElementsMatch(t, tc.want, variantsOf(p.send(t, ld)))
				assert.Equal(t, tc.superseded, p.counter(t, "otelcol_processor_amplitude_experiment_skipped", "reason", "superseded"))
			})
		}
	}
	t.Run("older alone", func(t *testing.T) {
		p := start(t, configOf(t, "{}"), nil)
		assert.Equal(t, []string{"one-page-layout"}, variantsOf(p.send(t, batch(t, "feature_flag", older))))
	})
}

// TestNewerNameDecidesAcrossBatches: span events and log records arrive in separate batches.
func TestNewerNameDecidesAcrossBatches(t *testing.T) {
	now := time.UnixMilli(testTime)
	p, sink, _ := logged(t, "dedup: {enabled: false}")
	p.now = func() time.Time { return now }
	send := func(event, user, variant string) []string {
		sink.Reset()
		require.NoError(t, p.ConsumeLogs(t.Context(), batch(t, event, evaluated(attrs{"feature_flag.context.id": user, "feature_flag.result.variant": variant}))))
		variants := []string{}
		for _, ld := range sink.AllLogs() {
			variants = append(variants, variantsOf(recordsOf(ld))...)
		}
		return variants
	}
	require.Equal(t, []string{"old"}, send("feature_flag", "user-00001", "old"), "nothing is known about the newer name yet")
	require.Equal(t, []string{"new"}, send(evaluationEvent, "user-00002", "new"))
	assert.Empty(t, send("feature_flag", "user-00002", "old"))
	assert.Equal(t, []string{"old"}, send("feature_flag", "user-00003", "old"))
	now = now.Add(9 * time.Minute)
	assert.Empty(t, send("feature_flag", "user-00002", "old"))
	now = now.Add(21 * time.Minute)
	assert.Equal(t, []string{"old"}, send("feature_flag", "user-00002", "old"), "it was long ago")
}

// TestEvaluationsWithoutReason: they count, and once an hour the log explains what that means for feature switches.
func TestEvaluationsWithoutReason(t *testing.T) {
	p, _, logs := logged(t, "{}")
	now := time.Now()
	p.reasons.now = func() time.Time { return now }
	for _, more := range []attrs{nil, {"feature_flag.result.reason": "split"}, {"feature_flag.result.reason.inExperiment": true}} {
		require.NoError(t, p.ConsumeLogs(t.Context(), batch(t, "feature_flag", evaluated(more))))
	}
	require.Equal(t, 1, logs.Len())
	line := logs.All()[0].ContextMap()
	assert.Equal(t, int64(1), line["count"])
	assert.Equal(t, "my-flag", line["example_flag"])
	now = now.Add(remindEvery - time.Second)
	require.NoError(t, p.ConsumeLogs(t.Context(), batch(t, "feature_flag", evaluated(nil))))
	require.Equal(t, 1, logs.Len())
	now = now.Add(time.Second)
	require.NoError(t, p.ConsumeLogs(t.Context(), batch(t, "feature_flag", evaluated(nil))))
	assert.Equal(t, 2, logs.Len())
}

// TestTwoProcessorsInARow: each makes events from the names that it is configured with, and leaves those of the other
// unchanged.
func TestTwoProcessorsInARow(t *testing.T) {
	assignments := start(t, configOf(t, "{exposure: {event_names: []}, evaluation: {enabled: false}, set_user_properties: false}"), nil)
	exposures := start(t, configOf(t, "assignment: {event_names: []}"), nil)
	ld := plog.NewLogs()
	record(t, ld, "$assignment", attrs{"user_id": "user-12345", "variants": attrs{"a": "on", "b": "off"}})
	record(t, ld, "$exposure", exposure(nil))
	between := plog.NewLogs()
	around := between.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty()
	first := assignments.send(t, ld)
	require.Len(t, first, 2)
	for _, r := range first {
		r.CopyTo(around.LogRecords().AppendEmpty())
	}
	out := exposures.send(t, between)
	require.Len(t, out, 2)
	slices.SortFunc(out, func(a, b plog.LogRecord) int { return len(a.EventName()) - len(b.EventName()) })
	assert.Equal(t, exposed("my-flag", "on", nil), fold(out[0]))
	assert.Equal(t, fold(first[0]), fold(out[1]), "no property that the first processor must not set")
	assert.Equal(t, insertIDOf(first[0]), insertIDOf(out[1]))
}
