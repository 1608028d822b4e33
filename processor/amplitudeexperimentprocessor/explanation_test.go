// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudeexperimentprocessor

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"pgregory.net/rapid"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/amplitude"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/experiment/explain"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/printable"
)

// explained is a processor that explains every decision.
type explained struct {
	*rig
	recorder *explain.Recorder
}

func startExplained(t *testing.T, cfg *Config, now func() time.Time) *explained {
	t.Helper()
	return &explained{
		rig:      startWith(t, NewFactoryWithOptions(WithClock(now), alike), componenttest.NewNopHost(), cfg),
		recorder: &explain.Recorder{History: explain.NewHistory()},
	}
}

// explain passes a batch through and returns the explanations of its records.
func (e *explained) explain(t *testing.T, ld plog.Logs) []*explain.Explanation {
	t.Helper()
	require.NoError(t, e.ConsumeLogs(explain.NewContext(t.Context(), e.recorder), ld))
	return e.recorder.Take()
}

// compareExplained gives the same batches to a processor that explains its decisions and to one that does not: the
// explanations must match the counts of the other, and the events its output. It returns the explanations.
func compareExplained(t *testing.T, cfg *Config, batches ...plog.Logs) []*explain.Explanation {
	t.Helper()
	// Records without a time get the arrival time, which is the same for both here. The records of the tests are older
	// than that, but not by more than the seven days for which they set properties.
	now := time.UnixMilli(testTime).Add(2 * 24 * time.Hour)
	clock := func() time.Time { return now }
	r := startWith(t, NewFactoryWithOptions(WithClock(clock), alike), componenttest.NewNopHost(), cfg)
	e := startExplained(t, cfg, clock)

	var all []*explain.Explanation
	for _, ld := range batches {
		explanations := e.explain(t, copyOf(ld))
		all = append(all, explanations...)

		// The extra events of a record follow those of its whole scope, so the order is compared without it.
		want := map[string]int{}
		for _, out := range r.send(t, ld) {
			want[encodeRecord(t, out)]++
		}
		got := map[string]int{}
		for _, x := range explanations {
			for _, e := range x.Events {
				if e.Sent {
					got[encodeRecord(t, e.Record)]++
				}
				if e.Identify != nil {
					got[encodeRecord(t, *e.Identify)]++
				}
			}
		}
		require.Equal(t, want, got)
	}
	counted := r.metrics(t)
	told := map[string]int{}
	for i, x := range all {
		assert.Equal(t, i+1, x.Record)
		told["records outcome "+x.Outcome]++
		if x.Reason != "" {
			told[x.Outcome+" reason "+x.Reason]++
		}
		for _, e := range x.Events {
			if e.Verdict == explain.VerdictLate {
				told["late"]++
			}
		}
		for _, f := range x.Flags {
			if f.LeftOut != "" {
				told["flags_left_out reason "+f.LeftOut]++
			}
		}
	}
	for metric, words := range map[string][]string{
		"records outcome": outcomeWords, "skipped reason": skipWords, "rejected reason": rejectWords, "flags_left_out reason": rejectWords,
	} {
		name, label, _ := strings.Cut(metric, " ")
		for _, word := range words {
			assert.Equal(t, counted.sum(name, label, word), told[metric+" "+word], "%s %s", metric, word)
		}
	}
	assert.Equal(t, counted.sum("late", "", ""), told["late"])
	for i := range all {
		checkFacts(t, all[i])
	}
	return all
}

