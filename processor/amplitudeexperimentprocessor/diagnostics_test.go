// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudeexperimentprocessor

import (
	"errors"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/processor/processortest"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/redistest"
	"github.com/otelcol-amplitude/otelcol-amplitude/processor/amplitudeexperimentprocessor/internal/metadata"
)

// series returns the values of the diagnostics metrics by name and labels, except the labels of the processor and the
// failures.
func (r *rig) series(t testing.TB) map[string]float64 {
	t.Helper()
	read := map[string]float64{}
	put := func(name string, attributes attribute.Set, value float64) {
		var of []string
		for _, one := range attributes.ToSlice() {
			if one.Key != labelProcessor {
				of = append(of, string(one.Key)+"="+one.Value.String())
			}
		}
		read[name+"{"+strings.Join(of, ",")+"}"] = value
	}
	for name, m := range r.metrics(t) {
		name, ok := strings.CutPrefix(name, "otelcol_processor_amplitude_experiment_diagnostics_")
		if !ok || name == "failures" || name == "not_counted" {
			continue
		}
		switch data := m.Data.(type) {
		case metricdata.Sum[int64]:
			for _, point := range data.DataPoints {
				put(name, point.Attributes, float64(point.Value))
			}
		case metricdata.Gauge[int64]:
			for _, point := range data.DataPoints {
				put(name, point.Attributes, float64(point.Value))
			}
		case metricdata.Gauge[float64]:
			for _, point := range data.DataPoints {
				put(name, point.Attributes, point.Value)
			}
		}
	}
	return read
}

// persons makes n exposures, every second one of treatment, except those that skip selects.
func persons(n int, skip func(user int) bool) []exposureOf {
	var exposures []exposureOf
	for i := range n {
		if skip == nil || !skip(i) {
			exposures = append(exposures, exposureOf{fmt.Sprint("user-", i), "checkout", []string{"control", "treatment"}[i%2], testTime + int64(i)})
		}
	}
	return exposures
}

const expectHalves = "diagnostics: {expected: {checkout: {control: 50, treatment: 50}}}"

func TestDiagnosticsAreOff(t *testing.T) {
	r := start(t, configOf(t, ""), nil)
	r.send(t, logsOf(t, persons(10, nil)...))
	assert.Empty(t, r.series(t))
}

// TestDiagnostics: only what the next component accepted is counted, and each person once.
func TestDiagnostics(t *testing.T) {
	next := &switchable{sink: &consumertest.LogsSink{}}
	r := start(t, configOf(t, `{exposure: {unassigned: event}, diagnostics: {flags: ["check*"], expected: {checkout: {control: 3, treatment: 1}}}}`), next)
	next.err = errors.New("away")
	require.Error(t, r.ConsumeLogs(t.Context(), logsOf(t, persons(10, nil)...)))
	next.err = nil
	for range 2 {
		require.NoError(t, r.ConsumeLogs(t.Context(), logsOf(t, persons(10, nil)...)))
	}
	further := plog.NewLogs()
	record(t, further, "$assignment", map[string]any{"user_id": "user-0", "variants": map[string]any{"checkout": "control", "checkbox": "off"}})
	record(t, further, "$exposure", map[string]any{"user_id": "user-0", "flag_key": "checkout", "variant": "treatment"})
	record(t, further, "$exposure", map[string]any{"user_id": "user-1", "flag_key": "checkout", "variant": "off"})
	record(t, further, "$exposure", map[string]any{"device_id": "device-1", "flag_key": "checkout", "variant": "control"})
	record(t, further, "$exposure", map[string]any{"user_id": "user-0", "flag_key": "checkin", "experiment_key": "one", "variant": "a"})
	record(t, further, "$exposure", map[string]any{"user_id": "user-0", "flag_key": "secret", "variant": "a"})
	require.NoError(t, r.ConsumeLogs(t.Context(), further))

	got := r.series(t)
	of := "experiment_key=,flag=checkout"
	assert.InDelta(t, 12, got["events{"+of+",kind=exposure}"], 0)
	assert.InDelta(t, 1, got["events{"+of+",kind=unexposure}"], 0)
	assert.InDelta(t, 6, got["persons{"+of+",scope=replica,variant=control}"], 0)
	assert.InDelta(t, 5, got["persons{"+of+",scope=replica,variant=treatment}"], 0)
	assert.InDelta(t, 1, got["traits{"+of+",scope=replica,trait=changed}"], 0)
	assert.InDelta(t, 1, got["traits{"+of+",scope=replica,trait=device_only}"], 0)
	assert.InDelta(t, 1, got["traits{"+of+",scope=replica,trait=assigned}"], 0)
	assert.InDelta(t, 1, got["traits{"+of+",scope=replica,trait=assigned_exposed}"], 0)
	assert.InDelta(t, 10, got["traits{"+of+",scope=replica,trait=without_assignment}"], 0)
	assert.InDelta(t, 0.75, got["expected_share{"+of+",variant=control}"], 1e-9)
	assert.InDelta(t, 1, got["sampled_share{"+of+",scope=replica}"], 0)
	assert.Contains(t, got, "evidence{"+of+",scope=replica}")
	assert.InDelta(t, 1, got["persons{experiment_key=one,flag=checkin,scope=replica,variant=a}"], 0)
	assert.NotContains(t, got, "p_value{experiment_key=one,flag=checkin,scope=replica}", "no expected shares are configured")
	for name := range got {
		assert.NotContains(t, name, "secret")
		assert.NotContains(t, name, "checkbox", "nobody was assigned to any of its variants")
	}
}

