// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudeexperimentprocessor

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/confmap/confmaptest"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/processor/processortest"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/amplitude"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/experiment"
	"github.com/otelcol-amplitude/otelcol-amplitude/processor/amplitudeexperimentprocessor/internal/metadata"
)

// logged starts a processor with an observable log.
func logged(t *testing.T, yaml string) (*experimentProcessor, *consumertest.LogsSink, *observer.ObservedLogs) {
	t.Helper()
	exporterRuns(t, true)
	core, logs := observer.New(zap.DebugLevel)
	set := processortest.NewNopSettings(metadata.Type)
	set.Logger = zap.New(core)
	sink := &consumertest.LogsSink{}
	p, err := newTestFactory().CreateLogs(t.Context(), set, configOf(t, yaml), sink)
	require.NoError(t, err)
	require.NoError(t, p.Start(t.Context(), componenttest.NewNopHost()))
	t.Cleanup(func() { require.NoError(t, p.Shutdown(t.Context())) })
	return p.(following).Logs.(*replays).Logs.(*experimentProcessor), sink, logs
}

func flagsBatch(t *testing.T, from, to int) plog.Logs {
	t.Helper()
	ld := plog.NewLogs()
	for i := from; i < to; i++ {
		record(t, ld, "$exposure", exposure(attrs{"flag_key": fmt.Sprintf("flag-%04d", i)}))
	}
	return ld
}

func TestFlagsAreCountedAndWarnedAbout(t *testing.T) {
	p, sink, logs := logged(t, "{}")
	require.NoError(t, p.ConsumeLogs(t.Context(), flagsBatch(t, 0, 1199)))
	assert.Empty(t, logs.All())
	require.NoError(t, p.ConsumeLogs(t.Context(), flagsBatch(t, 1199, 1200)))
	require.Len(t, logs.All(), 1)
	assert.Equal(t, map[string]any{"flags": int64(1200), "limit": int64(1500)}, logs.All()[0].ContextMap())
	require.NoError(t, p.ConsumeLogs(t.Context(), flagsBatch(t, 0, 1600)))
	require.Len(t, logs.All(), 2)
	assert.Equal(t, map[string]any{"flags": int64(1500), "limit": int64(1500)}, logs.All()[1].ContextMap())
	assert.Equal(t, 1600, sink.LogRecordCount(), "nothing is refused by default")
}

// TestLongestUnseenFlags: when a project runs out of properties, the log names the flags that may be ready to retire.
func TestLongestUnseenFlags(t *testing.T) {
	exporterRuns(t, true)
	core, logs := observer.New(zap.WarnLevel)
	set := processortest.NewNopSettings(metadata.Type)
	set.Logger = zap.New(core)
	now := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	p, err := NewFactoryWithOptions(WithClock(func() time.Time { return now })).CreateLogs(t.Context(), set, configOf(t, "{}"), consumertest.NewNop())
	require.NoError(t, err)
	require.NoError(t, p.Start(t.Context(), componenttest.NewNopHost()))
	t.Cleanup(func() { require.NoError(t, p.Shutdown(t.Context())) })
	send := func(from, to int) { require.NoError(t, p.ConsumeLogs(t.Context(), flagsBatch(t, from, to))) }
	send(0, 3)
	now = now.Add(24 * time.Hour)
	send(2, 30)
	now = now.Add(36 * time.Hour)
	send(20, 1200)
	require.Equal(t, 1, logs.Len())
	unseen := logs.All()[0].ContextMap()["longest_unseen"].([]any)
	require.Len(t, unseen, 20)
	assert.Equal(t, []any{"flag-0000 (60h)", "flag-0001 (60h)", "flag-0002 (36h)", "flag-0003 (36h)"}, unseen[:4])
	assert.NotContains(t, unseen, "flag-0020 (36h)", "it was seen again")
	now = now.Add(12 * time.Hour)
	send(0, 1200)
	send(1200, 1500)
	require.Equal(t, 2, logs.Len())
	assert.NotContains(t, logs.All()[1].ContextMap(), "longest_unseen", "all were seen within a day")
}

