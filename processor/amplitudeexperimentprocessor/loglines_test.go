// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudeexperimentprocessor

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/experiment"
)

// reasonCase is a record that is not recognized, skipped or rejected for the reason in its name.
type reasonCase struct {
	reason string
	config string
	event  string
	record attrs
	// before is sent first; with, which has another event name, is sent in one batch with the record.
	before attrs
	// twice sends the record twice in one batch.
	twice bool
	// resource has these attributes.
	resource attrs
	with     attrs
	withOf   string
}

var skipCases = func() []reasonCase {
	cases := []reasonCase{
		{reason: "error_type", event: evaluationEvent, record: evaluated(attrs{"error.type": "timeout"})},
		{reason: "other_reason", config: "evaluation: {skip_reasons: [holdback]}", event: evaluationEvent, record: evaluated(attrs{"feature_flag.result.reason": "HOLDBACK"})},
		{reason: "no_flag_key", event: evaluationEvent, record: evaluated(attrs{"feature_flag.key": ""})},
		{reason: "no_variant", event: evaluationEvent, record: evaluated(attrs{"feature_flag.result.variant": ""})},
		{reason: "no_flags", event: "$assignment", record: attrs{"user_id": "user-12345"}},
		{reason: "track_exposure", event: "$exposure", record: exposure(attrs{"metadata": attrs{"trackExposure": false}})},
		{reason: "unassigned", config: "exposure: {unassigned: drop}", event: "$exposure", record: exposure(attrs{"variant": "off"})},
		{reason: "superseded", event: "feature_flag", record: evaluated(nil), with: evaluated(attrs{"feature_flag.result.reason": "split"}), withOf: evaluationEvent},
		{reason: "no_exposure", config: "assignment: {emit: exposures}", event: "$assignment", record: attrs{"user_id": "user-12345", "variants": attrs{"my-flag": "off"}}},
		{reason: "nothing_to_set", config: "{exposure: {unassigned: identify}, set_user_properties: false}", event: "$exposure", record: exposure(attrs{"variant": "off"})},
	}
	const outcomes = "outcomes: {events: [order.placed]}"
	cases = append(cases,
		reasonCase{reason: "unlisted_outcome", config: outcomes, event: "feature_flag.track", record: attrs{"user_id": "user-12345", "feature_flag.event_name": "page.viewed"}},
		reasonCase{reason: "no_outcome_name", config: outcomes, event: "feature_flag.track", record: attrs{"user_id": "user-12345"}},
	)
	for reason := experiment.SkipError; reason < experiment.SkipOtherReason; reason++ {
		cases = append(cases, reasonCase{reason: reason.String(), event: evaluationEvent, record: evaluated(attrs{"feature_flag.result.reason": reason.String()})})
	}
	return cases
}()

var rejectCases = []reasonCase{
	{reason: "no_id", event: "$exposure", record: attrs{"flag_key": "my-flag", "variant": "on"}},
	{reason: "empty_id", event: "$exposure", record: exposure(attrs{"user_id": " "})},
	{reason: "placeholder_id", event: "$exposure", record: exposure(attrs{"user_id": "null"})},
	{reason: "short_id", event: "$exposure", record: exposure(attrs{"user_id": "abc"})},
	{reason: "long_id", event: "$exposure", record: exposure(attrs{"user_id": strings.Repeat("x", 2000)})},
	{reason: "not_an_id", event: "$exposure", record: exposure(attrs{"user_id": true})},
	{reason: "no_flag_key", event: "$exposure", record: exposure(attrs{"flag_key": ""})},
	{reason: "long_flag_key", event: "$exposure", record: exposure(attrs{"flag_key": strings.Repeat("long\x1b", 400)})},
	{reason: "bad_variant", event: "$exposure", record: exposure(attrs{"variant": attrs{"color": "red"}})},
	{reason: "bad_metadata", event: "$exposure", record: exposure(attrs{"metadata": "[object Object]"})},
	{reason: "bad_variants", event: "$assignment", record: attrs{"user_id": "user-12345", "variants": "my-flag=on"}},
	{reason: "bad_groups", event: "$exposure", record: exposure(attrs{"groups": "acme"})},
	{reason: "property_limit", config: "max_experiment_properties: 1", event: "$exposure", record: exposure(nil), before: exposure(attrs{"flag_key": "first"})},
	{reason: "flag_limit", config: "limits: {flags: 1}", event: "$assignment", record: attrs{"user_id": "user-12345", "variants": attrs{"one": "on", "two": "on"}}},
	{reason: "subject_limit", config: "limits: {subject_records: 1}", event: "$exposure", record: exposure(nil), twice: true},
	{reason: "inherited_limit", config: "limits: {inherited_mib: 1}", event: "$assignment", record: attrs{"user_id": "user-12345"}, resource: attrs{"variants": manyFlags(6000)}},
	{reason: "outcome_limit", config: "outcomes: {events: [order.placed], max_per_minute: 1}", event: "order.placed", record: attrs{"user_id": "user-12345"}, twice: true},
}