// TestDiagnosticsOfLateExposures: an exposure that arrives after a newer one counts as late, but determines the first
// variant.
func TestDiagnosticsOfLateExposures(t *testing.T) {
	r := start(t, configOf(t, "diagnostics: {flags: [checkout]}"), nil)
	r.send(t, logsOf(t, exposureOf{"user-1", "checkout", "b", testTime}))
	r.send(t, logsOf(t, exposureOf{"user-1", "checkout", "a", testTime - 5000}))
	got := r.series(t)
	assert.InDelta(t, 1, got["late_exposures{experiment_key=,flag=checkout}"], 0)
	assert.InDelta(t, 1, got["persons{experiment_key=,flag=checkout,scope=replica,variant=a}"], 0)
	assert.InDelta(t, 0, got["persons{experiment_key=,flag=checkout,scope=replica,variant=b}"], 0)
}

// TestMismatchIsFound: a cache that loses a tenth of one variant.
func TestMismatchIsFound(t *testing.T) {
	const p = "p_value{experiment_key=,flag=checkout,scope=replica}"
	good := start(t, configOf(t, expectHalves), nil)
	good.send(t, logsOf(t, persons(10_000, nil)...))
	assert.Greater(t, good.series(t)[p], 0.5)
	bad := start(t, configOf(t, expectHalves), nil)
	bad.send(t, logsOf(t, persons(10_000, func(user int) bool { return user%20 == 1 })...))
	assert.Less(t, bad.series(t)[p], 0.01)
}

// TestDiagnosticsOverARestart: the next process continues, and logs that the expected shares have changed.
func TestDiagnosticsOverARestart(t *testing.T) {
	host := fileStorage(t, t.TempDir())
	const kept = "{dedup: {storage: file_storage}, " + expectHalves + "}"
	missing := func(user int) bool { return user%20 == 1 }
	whole := start(t, configOf(t, expectHalves), nil)
	whole.send(t, logsOf(t, persons(3000, missing)...))

	f := newTestFactory()
	first := startWith(t, f, host, configOf(t, kept))
	first.send(t, logsOf(t, persons(2000, missing)...))
	require.NoError(t, first.Shutdown(t.Context()))
	second := startWith(t, f, host, configOf(t, kept))
	second.send(t, logsOf(t, persons(3000, missing)...))
	want, got := whole.series(t), second.series(t)
	const p = "p_value{experiment_key=,flag=checkout,scope=replica}"
	assert.LessOrEqual(t, got[p], want[p], "it looked more often")
	delete(want, p)
	delete(got, p)
	assert.Equal(t, want, got)
	require.NoError(t, second.Shutdown(t.Context()))

	core, logs := observer.New(zap.InfoLevel)
	set := processortest.NewNopSettings(metadata.Type)
	set.Logger = zap.New(core)
	third, err := f.CreateLogs(t.Context(), set, configOf(t, "{dedup: {storage: file_storage}, diagnostics: {expected: {checkout: {control: 60, treatment: 40}}}}"), consumertest.NewNop())
	require.NoError(t, err)
	require.NoError(t, third.Start(t.Context(), host))
	require.NoError(t, third.Shutdown(t.Context()))
	restarts := logs.FilterMessageSnippet("The expected shares of a flag have changed").All()
	require.Len(t, restarts, 1)
	assert.Equal(t, map[string]any{"flag": "checkout", "before": `"control": 0.5, "treatment": 0.5`, "now": `"control": 0.6, "treatment": 0.4`}, restarts[0].ContextMap())
}