// checkFacts compares the facts in an explanation with the resulting event.
func checkFacts(t *testing.T, x *explain.Explanation) {
	t.Helper()
	if x.Recognized.Shaped || len(x.Events) == 0 || x.Events[0].Verdict == "" || !x.Events[0].Sent {
		return
	}
	attributes := x.Events[0].Record.Attributes()
	read := map[string]string{}
	for _, fact := range x.Facts {
		assert.NotContains(t, read, fact.Name)
		read[fact.Name] = fact.Value
		assert.True(t, fact.From == nil || fact.LookedFor == nil)
	}
	for fact, names := range map[string][]string{
		"user_id":   {amplitude.AttrUserID},
		"device_id": {amplitude.AttrDeviceID},
		"flag_key":  {amplitude.PropertyFlagKey, amplitude.RawFlagKey},
	} {
		var told string
		for _, name := range names {
			if value, ok := attributes.Get(name); ok {
				told = printable.Text(value.AsString())
			}
		}
		if fact == "flag_key" && x.Recognized.As == "assignment" { // one of its flags
			assert.True(t, told == "" || slices.ContainsFunc(x.Flags, func(f explain.FlagResult) bool { return f.Key == told && f.LeftOut == "" }), told)
			continue
		}
		if told != "" {
			assert.Equal(t, told, read[fact], "%s of record %d", fact, x.Record)
		}
	}
	id, ok := attributes.Get(amplitude.AttrInsertID)
	require.True(t, ok)
	assert.Equal(t, id.Str(), x.Events[0].InsertID.Value)
	assert.Contains(t, id.Str(), x.Events[0].InsertID.Hash)
}

func encodeRecord(t *testing.T, record plog.LogRecord) string {
	t.Helper()
	ld := plog.NewLogs()
	record.CopyTo(ld.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords().AppendEmpty())
	return encode(t, ld)
}

// TestExplainOfCaptures: explanations of what real emitters sent match what the processor does.
func TestExplainOfCaptures(t *testing.T) {
	files, err := filepath.Glob(filepath.Join("testdata", "captures", "*"))
	require.NoError(t, err)
	var names []string
	for _, path := range files {
		if name := filepath.Base(path); !strings.HasSuffix(name, ".meta") && !strings.HasSuffix(name, ".notes.json") {
			names = append(names, name)
		}
	}
	require.Len(t, names, 15)
	for _, yaml := range []string{
		"{}",
		"identity: {min_id_length: 1}",
		"{identity: {min_id_length: 1, context_id_as: device_id}, dedup: {mode: unique_per_day}}",
		`{other_records: drop, event_properties: {include: ["*"]}, exposure: {wire: raw}, insert_id: {format: sdk}, dedup: {enabled: false}}`,
		"{max_experiment_properties: 2, dedup: {window: 1h, time_zone: Asia/Tokyo}, set_user_properties: false}",
		"{evaluation: {off_variants: [blue, control, on], prefer_value: true}, exposure: {unassigned: identify}}",
	} {
		t.Run(yaml, func(t *testing.T) {
			batches := make([]plog.Logs, len(names))
			for i, name := range names {
				batches[i] = capture(t, name)
			}
			compareExplained(t, configOf(t, yaml), batches...)
		})
	}
}

// TestExplainOfEmitters does so for each family of emitters, with its configuration.
func TestExplainOfEmitters(t *testing.T) {
	configs, err := filepath.Glob(filepath.Join(emitters, "*.yaml"))
	require.NoError(t, err)
	require.NotEmpty(t, configs)
	for _, path := range configs {
		family := strings.TrimSuffix(filepath.Base(path), ".yaml")
		t.Run(family, func(t *testing.T) {
			cfg, ld := emitter(t, family)
			compareExplained(t, cfg, ld)
		})
	}
}

// TestExplainOfEvents does so for the table of records and events, and for its output, as a gateway gets it from an
// edge Collector.
func TestExplainOfEvents(t *testing.T) {
	for _, tc := range slices.Concat(eventCases, shapeCases) {
		t.Run(tc.name, func(t *testing.T) {
			ld, _ := tc.request(t)
			if tc.config == "" {
				tc.config = "{}"
			}
			first := compareExplained(t, configOf(t, tc.config), ld)
			require.Len(t, first, 1)
			assert.Equal(t, tc.reason, first[0].Reason)
			if tc.outcome != "" {
				assert.Equal(t, tc.outcome, first[0].Outcome)
			}
			shaped := plog.NewLogs()
			around := shaped.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty()
			for _, e := range first[0].Events {
				e.Record.CopyTo(around.LogRecords().AppendEmpty())
			}
			for _, x := range compareExplained(t, accepting(t, tc.config), shaped) {
				if tc.outcome == "" {
					assert.Equal(t, "already_shaped", x.Outcome)
					assert.True(t, x.Recognized.Shaped)
				}
			}
		})
	}
}