func TestMaxExperimentProperties(t *testing.T) {
	r := start(t, configOf(t, "max_experiment_properties: 3"), nil)
	assert.Len(t, r.send(t, flagsBatch(t, 0, 5)), 3)
	assert.Equal(t, 2, r.counter(t, "otelcol_processor_amplitude_experiment_rejected", "reason", "property_limit"))
	assert.Equal(t, 3, r.counter(t, "otelcol_processor_amplitude_experiment_flags", "", ""))
	// Known flags still work, even in an assignment; a flag without a user property does not count.
	out := r.send(t, batch(t, "$assignment", attrs{"user_id": "user-12345", "variants": attrs{
		"flag-0000": "on", "flag-0004": "on", "mutex": attrs{"key": "slot", "metadata": attrs{"flagType": "mutual-exclusion-group"}},
	}}))
	require.Len(t, out, 1)
	assert.Equal(t, attrs{"[Experiment] flag-0000.variant": "on", "[Experiment] mutex.variant": "slot"}, fold(out[0])["event_properties"])
	assert.Equal(t, 1, r.counter(t, "otelcol_processor_amplitude_experiment_flags_left_out", "reason", "property_limit"))
}

// TestRejectionsAreExplained: each reason is logged immediately, then once a minute with the count, and never with an
// id.
func TestRejectionsAreExplained(t *testing.T) {
	p, _, logs := logged(t, "{}")
	now := time.Now()
	p.reasons.now = func() time.Time { return now }
	reject := func(user string) {
		require.NoError(t, p.ConsumeLogs(t.Context(), batch(t, "$exposure", exposure(attrs{"user_id": user}))))
	}
	reject("secr")
	reject("s3cr")
	reject("null")
	require.Len(t, logs.All(), 2)
	assert.Equal(t, "short_id", logs.All()[0].ContextMap()["reason"])
	assert.Equal(t, "my-flag", logs.All()[0].ContextMap()["example_flag"])
	assert.Equal(t, int64(1), logs.All()[0].ContextMap()["count"])
	assert.NotEmpty(t, logs.All()[0].ContextMap()["hint"])
	assert.Equal(t, "placeholder_id", logs.All()[1].ContextMap()["reason"])
	now = now.Add(logEvery)
	reject("secr")
	require.Len(t, logs.All(), 3)
	assert.Equal(t, int64(2), logs.All()[2].ContextMap()["count"])
	for _, entry := range logs.All() {
		assert.NotContains(t, fmt.Sprint(entry.Message, entry.ContextMap()), "secr")
		assert.NotContains(t, fmt.Sprint(entry.ContextMap()), "s3cr")
	}
}

// The values by which records are counted.
var (
	outcomeWords = append(words(experiment.NumOutcomes), outcomeRefused)
	skipWords    = words(experiment.NumSkipReasons)
	rejectWords  = words(experiment.NumRejectReasons)

	nearMissWords = words(experiment.NumNearMisses)
)

// words returns the n values of a closed list.
func words[T interface {
	~uint8
	String() string
}](n T) (list []string) {
	for i := range n {
		list = append(list, i.String())
	}
	return list
}

// TestClosedLists: the values in the code are those in metadata.yaml, and each rejection has a hint.
func TestClosedLists(t *testing.T) {
	file, err := confmaptest.LoadConf("metadata.yaml")
	require.NoError(t, err)
	attributes, err := file.Sub("attributes")
	require.NoError(t, err)
	for name, words := range map[string][]string{
		"outcome":         outcomeWords,
		"near_miss":       nearMissWords,
		"skip_reason":     skipWords,
		"reject_reason":   rejectWords,
		"id_problem":      rejectWords[experiment.RejectEmptyID : experiment.RejectNotAnID+1],
		"left_out_reason": rejectWords[experiment.RejectNoFlagKey : experiment.RejectBadMetadata+1],
	} {
		attribute, err := attributes.Sub(name)
		require.NoError(t, err)
		var promised []string
		for _, word := range attribute.Get("enum").([]any) {
			promised = append(promised, word.(string))
		}
		assert.ElementsMatch(t, promised, words, name)
	}
	for reason := range experiment.NumRejectReasons {
		assert.NotEmpty(t, reason.Hint(), reason)
	}
}

// TestInstancesAreDistinguished: the metrics have the id of the component.
func TestInstancesAreDistinguished(t *testing.T) {
	r := start(t, configOf(t, "{}"), nil)
	r.send(t, batch(t, "$exposure", exposure(nil)))
	id := component.NewIDWithName(metadata.Type, "test").String()
	for _, name := range []string{
		"otelcol_processor_amplitude_experiment_records", "otelcol_processor_amplitude_experiment_flags",
		"otelcol_processor_incoming_items", "otelcol_processor_outgoing_items",
	} {
		assert.Equal(t, 1, r.counter(t, name, "processor", id), name)
	}
}

