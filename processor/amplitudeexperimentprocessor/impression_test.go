// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudeexperimentprocessor

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
)

func impressions(t *testing.T, times ...time.Duration) plog.Logs {
	t.Helper()
	ld := plog.NewLogs()
	for _, after := range times {
		one := record(t, ld, "$impression", attrs{"user_id": "shopper-0042", "flag_key": "hero", "variant": "v1", "experiment_key": "run-1"})
		one.SetTimestamp(pcommon.NewTimestampFromTime(time.Now().Add(-time.Hour).Truncate(time.Hour).Add(after)))
	}
	return ld
}

func idOf(t *testing.T, event plog.LogRecord) string {
	t.Helper()
	id, ok := event.Attributes().Get("amplitude.insert_id")
	require.True(t, ok)
	return id.Str()
}

// TestImpression: each one counts and sets no property, and only the same record is a repeat.
func TestImpression(t *testing.T) {
	r := start(t, configOf(t, "impression: {enabled: true}"), nil)
	out := r.send(t, impressions(t, 0, time.Second, time.Second))
	require.Len(t, out, 2)
	first, second := fold(out[0]), fold(out[1])
	assert.Equal(t, "[Experiment] Impression", first["event_type"])
	assert.Equal(t, attrs{"[Experiment] Flag Key": "hero", "[Experiment] Variant": "v1", "[Experiment] Experiment Key": "run-1"}, first["event_properties"])
	assert.NotContains(t, first, "user_properties")
	assert.NotEqual(t, idOf(t, out[0]), idOf(t, out[1]))
	assert.Equal(t, first["event_properties"], second["event_properties"])
	assert.Equal(t, 2, r.counter(t, "otelcol_processor_amplitude_experiment_records", "outcome", "impression"))
	assert.Equal(t, 1, r.counter(t, "otelcol_processor_amplitude_experiment_records", "outcome", "duplicate"))

	again := start(t, configOf(t, "impression: {enabled: true}"), nil).send(t, impressions(t, 0))
	require.Len(t, again, 1)
	assert.Equal(t, idOf(t, out[0]), idOf(t, again[0]), "the same on every replica")
}

func TestImpressionWithoutVariant(t *testing.T) {
	r := start(t, configOf(t, "impression: {enabled: true}"), nil)
	out := r.send(t, batch(t, "[Experiment] Impression", attrs{"user_id": "shopper-0042", "[Experiment] Flag Key": "hero"}))
	require.Len(t, out, 1)
	assert.Equal(t, attrs{"[Experiment] Flag Key": "hero"}, fold(out[0])["event_properties"])
	assert.NotContains(t, fold(out[0]), "user_properties")
	assert.Equal(t, 1, r.counter(t, "otelcol_processor_amplitude_experiment_records", "outcome", "impression"))
}

// TestImpressionFormats: the wire format can be raw, and the SDK's insert_id format cannot distinguish impressions.
func TestImpressionFormats(t *testing.T) {
	r := start(t, configOf(t, "{impression: {enabled: true}, exposure: {wire: raw}, insert_id: {format: sdk}}"), nil)
	out := r.send(t, impressions(t, 0, time.Second))
	require.Len(t, out, 2)
	assert.Equal(t, "$impression", fold(out[0])["event_type"])
	assert.Equal(t, attrs{"flag_key": "hero", "variant": "v1", "experiment_key": "run-1"}, fold(out[0])["event_properties"])
	assert.NotEqual(t, idOf(t, out[0]), idOf(t, out[1]))
}

// TestImpressionsAreOff by default: the record passes unchanged.
func TestImpressionsAreOff(t *testing.T) {
	r := start(t, configOf(t, "{}"), nil)
	out := r.send(t, impressions(t, 0))
	require.Len(t, out, 1)
	assert.Equal(t, "$impression", out[0].EventName())
	assert.Equal(t, 1, r.counter(t, "otelcol_processor_amplitude_experiment_records", "outcome", "passed"))
}

// TestImpressionOfAnotherCollector passes unchanged if shaped events are accepted.
func TestImpressionOfAnotherCollector(t *testing.T) {
	edge := start(t, configOf(t, "impression: {enabled: true}"), nil)
	shaped := edge.send(t, impressions(t, 0))
	require.Len(t, shaped, 1)
	ld := plog.NewLogs()
	shaped[0].CopyTo(ld.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords().AppendEmpty())
	want := fold(shaped[0])
	gateway := start(t, configOf(t, "{impression: {enabled: true}, accept_shaped: true}"), nil)
	out := gateway.send(t, ld)
	require.Len(t, out, 1)
	assert.Equal(t, want, fold(out[0]))
	assert.Equal(t, 1, gateway.counter(t, "otelcol_processor_amplitude_experiment_records", "outcome", "already_shaped"))
}

// custom makes an exposure whose flag metadata names the event.
func custom(t *testing.T, metadata attrs, more attrs) plog.Logs {
	t.Helper()
	record := attrs{"user_id": "shopper-0042", "flag_key": "hero", "variant": "v1", "experiment_key": "run-1", "metadata": metadata}
	for name, value := range more {
		record[name] = value
	}
	return batch(t, "$exposure", record)
}