// TestExplainOfAnything does so for random batches.
func TestExplainOfAnything(t *testing.T) {
	for _, yaml := range configurations {
		t.Run(yaml, func(t *testing.T) {
			rapid.Check(t, func(rt *rapid.T) {
				batches := make([]plog.Logs, rapid.IntRange(1, 3).Draw(rt, "batches"))
				for i := range batches {
					batches[i] = drawLogs(rt)
				}
				compareExplained(t, configOf(t, yaml), batches...)
				if t.Failed() {
					rt.FailNow()
				}
			})
		})
	}
}

// TestExplainRepeats: explanations say which record was repeated or changed, and which was late.
func TestExplainRepeats(t *testing.T) {
	exposed := func(variant string, minutes int64) plog.Logs {
		ld := plog.NewLogs()
		setMillis(record(t, ld, "$exposure", exposure(attrs{"variant": variant})), testTime+minutes*60_000)
		return ld
	}
	all := compareExplained(t, configOf(t, "{}"), exposed("a", 10), exposed("a", 11), exposed("b", 12), exposed("a", 13), exposed("c", 5), exposed("c", 5), exposed("a", 24*60+10))
	type told struct {
		outcome, verdict  string
		same, changedFrom int
		identify          bool
	}
	var got []told
	for _, x := range all {
		e := x.Events[0]
		got = append(got, told{x.Outcome, e.Verdict, e.SameAs, e.ChangedFrom, e.Identify != nil})
	}
	assert.Equal(t, []told{
		{"exposure", explain.VerdictSend, 0, 0, false},
		{"duplicate", explain.VerdictRepeat, 1, 0, false},
		{"exposure", explain.VerdictSend, 0, 1, true},
		{"repaired", explain.VerdictRepeat, 1, 0, true},
		{"exposure", explain.VerdictLate, 0, 0, false},
		{"duplicate", explain.VerdictRepeat, 5, 0, false},
		{"exposure", explain.VerdictSend, 0, 0, false},
	}, got)
}

// TestExplainOfLargeAssignment: the explanation lists each event of a record with its flags.
func TestExplainOfLargeAssignment(t *testing.T) {
	variants := attrs{}
	for i := range amplitude.MaxPropertyKeys + 1 {
		variants[fmt.Sprintf("flag-%04d", i)] = "on"
	}
	assigned := func() plog.Logs {
		return batch(t, "$assignment", attrs{"user_id": "user-12345", "variants": variants})
	}
	again := assigned()
	flags := recordsOf(again)[0].Attributes()
	of, _ := flags.Get("variants")
	of.Map().PutStr("flag-1024", "off")
	all := compareExplained(t, configOf(t, "{}"), assigned(), again)
	require.Len(t, all[0].Events, 2)
	assert.Len(t, all[0].Events[0].Flags, amplitude.MaxPropertyKeys)
	assert.Equal(t, []string{"flag-1024"}, all[0].Events[1].Flags)
	require.Len(t, all[1].Events, 2)
	assert.Equal(t, explain.VerdictRepeat, all[1].Events[0].Verdict)
	assert.Equal(t, explain.VerdictSend, all[1].Events[1].Verdict)
	assert.Equal(t, "assignment", all[1].Outcome)
}

// TestExplainSources: explanations say which attribute gave a fact, and what became of the others.
func TestExplainSources(t *testing.T) {
	ld := plog.NewLogs()
	resource := ld.ResourceLogs().AppendEmpty()
	scope := resource.ScopeLogs().AppendEmpty()
	require.NoError(t, resource.Resource().Attributes().FromRaw(attrs{"user.id": "user-resource", "device.id": "unknown"}))
	require.NoError(t, scope.Scope().Attributes().FromRaw(attrs{"feature_flag.key": "scope-flag"}))
	r := record(t, ld, evaluationEvent, attrs{"feature_flag.result.variant": "on", "user.id": "null", "enduser.id": "u1", "feature_flag.context.id": "user-12345"})
	require.NoError(t, r.Body().FromRaw(attrs{"value": true}))
	all := compareExplained(t, configOf(t, "{}"), ld)
	facts := map[string]explain.Fact{}
	for _, fact := range all[0].Facts {
		facts[fact.Name] = fact
	}
	assert.Equal(t, explain.Fact{Name: "flag_key", Value: "scope-flag", From: &explain.Attribute{Name: "feature_flag.key", Where: "scope", Value: "scope-flag"}}, facts["flag_key"])
	assert.Equal(t, explain.Fact{Name: "value", Value: "true", From: &explain.Attribute{Name: "value", Where: "body", Value: "true"}}, facts["value"])
	assert.Equal(t, explain.Fact{
		Name: "user_id", Value: "user-resource", From: &explain.Attribute{Name: "user.id", Where: "resource", Value: "user-resource"},
		Others: []explain.Attribute{
			{Name: "user.id", Where: "record", Value: "null", Refused: "placeholder_id"},
			{Name: "enduser.id", Where: "record", Value: "u1", Refused: "short_id"},
		},
	}, facts["user_id"])
	assert.Equal(t, explain.Fact{
		Name: "device_id", Others: []explain.Attribute{{Name: "device.id", Where: "resource", Value: "unknown", Refused: "placeholder_id"}},
		LookedFor: []string{"amplitude.device_id", "device.id", "app.installation.id", "enduser.pseudo.id", "device_id"},
	}, facts["device_id"])
	assert.Equal(t, "user-12345", facts["context_id"].Value)
}