// TestTwoPipelines: one configuration in two pipelines is one processor, if its memory is named.
func TestTwoPipelines(t *testing.T) {
	factory := newTestFactory()
	cfg := configOf(t, "{dedup: {memory: main}}")
	sink := &consumertest.LogsSink{}
	set := processortest.NewNopSettings(metadata.Type)
	first, err := factory.CreateLogs(t.Context(), set, cfg, sink)
	require.NoError(t, err)
	second, err := factory.CreateLogs(t.Context(), set, cfg, sink)
	require.NoError(t, err)
	require.NoError(t, first.Start(t.Context(), componenttest.NewNopHost()))
	require.NoError(t, second.Start(t.Context(), componenttest.NewNopHost()))
	require.NoError(t, first.ConsumeLogs(t.Context(), batch(t, "$exposure", exposure(nil))))
	require.NoError(t, first.Shutdown(t.Context()))
	require.NoError(t, first.Shutdown(t.Context()))
	require.NoError(t, second.ConsumeLogs(t.Context(), batch(t, "$exposure", exposure(nil))))
	assert.Equal(t, 1, sink.LogRecordCount())
	require.NoError(t, second.Shutdown(t.Context()))
}

// TestPropertyDepth: values nested more deeply than Amplitude accepts are left out and counted, the rest is kept.
func TestPropertyDepth(t *testing.T) {
	nest := func(levels int) attrs {
		inner := attrs{"end": "reached"}
		for range levels {
			inner = attrs{"n": inner}
		}
		return inner
	}
	depth := func(value any) int {
		levels := 0
		for {
			m, ok := value.(attrs)
			if !ok || m["n"] == nil {
				return levels
			}
			value = m["n"]
			levels++
		}
	}
	r := start(t, configOf(t, "event_properties: {include: [extra]}"), nil)
	out := r.send(t, batch(t, "$exposure", exposure(attrs{"extra": nest(60), "metadata": nest(10)})))
	require.Len(t, out, 1)
	properties := fold(out[0])["event_properties"].(attrs)
	assert.Equal(t, amplitude.MaxDepth-2, depth(properties["extra"]), "the event properties are one level")
	assert.Equal(t, nest(10), properties["metadata"])
	assert.Equal(t, 1, r.counter(t, "otelcol_processor_amplitude_experiment_properties_left_out", "", ""))
}

// TestTooManyProperties: additional attributes leave room for the event's own properties.
func TestTooManyProperties(t *testing.T) {
	record := exposure(nil)
	for i := range 1500 {
		record[fmt.Sprintf("k%d", i)] = i
	}
	r := start(t, configOf(t, `event_properties: {include: ["k*"]}`), nil)
	out := r.send(t, batch(t, "$exposure", record))
	require.Len(t, out, 1)
	checkEvent(t, out[0])
	assert.Equal(t, 1500-(amplitude.MaxPropertyKeys-4), r.counter(t, "otelcol_processor_amplitude_experiment_properties_left_out", "", ""))
}

// TestFlagsOfShapedEventsCount: properties set by an edge Collector also count at the gateway.
func TestFlagsOfShapedEventsCount(t *testing.T) {
	edge := start(t, configOf(t, "{}"), nil)
	edge.send(t, flagsBatch(t, 0, 5))
	gateway := start(t, accepting(t, "max_experiment_properties: 3"), nil)
	assert.Len(t, gateway.send(t, edge.sink.AllLogs()[0]), 5, "existing events are not refused")
	assert.Equal(t, 5, gateway.counter(t, "otelcol_processor_amplitude_experiment_flags", "", ""))
}

// TestFlagsInMetricsAreBounded: senders cannot create a time series for every name they make up.
func TestFlagsInMetricsAreBounded(t *testing.T) {
	const flags = 150
	r := start(t, configOf(t, "{}"), nil)
	for _, variant := range []string{"a", "b"} {
		ld := plog.NewLogs()
		for i := range flags {
			record(t, ld, "$exposure", exposure(attrs{"flag_key": fmt.Sprintf("flag-%04d", i), "variant": variant}))
		}
		r.send(t, ld)
	}
	const changes = "otelcol_processor_amplitude_experiment_variant_changes"
	assert.Equal(t, flags, r.counter(t, changes, "", ""))
	assert.Equal(t, 1, r.counter(t, changes, "flag", "flag-0099"))
	assert.Zero(t, r.counter(t, changes, "flag", "flag-0100"))
	assert.Equal(t, flags-100, r.counter(t, changes, "flag", "other"))
}