// manyFlags returns a map of n flags.
func manyFlags(n int) attrs {
	flags := attrs{}
	for i := range n {
		flags[fmt.Sprintf("flag-%05d", i)] = "on"
	}
	return flags
}

var nearMissCases = []reasonCase{
	{reason: "no_event_name", record: evaluated(nil)},
	{reason: "similar_event_name", event: "feature_flag.evaluated", record: evaluated(nil)},
}

// TestLogLines: what the log says about each reason that a record is skipped, rejected or not recognized, in
// testdata/log-lines.txt. No reason is silent.
func TestLogLines(t *testing.T) {
	var written strings.Builder
	for _, list := range []struct {
		title string
		words []string
		cases []reasonCase
	}{
		{"skipped", skipWords, skipCases},
		{"rejected", rejectWords, rejectCases},
		{"near misses", nearMissWords, nearMissCases},
	} {
		fmt.Fprintf(&written, "# %s\n", list.title)
		byReason := map[string]reasonCase{}
		for _, one := range list.cases {
			byReason[one.reason] = one
		}
		for _, word := range list.words {
			one, ok := byReason[word]
			require.True(t, ok, "no record is %s: %s", list.title, word)
			if one.config == "" {
				one.config = "{}"
			}
			p, _, logs := logged(t, one.config)
			logs.TakeAll() // what is logged at startup
			if one.before != nil {
				require.NoError(t, p.ConsumeLogs(t.Context(), batch(t, one.event, one.before)))
			}
			ld := batch(t, one.event, one.record)
			if one.twice {
				record(t, ld, one.event, one.record)
			}
			require.NoError(t, ld.ResourceLogs().At(0).Resource().Attributes().FromRaw(one.resource))
			if one.with != nil {
				record(t, ld, one.withOf, one.with)
			}
			ld.ResourceLogs().At(0).Resource().Attributes().PutStr("service.name", "checkout")
			require.NoError(t, p.ConsumeLogs(t.Context(), ld))
			require.Len(t, logs.All(), 1, word)
			line := logs.All()[0]
			require.Equal(t, word, line.ContextMap()["reason"])
			fmt.Fprintf(&written, "\n%s: %s\n", line.Level, line.Message)
			for _, field := range line.Context {
				fmt.Fprintf(&written, "    %s: %v\n", field.Key, line.ContextMap()[field.Key])
			}
		}
		written.WriteString("\n")
	}
	const golden = "log-lines.txt"
	if *update {
		require.NoError(t, os.WriteFile(filepath.Join("testdata", golden), []byte(written.String()), 0o600))
	}
	want, err := os.ReadFile(filepath.Join("testdata", golden))
	require.NoError(t, err)
	assert.Equal(t, string(want), written.String(), "run the test with -update and look at the difference")
}

// TestLogIsNotFlooded: each reason is logged immediately, then once a minute with the count.
func TestLogIsNotFlooded(t *testing.T) {
	for _, one := range []reasonCase{skipCases[0], rejectCases[0], nearMissCases[0]} {
		t.Run(one.reason, func(t *testing.T) {
			p, _, logs := logged(t, "{}")
			now := time.Now()
			p.reasons.now = func() time.Time { return now }
			send := func(n int) {
				ld := plog.NewLogs()
				for range n {
					record(t, ld, one.event, one.record)
				}
				require.NoError(t, p.ConsumeLogs(t.Context(), ld))
			}
			count := func() int64 { return logs.All()[logs.Len()-1].ContextMap()["count"].(int64) }
			send(1)
			require.Equal(t, 1, logs.Len())
			assert.Equal(t, int64(1), count())
			now = now.Add(logEvery - time.Nanosecond)
			send(2)
			send(3)
			require.Equal(t, 1, logs.Len(), "not within the minute")
			now = now.Add(time.Nanosecond)
			send(4)
			require.Equal(t, 2, logs.Len())
			assert.Equal(t, int64(9), count(), "including those not logged yet")
		})
	}
}