// TestExplainTime: the explanation names the time that was used, and what was wrong with the ones before it.
func TestExplainTime(t *testing.T) {
	now := time.Date(2026, 1, 15, 12, 0, 0, 0, time.UTC)
	for _, tc := range []struct {
		name                string
		timestamp, observed pcommon.Timestamp
		want                explain.Rule
	}{
		{"its own", pcommon.NewTimestampFromTime(now), 0, explain.Rule{About: "time", Result: "2026-01-15T12:00:00.000Z", Because: "Timestamp"}},
		{"observed", 0, pcommon.NewTimestampFromTime(now), explain.Rule{About: "time", Result: "2026-01-15T12:00:00.000Z", Because: "no Timestamp; ObservedTimestamp"}},
		{"arrival", 1, pcommon.NewTimestampFromTime(now.AddDate(0, 0, 2)), explain.Rule{About: "time", Result: "2026-01-15T12:00:00.000Z", Because: "Timestamp is before the year 2000; ObservedTimestamp is more than a day ahead; so the time of arrival"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			ld := batch(t, "$exposure", exposure(nil))
			r := recordsOf(ld)[0]
			r.SetTimestamp(tc.timestamp)
			r.SetObservedTimestamp(tc.observed)
			x := startExplained(t, configOf(t, "{}"), func() time.Time { return now }).explain(t, ld)[0]
			assert.Contains(t, x.Rules, tc.want)
			assert.Equal(t, now, x.Events[0].Record.Timestamp().AsTime())
		})
	}
}

// TestExplainSingleRecords: only the requested records are explained, and without a history no numbers are made up.
func TestExplainSingleRecords(t *testing.T) {
	e := startExplained(t, configOf(t, "{}"), func() time.Time { return time.UnixMilli(testTime + 1000) })
	e.recorder = &explain.Recorder{Wants: func(record plog.LogRecord) bool {
		id, ok := record.Attributes().Get("user_id")
		return ok && id.Str() == "user-wanted"
	}}
	ld := plog.NewLogs()
	for _, user := range []string{"user-other", "user-wanted", "user-third", "user-wanted"} {
		record(t, ld, "$exposure", exposure(attrs{"user_id": user}))
	}
	all := e.explain(t, ld)
	require.Len(t, all, 2)
	assert.Equal(t, "resourceLogs[0].scopeLogs[0].logRecords[1]", all[0].Path)
	assert.Equal(t, "exposure", all[0].Outcome)
	assert.Equal(t, "no remembered record reported this result on the same day", all[0].Events[0].Because)
	assert.Equal(t, "resourceLogs[0].scopeLogs[0].logRecords[3]", all[1].Path)
	assert.Equal(t, "duplicate", all[1].Outcome)
	assert.Equal(t, "an earlier record reported the same result for the same subject on the same day", all[1].Events[0].Because)
	assert.Zero(t, all[1].Events[0].SameAs)
	require.NoError(t, e.ConsumeLogs(t.Context(), batch(t, "$exposure", exposure(attrs{"user_id": "user-wanted"}))))
	assert.Empty(t, e.recorder.Take(), "without the recorder in the context nothing is told")
}