// TestCustomExposureEvent: if allowed, metadata names the event, which sets the user property.
func TestCustomExposureEvent(t *testing.T) {
	shown := attrs{"exposureEvent": "Shop Hero Shown", "deliveryMethod": "web"}
	for _, tc := range []struct {
		name, config string
		metadata     attrs
		want         string
	}{
		{"by default", "{}", shown, "[Experiment] Exposure"},
		{"allowed", `exposure: {custom_events: ["Shop *"]}`, shown, "Shop Hero Shown"},
		{"allowed, and the wire is raw", `exposure: {custom_events: ["Shop *"], wire: raw}`, shown, "Shop Hero Shown"},
		{"before the delivery method", `{exposure: {custom_events: ["Shop *"]}, impression: {enabled: true}}`, shown, "Shop Hero Shown"},
		{"another is allowed", `exposure: {custom_events: [Order]}`, shown, "[Experiment] Exposure"},
		{"one of Amplitude's own", `exposure: {custom_events: ["*"]}`, attrs{"exposureEvent": "$identify"}, "[Experiment] Exposure"},
		{"one of Experiment's own", `exposure: {custom_events: ["*"]}`, attrs{"exposureEvent": "[Experiment] Assignment"}, "[Experiment] Exposure"},
		{"web, by default", "{}", attrs{"deliveryMethod": "web"}, "[Experiment] Exposure"},
		{"web, with impressions", "impression: {enabled: true}", attrs{"deliveryMethod": "web"}, "[Experiment] Impression"},
		{"a feature, with impressions", "impression: {enabled: true}", attrs{"deliveryMethod": "feature"}, "[Experiment] Exposure"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := start(t, configOf(t, tc.config), nil)
			out := r.send(t, custom(t, tc.metadata, nil))
			require.Len(t, out, 1)
			event := fold(out[0])
			assert.Equal(t, tc.want, event["event_type"])
			set := attrs{"$set": attrs{"[Experiment] hero": "v1"}}
			switch tc.want {
			case "Shop Hero Shown":
				assert.Equal(t, attrs{"flag_key": "hero", "variant": "v1", "experiment_key": "run-1", "metadata": tc.metadata}, event["event_properties"])
				assert.Equal(t, set, event["user_properties"])
			case "[Experiment] Exposure":
				assert.Equal(t, set, event["user_properties"])
			default:
				assert.NotContains(t, event, "user_properties")
			}
		})
	}
}

// TestCustomExposureEventIsSeparate: it is not a repeat of Amplitude's own exposure, but de-duplicated like one.
func TestCustomExposureEventIsSeparate(t *testing.T) {
	cfg := `{exposure: {custom_events: ["*"]}, insert_id: {format: sdk}}`
	r := start(t, configOf(t, cfg), nil)
	plain := r.send(t, custom(t, attrs{}, nil))
	named := r.send(t, custom(t, attrs{"exposureEvent": "Shop Hero Shown"}, nil))
	require.Len(t, plain, 1)
	require.Len(t, named, 1)
	assert.NotEqual(t, insertIDOf(plain[0]), insertIDOf(named[0]))
	assert.Empty(t, r.send(t, custom(t, attrs{"exposureEvent": "Shop Hero Shown"}, nil)))
	assert.Empty(t, r.send(t, batch(t, "$exposure", attrs{
		"user_id": "shopper-0042", "flag_key": "hero", "variant": "v1", "experiment_key": "run-1", "metadata.exposureEvent": "Shop Hero Shown",
	})), "a dotted name is the same")

	left := r.send(t, custom(t, attrs{"exposureEvent": "Shop Hero Shown"}, attrs{"variant": "off"}))
	require.NotEmpty(t, left)
	assert.Equal(t, "Shop Hero Shown", left[0].EventName())
	assert.Equal(t, attrs{"$unset": attrs{"[Experiment] hero": "-"}}, fold(left[0])["user_properties"])
}

// TestCustomExposureEventOfAnotherCollector passes unchanged if shaped events are accepted, is the same if it is shaped
// again, and repeats its raw record.
func TestCustomExposureEventOfAnotherCollector(t *testing.T) {
	for _, accept := range []string{"true", "false"} {
		edge := start(t, configOf(t, `exposure: {custom_events: ["Shop *"]}`), nil)
		made := edge.send(t, custom(t, attrs{"exposureEvent": "Shop Hero Shown"}, nil))
		require.Len(t, made, 1)
		want, id := fold(made[0]), insertIDOf(made[0])
		gateway := start(t, configOf(t, `{exposure: {custom_events: ["Shop *"]}, other_records: drop, accept_shaped: `+accept+`}`), nil)
		out := gateway.send(t, edge.sink.AllLogs()[0])
		require.Len(t, out, 1)
		assert.Equal(t, want, fold(out[0]))
		assert.Equal(t, id, insertIDOf(out[0]))
		assert.Empty(t, gateway.send(t, custom(t, attrs{"exposureEvent": "Shop Hero Shown"}, nil)))
	}
}