// TestDiagnosticsOfReplicas: three replicas behind a load balancer that ignores users together report what a single one
// would.
func TestDiagnosticsOfReplicas(t *testing.T) {
	server := redistest.Start(t)
	shared := fmt.Sprintf("{dedup: {redis: {endpoint: %q, timeout: 5s}}, %s}", server.Address, expectHalves)
	f := newTestFactory() // the replicas share a clock
	replica := func() *rig { return startWith(t, f, componenttest.NewNopHost(), configOf(t, shared)) }
	one, replicas := start(t, configOf(t, expectHalves), nil), []*rig{replica(), replica(), replica()}
	exposures := persons(3000, func(user int) bool { return user%20 == 1 })
	for i := range 300 { // who come back, to another replica
		exposures = append(exposures, exposureOf{fmt.Sprint("user-", 2*i), "checkout", []string{"control", "treatment"}[i%2], testTime + 10_000})
	}
	var parts [3][]exposureOf
	for i, e := range exposures {
		parts[i%3] = append(parts[i%3], e)
	}
	one.send(t, logsOf(t, exposures...))
	for i, r := range replicas {
		r.send(t, logsOf(t, parts[i]...))
	}
	var events float64
	for _, r := range replicas {
		events += r.series(t)["events{experiment_key=,flag=checkout,kind=exposure}"]
		require.NoError(t, r.Shutdown(t.Context()))
	}
	want := one.series(t)
	assert.GreaterOrEqual(t, events, want["events{experiment_key=,flag=checkout,kind=exposure}"], "they add up; two replicas may send the same at once")
	fleet := map[string]float64{}
	for name, value := range want {
		if kind, _, _ := strings.Cut(name, "{"); kind != "events" && kind != "late_exposures" {
			fleet[strings.Replace(name, "scope=replica", "scope=fleet", 1)] = value
		}
	}
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		got := replica().series(t)
		maps.DeleteFunc(got, func(name string, _ float64) bool {
			kind, _, _ := strings.Cut(name, "{")
			return kind == "events" || kind == "late_exposures"
		})
		assert.Equal(c, fleet, got)
	}, time.Minute, 100*time.Millisecond)
}

// TestDiagnosticsAreBounded: any number of flags takes as many series and as much memory as a few.
func TestDiagnosticsAreBounded(t *testing.T) {
	const flags, most = 20_000, 350
	r := start(t, configOf(t, fmt.Sprintf(`{dedup: {enabled: false}, diagnostics: {flags: ["*"], max_flags: %d, expected: {checkout: {a: 1, b: 1}}}}`, most)), nil)
	var before, after runtime.MemStats
	for from := 0; from < flags; from += 5000 {
		ld := plog.NewLogs()
		for n := from; n < from+5000; n++ {
			record(t, ld, "$exposure", map[string]any{"user_id": "user-1", "flag_key": fmt.Sprint("flag-", n), "variant": fmt.Sprint("variant-", n)})
			record(t, ld, "$exposure", map[string]any{"user_id": "user-1", "flag_key": "flag-0", "variant": fmt.Sprint("variant-", n), "experiment_key": fmt.Sprint("run-", n)})
		}
		r.send(t, ld)
		r.sink.Reset()
		runtime.GC()
		if runtime.ReadMemStats(&after); from == 0 {
			before = after
		}
	}
	assert.Less(t, int64(after.HeapAlloc)-int64(before.HeapAlloc), int64(20<<20), "beside what the processor knows of all flags")
	r.send(t, logsOf(t, exposureOf{"user-1", "checkout", "a", testTime}))
	got := r.series(t)
	count := map[string]int{}
	for name := range got {
		kind, _, _ := strings.Cut(name, "{")
		count[kind]++
	}
	assert.Equal(t, most, count["sampled_share"])
	assert.LessOrEqual(t, slices.Max(slices.Collect(maps.Values(count))), 2000, "the limit of OpenTelemetry's SDK")
	assert.InDelta(t, 1, got["persons{experiment_key=,flag=checkout,scope=replica,variant=a}"], 0, "expected flags always fit")
	assert.Equal(t, 2*flags-(most-1), r.counter(t, "otelcol_processor_amplitude_experiment_diagnostics_not_counted", "reason", "max_flags"))
}

