// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudeexperimentprocessor

import (
	"fmt"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/plog"
)

// result makes one record of what evaluate() returned for a user.
func result(t testing.TB, ms int64, variants attrs) plog.Logs {
	t.Helper()
	ld := batch(t, "$assignment", attrs{"user_id": "user-12345", "device_id": "device-1", "variants": variants, "country": "DE", "plan": "pro"})
	setMillis(recordsOf(ld)[0], ms)
	return ld
}

func variant(key string, metadata attrs) attrs {
	if metadata == nil {
		return attrs{"key": key, "value": key}
	}
	return attrs{"key": key, "value": key, "metadata": metadata}
}

// flagsOf returns the flags of exposures, and the types of all other events.
func flagsOf(out []plog.LogRecord) (told []string) {
	for _, r := range out {
		name := r.EventName()
		if flag, ok := r.Attributes().Get("[Experiment] Flag Key"); ok {
			name = flag.Str()
		}
		told = append(told, name)
	}
	return told
}

// TestEmitExposures: one record becomes an exposure for each flag that the SDKs expose, each with its own details.
func TestEmitExposures(t *testing.T) {
	ofResult := attrs{
		"a-mutex":   variant("slot-1", attrs{"flagType": "mutual-exclusion-group"}),
		"b-holdout": variant("on", attrs{"flagType": "holdout-group", "segmentName": "all"}),
		"c-default": variant("off", attrs{"default": true}),
		"d-plain":   "treatment",
		"e-quiet":   variant("on", attrs{"trackExposure": false}),
		"f-run":     variant("control", attrs{"experimentKey": "run-2", "flagVersion": 3}),
		"g-client":  attrs{"value": "blue", "expKey": "run-7"},
		"h-off":     "off",
	}
	for _, tc := range []struct {
		emit string
		want []string
	}{
		{"assignment", []string{"[Experiment] Assignment"}},
		{"exposures", []string{"a-mutex", "b-holdout", "d-plain", "f-run", "g-client"}},
		{"both", []string{"[Experiment] Assignment", "a-mutex", "b-holdout", "d-plain", "f-run", "g-client"}},
	} {
		t.Run(tc.emit, func(t *testing.T) {
			r := start(t, configOf(t, `{assignment: {emit: `+tc.emit+`}, event_properties: {include: [country]}}`), nil)
			out := r.send(t, result(t, testTime, ofResult))
			require.Equal(t, tc.want, flagsOf(out))
			for _, one := range out {
				checkEvent(t, one)
				assert.Equal(t, "DE", fold(one)["event_properties"].(attrs)["country"])
				assert.NotContains(t, fold(one)["event_properties"], "plan")
				if flag, ok := one.Attributes().Get("[Experiment] Flag Key"); ok {
					event := fold(one)
					assert.Equal(t, "user-12345", event["user_id"])
					assert.Equal(t, "device-1", event["device_id"])
					switch flag.Str() {
					case "a-mutex":
						assert.NotContains(t, event, "user_properties")
						assert.Equal(t, attrs{"flagType": "mutual-exclusion-group"}, event["event_properties"].(attrs)["metadata"])
					case "b-holdout":
						assert.Equal(t, attrs{"$set": attrs{"[Experiment] b-holdout": "on"}}, event["user_properties"])
					case "d-plain":
						assert.Equal(t, attrs{"country": "DE", "[Experiment] Flag Key": "d-plain", "[Experiment] Variant": "treatment"}, event["event_properties"])
					case "f-run":
						assert.Equal(t, "run-2", event["event_properties"].(attrs)["[Experiment] Experiment Key"])
					case "g-client":
						assert.Equal(t, "run-7", event["event_properties"].(attrs)["[Experiment] Experiment Key"])
						assert.Equal(t, attrs{"$set": attrs{"[Experiment] g-client": "blue"}}, event["user_properties"])
					}
				}
			}
			outcome := "assignment"
			if tc.emit == "exposures" {
				outcome = "exposure"
			}
			assert.Equal(t, 1, r.outcome(t, outcome))
			checkLaw(t, r, 1, len(out))
			assert.Empty(t, r.send(t, result(t, testTime, ofResult)), "all of it is a repeat")
			assert.Equal(t, 1, r.outcome(t, "duplicate"))
			assert.Equal(t, 0, r.counter(t, "otelcol_processor_amplitude_experiment_extra_repeats", "", ""))
		})
	}
}