// TestDiagnosticsEnd: the series of a flag that is no longer reported end.
func TestDiagnosticsEnd(t *testing.T) {
	r := start(t, configOf(t, "diagnostics: {flags: ['*'], forget_after: 1h}"), nil)
	r.send(t, logsOf(t, exposureOf{"user-1", "old", "a", testTime}))
	assert.Contains(t, r.series(t), "persons{experiment_key=,flag=old,scope=replica,variant=a}")
	r.send(t, logsOf(t, exposureOf{"user-1", "new", "a", testTime + 2*time.Hour.Milliseconds()}))
	got := r.series(t)
	assert.Contains(t, got, "persons{experiment_key=,flag=new,scope=replica,variant=a}")
	assert.NotContains(t, fmt.Sprint(got), "old")
}

func TestDiagnosticsWithoutTheirStorage(t *testing.T) {
	p, err := NewFactory().CreateLogs(t.Context(), processortest.NewNopSettings(metadata.Type),
		configOf(t, "{dedup: {enabled: false, storage: file_storage}, diagnostics: {flags: [f]}}"), consumertest.NewNop())
	require.NoError(t, err)
	require.ErrorContains(t, p.Start(t.Context(), componenttest.NewNopHost()), `storage extension "file_storage" not found`)
	require.NoError(t, p.Shutdown(t.Context()))
}

func TestDiagnosticsConfig(t *testing.T) {
	for yaml, want := range map[string]string{
		"flags: ['']":                 "diagnostics: `flags` must not contain a blank entry",
		"max_flags: 351":              "diagnostics: `max_flags` must be between 1 and 350 (got 351)",
		"max_variants: 0":             "diagnostics: `max_variants` must be between 1 and 100 (got 0)",
		"max_persons: 10":             "diagnostics: `max_persons` must be between 1000 and 1000000 (got 10)",
		"forget_after: 1m":            "diagnostics: `forget_after` must be between 1h0m0s and 2160h0m0s (got 1m0s)",
		"expected: {f: {a: 1}}":       "diagnostics: `expected` must give the flag \"f\" from 2 to `max_variants` variants (got 1)",
		"expected: {f: {a: 1, b: 0}}": "diagnostics: `expected` must give each variant of the flag \"f\" a positive weight (got 0 for \"b\")",
		"{max_flags: 1, expected: {f: {a: 1, b: 1}, g: {a: 1, b: 1}}}": "diagnostics: `expected` must not name more flags than `max_flags` (got 2, and 1)",
	} {
		retrieved, err := confmap.NewRetrievedFromYAML([]byte("diagnostics: " + flow(yaml)))
		require.NoError(t, err)
		conf, err := retrieved.AsConf()
		require.NoError(t, err)
		cfg := NewFactory().CreateDefaultConfig()
		require.NoError(t, conf.Unmarshal(cfg))
		require.ErrorContains(t, confmap.Validate(cfg), want)
	}
}

// flow writes a map with one key as YAML.
func flow(yaml string) string {
	if strings.HasPrefix(yaml, "{") {
		return yaml
	}
	return "{" + yaml + "}"
}