// TestEachExposureOfAResultIsJudgedSeparately: if one flag of a result changed, only its exposure is sent, and the same
// exposure reported by the application itself is the same event.
func TestEachExposureOfAResultIsJudgedSeparately(t *testing.T) {
	r := start(t, configOf(t, `{assignment: {emit: exposures}, event_properties: {include: [country]}}`), nil)
	in, out := 0, 0
	send := func(ld plog.Logs) []plog.LogRecord {
		sent := r.send(t, ld)
		in, out = in+1, out+len(sent)
		checkLaw(t, r, in, out)
		return sent
	}
	first := send(result(t, testTime, attrs{"a": "on", "b": "on", "c": "on"}))
	require.Equal(t, []string{"a", "b", "c"}, flagsOf(first))

	assert.Equal(t, []string{"b", "$identify"}, flagsOf(send(result(t, testTime+1, attrs{"a": "on", "b": "treatment", "c": "on"}))))
	assert.Equal(t, 2, r.counter(t, "otelcol_processor_amplitude_experiment_extra_repeats", "", ""))

	own := batch(t, "$exposure", attrs{"user_id": "user-12345", "device_id": "device-1", "flag_key": "c", "variant": "on"})
	setMillis(recordsOf(own)[0], testTime+2)
	assert.Empty(t, send(own))

	// b was already sent with "on" that day, so only its property is corrected, after the event of c.
	back := send(result(t, testTime+3, attrs{"a": "on", "b": "on", "c": "treatment"}))
	require.Equal(t, []string{"c", "$identify", "$identify"}, flagsOf(back))
	assert.Equal(t, "DE", fold(back[0])["event_properties"].(attrs)["country"])
	set := attrs{}
	for _, one := range back[1:] {
		for name, value := range fold(one)["user_properties"].(attrs)["$set"].(attrs) {
			set[name] = value
		}
	}
	assert.Equal(t, attrs{"[Experiment] b": "on", "[Experiment] c": "treatment"}, set)

	// All of it was sent before: only the properties are set.
	assert.Equal(t, []string{"$identify", "$identify"}, flagsOf(send(result(t, testTime+4, attrs{"b": "treatment", "c": "on"}))))
	assert.Equal(t, 1, r.outcome(t, "repaired"))
}

// TestResultWithoutExposures: the reason says why nothing is sent.
func TestResultWithoutExposures(t *testing.T) {
	r := start(t, configOf(t, "assignment: {emit: exposures}"), nil)
	assert.Empty(t, r.send(t, result(t, testTime, attrs{"a": "off", "b": variant("on", attrs{"trackExposure": false}), "c": variant("control", attrs{"default": true})})))
	assert.Equal(t, 1, r.counter(t, "otelcol_processor_amplitude_experiment_skipped", "reason", "no_exposure"))
	checkLaw(t, r, 1, 0)
}

// TestExposuresOfAResultLeaveOut what cannot be sent, and keep the rest.
func TestExposuresOfAResultLeaveOut(t *testing.T) {
	r := start(t, configOf(t, "{assignment: {emit: exposures}, max_experiment_properties: 2, limits: {flags: 6}}"), nil)
	ofResult := attrs{
		"a": variant("off", attrs{"default": true}), // does not need a property
		"b": "on",
		"c": attrs{"key": attrs{"color": "red"}},
		"d": attrs{"key": "on", "metadata": "[object Object]"},
		"e": "on",
		"f": "on", // the third property
		"g": "on", // the limit of 6 flags is not reached, but no property is left
	}
	assert.Equal(t, []string{"b", "e"}, flagsOf(r.send(t, result(t, testTime, ofResult))))
	for reason, n := range map[string]int{"bad_variant": 1, "bad_metadata": 1, "property_limit": 2} {
		assert.Equal(t, n, r.counter(t, "otelcol_processor_amplitude_experiment_flags_left_out", "reason", reason), reason)
	}
	assert.Empty(t, r.send(t, result(t, testTime, attrs{"a": "off", "x": "on"})))
	assert.Equal(t, 1, r.counter(t, "otelcol_processor_amplitude_experiment_rejected", "reason", "property_limit"))
	checkLaw(t, r, 2, 2)
}

// TestUserPropertiesOfExposures: the key for exposures applies to those of a result, the one for assignments to the
// assignment sent with them.
func TestUserPropertiesOfExposures(t *testing.T) {
	r := start(t, configOf(t, "assignment: {emit: both, set_user_properties: false}"), nil)
	out := r.send(t, result(t, testTime, attrs{"a": "on"}))
	require.Equal(t, []string{"[Experiment] Assignment", "a"}, flagsOf(out))
	assert.NotContains(t, fold(out[0]), "user_properties")
	assert.Equal(t, attrs{"$set": attrs{"[Experiment] a": "on"}}, fold(out[1])["user_properties"])

	r = start(t, configOf(t, "{assignment: {emit: exposures}, exposure: {set_user_properties: false}}"), nil)
	out = r.send(t, result(t, testTime, attrs{"a": "on"}))
	require.Equal(t, []string{"a"}, flagsOf(out))
	assert.NotContains(t, fold(out[0]), "user_properties")
}

// TestExperimentKeysOfResults: the experiment key is read under each name that Amplitude's SDKs and its evaluation API
// use.
func TestExperimentKeysOfResults(t *testing.T) {
	for name, entry := range map[string]attrs{
		"an SDK for servers":         variant("on", attrs{"experimentKey": "run-2"}),
		"an SDK for clients":         {"key": "on", "expKey": "run-2"},
		"a new run in the API":       {"key": "on", "experiment_key": "run-2"},
		"the API's word in one case": {"key": "on", "experimentKey": "run-2"},
		"the metadata's first":       {"key": "on", "experiment_key": "run-1", "metadata": attrs{"experimentKey": "run-2"}},
	} {
		t.Run(name, func(t *testing.T) {
			r := start(t, configOf(t, "{assignment: {emit: exposures}}"), nil)
			out := r.send(t, result(t, testTime, attrs{"a": entry}))
			require.Len(t, out, 1)
			assert.Equal(t, "run-2", fold(out[0])["event_properties"].(attrs)["[Experiment] Experiment Key"])
		})
	}
}

// TestRawExposuresOfAResult are sent as Amplitude's raw event if the wire format is raw.
func TestRawExposuresOfAResult(t *testing.T) {
	r := start(t, configOf(t, "{assignment: {emit: exposures}, exposure: {wire: raw}}"), nil)
	out := r.send(t, result(t, testTime, attrs{"a": variant("on", attrs{"experimentKey": "run-2"})}))
	require.Len(t, out, 1)
	assert.Equal(t, "$exposure", out[0].EventName())
	assert.Equal(t, attrs{"flag_key": "a", "variant": "on", "experiment_key": "run-2", "metadata": attrs{"experimentKey": "run-2"}}, fold(out[0])["event_properties"])
	assert.NotContains(t, fold(out[0]), "user_properties")
}

// TestAnotherCollectorsAssignmentStaysOne: an event made from a result is not itself a result, whether or not it is
// accepted as shaped.
func TestAnotherCollectorsAssignmentStaysOne(t *testing.T) {
	for _, accept := range []string{"true", "false"} {
		edge := start(t, configOf(t, "{}"), nil)
		edge.send(t, result(t, testTime, attrs{"a": variant("on", attrs{"trackExposure": false}), "b": "on"}))
		gateway := start(t, configOf(t, "{assignment: {emit: both}, accept_shaped: "+accept+"}"), nil)
		assert.Equal(t, []string{"[Experiment] Assignment"}, flagsOf(gateway.send(t, edge.sink.AllLogs()[0])))
	}
}

// TestSDKInsertIDsOfAResult: the Node SDK hashes each exposure with the whole result, defaults included, flags without a key
// left out.
func TestSDKInsertIDsOfAResult(t *testing.T) {
	r := start(t, configOf(t, "{assignment: {emit: exposures}, insert_id: {format: sdk}}"), nil)
	out := r.send(t, result(t, testTime, attrs{
		"b": "on", "a" + " ": variant(" on", attrs{"segmentName": "x"}), "z": variant("off", attrs{"default": true}), "y": attrs{"value": "blue"}, "😀": "x", "\uFB00": "x",
	}))
	// Sorted as JavaScript does, by UTF-16 code units.
	const canonical = "user-12345 device-1 a on b on z off 😀 x \uFB00 x "
	want := map[string]string{}
	for _, flag := range []string{"a ", "b", "y", "😀", "\uFB00"} {
		var hash int32
		for _, unit := range utf16.Encode([]rune(flag + " " + canonical)) {
			hash = hash*31 + int32(unit)
		}
		want[flag] = fmt.Sprintf("user-12345 device-1 %d 20468", hash)
	}
	got := map[string]string{}
	for _, one := range out {
		flag, _ := one.Attributes().Get("[Experiment] Flag Key")
		got[flag.Str()] = insertIDOf(one)
	}
	assert.Equal(t, want, got)
}

// TestPropertiesOfManyExposures: additional properties are copied to each exposure within the budget; beyond it, the
// exposures are sent without them, which is counted.
func TestPropertiesOfManyExposures(t *testing.T) {
	r := start(t, configOf(t, `{assignment: {emit: exposures}, event_properties: {include: [note]}, limits: {inherited_mib: 1}}`), nil)
	ld := batch(t, "$assignment", attrs{"user_id": "user-12345", "variants": manyFlags(2000), "note": strings.Repeat("n", 1000)})
	out := r.send(t, ld)
	require.Len(t, out, 2000)
	with := 0
	for _, one := range out {
		if _, ok := one.Attributes().Get("note"); ok {
			with++
		}
	}
	assert.Greater(t, with, 1000)
	assert.Less(t, with, 2000)
	assert.Equal(t, 2000-with, r.counter(t, "otelcol_processor_amplitude_experiment_properties_left_out", "", ""))
}
