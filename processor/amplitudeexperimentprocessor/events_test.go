// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudeexperimentprocessor

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/amplitude"
)

type attrs = map[string]any

// eventCase is one record and its expected event.
type eventCase struct {
	name     string
	config   string
	resource attrs
	scope    attrs
	event    string
	record   attrs
	body     any
	// want is the folded event; if empty, outcome and reason say why there is none.
	want    attrs
	outcome string
	reason  string
}

// exposed returns the event of a plain exposure; more overrides its parts or adds to them.
func exposed(flag, variant string, more attrs) attrs {
	event := attrs{
		"event_type":       "[Experiment] Exposure",
		"user_id":          "user-12345",
		"event_properties": attrs{"[Experiment] Flag Key": flag, "[Experiment] Variant": variant},
		"user_properties":  attrs{"$set": attrs{"[Experiment] " + flag: variant}},
	}
	return override(event, more)
}

func unexposed(flag string, more attrs) attrs {
	event := attrs{
		"event_type":       "[Experiment] Exposure",
		"user_id":          "user-12345",
		"event_properties": attrs{"[Experiment] Flag Key": flag},
		"user_properties":  attrs{"$unset": attrs{"[Experiment] " + flag: "-"}},
	}
	return override(event, more)
}

func override(event, more attrs) attrs {
	for name, value := range more {
		if value == nil {
			delete(event, name)
		} else {
			event[name] = value
		}
	}
	return event
}

// evaluated makes a record by the newest convention, with additional attributes.
func evaluated(more attrs) attrs {
	return override(attrs{
		"feature_flag.key": "my-flag", "feature_flag.result.variant": "on", "feature_flag.context.id": "user-12345",
	}, more)
}

func exposure(more attrs) attrs {
	return override(attrs{"flag_key": "my-flag", "variant": "on", "user_id": "user-12345"}, more)
}

const evaluationEvent = "feature_flag.evaluation"

var eventCases = []eventCase{
	// The two examples of Amplitude's event-tracking documentation.
	{
		name: "documented assignment", event: "$assignment",
		record: attrs{"user_id": "123456789", "variants": attrs{"my-flag": "off", "my-experiment": "treatment"}},
		want: attrs{
			"user_id": "123456789", "event_type": "[Experiment] Assignment",
			"event_properties": attrs{"[Experiment] my-flag.variant": "off", "[Experiment] my-experiment.variant": "treatment"},
			"user_properties":  attrs{"$set": attrs{"[Experiment] my-experiment": "treatment"}, "$unset": attrs{"[Experiment] my-flag": "-"}},
		},
	},
	{
		name: "documented exposure", event: "$exposure",
		record: attrs{"user_id": "123456789", "flag_key": "my-experiment", "variant": "treatment", "experiment_key": "exp-1"},
		want: attrs{
			"user_id": "123456789", "event_type": "[Experiment] Exposure",
			"event_properties": attrs{"[Experiment] Flag Key": "my-experiment", "[Experiment] Variant": "treatment", "[Experiment] Experiment Key": "exp-1"},
			"user_properties":  attrs{"$set": attrs{"[Experiment] my-experiment": "treatment"}},
		},
	},
	{name: "variant missing", event: "$exposure", record: exposure(attrs{"variant": nil}), want: unexposed("my-flag", nil)},
	{name: "variant null", event: "$exposure", record: attrs{"flag_key": "my-flag", "variant": nil, "user_id": "user-12345"}, want: unexposed("my-flag", nil)},
	{name: "variant empty", event: "$exposure", record: exposure(attrs{"variant": ""}), want: unexposed("my-flag", nil)},
	{name: "variant off", event: "$exposure", record: exposure(attrs{"variant": "off"}), want: unexposed("my-flag", nil)},
	{name: "off variants are configuration", config: "exposure: {off_variants: [control]}", event: "$exposure", record: exposure(attrs{"variant": "off"}), want: exposed("my-flag", "off", nil)},
	{name: "variant a map", event: "$exposure", record: exposure(attrs{"variant": attrs{"key": "on"}}), outcome: "rejected", reason: "bad_variant"},
	{name: "flag key missing", event: "$exposure", record: exposure(attrs{"flag_key": " "}), outcome: "rejected", reason: "no_flag_key"},
	{name: "flag key too long", event: "$exposure", record: exposure(attrs{"flag_key": strings.Repeat("k", 1100)}), outcome: "rejected", reason: "long_flag_key"},
	{name: "tracked elsewhere", event: "$exposure", record: exposure(attrs{"metadata": attrs{"trackExposure": false}}), outcome: "skipped", reason: "track_exposure"},
	{name: "tracked elsewhere, flat", event: "$exposure", record: exposure(attrs{"metadata.trackExposure": false}), outcome: "skipped", reason: "track_exposure"},
	{
		name: "metadata", event: "$exposure",
		record: exposure(attrs{"metadata": attrs{"experimentKey": "exp-2", "flagVersion": 3, "deep": attrs{"nan": math.NaN(), "bytes": []byte{1}}}}),
		want: exposed("my-flag", "on", attrs{"event_properties": attrs{
			"[Experiment] Flag Key": "my-flag", "[Experiment] Variant": "on", "[Experiment] Experiment Key": "exp-2",
			"metadata": attrs{"experimentKey": "exp-2", "flagVersion": int64(3), "deep": attrs{"bytes": "AQ=="}},
		}}),
	},
	{name: "default marker wins over the name", event: "$exposure", record: exposure(attrs{"variant": "off", "metadata.default": false}), want: exposed("my-flag", "off", nil)},
	{
		name: "an SDK's event without insert_id", event: "[Experiment] Exposure",
		record: attrs{"[Experiment] Flag Key": "my-flag", "[Experiment] Variant": "on", "amplitude.user_id": "user-12345"}, want: exposed("my-flag", "on", nil),
	},
	{
		name: "raw wire", config: "exposure: {wire: raw}", event: "$exposure", record: exposure(attrs{"experiment_key": "exp-1"}),
		want: attrs{"event_type": "$exposure", "user_id": "user-12345", "event_properties": attrs{"flag_key": "my-flag", "variant": "on", "experiment_key": "exp-1"}},
	},
	{
		name: "raw wire, unassigned", config: "exposure: {wire: raw}", event: "$exposure", record: exposure(attrs{"variant": "off"}),
		want: attrs{"event_type": "$exposure", "user_id": "user-12345", "event_properties": attrs{"flag_key": "my-flag"}},
	},
	{
		name: "unassigned as identify", config: "exposure: {unassigned: identify}", event: "$exposure", record: exposure(attrs{"variant": "off"}),
		want: attrs{"event_type": "$identify", "user_id": "user-12345", "event_properties": attrs{}, "user_properties": attrs{"$unset": attrs{"[Experiment] my-flag": "-"}}},
	},
	{name: "identify with nothing to set", config: "{exposure: {unassigned: identify}, set_user_properties: false}", event: "$exposure", record: exposure(attrs{"variant": "off"}), outcome: "skipped", reason: "nothing_to_set"},
	{name: "unassigned dropped", config: "exposure: {unassigned: drop}", event: "$exposure", record: exposure(attrs{"variant": "off"}), outcome: "skipped", reason: "unassigned"},
	{name: "no user properties", config: "set_user_properties: false", event: "$exposure", record: exposure(nil), want: exposed("my-flag", "on", attrs{"user_properties": nil})},

	// Evaluations.
	{name: "evaluation", event: evaluationEvent, record: evaluated(nil), want: exposed("my-flag", "on", nil)},
	{name: "off is an ordinary variant", event: evaluationEvent, record: evaluated(attrs{"feature_flag.result.variant": "off"}), want: exposed("my-flag", "off", nil)},
	{name: "evaluation with off variants", config: "evaluation: {off_variants: [off]}", event: evaluationEvent, record: evaluated(attrs{"feature_flag.result.variant": "off"}), want: unexposed("my-flag", nil)},
	{name: "old names", event: "", record: attrs{"event.name": "feature_flag", "feature_flag.key": "my-flag", "feature_flag.variant": "on", "enduser.id": "user-12345"}, want: exposed("my-flag", "on", nil)},
	{name: "name in otel.event.name", event: "", record: evaluated(attrs{"otel.event.name": evaluationEvent, "event.name": "other"}), want: exposed("my-flag", "on", nil)},
	{name: "value in the body", event: evaluationEvent, record: evaluated(attrs{"feature_flag.result.variant": nil}), body: attrs{"value": true}, want: exposed("my-flag", "true", nil)},
	{name: "value attribute", event: evaluationEvent, record: evaluated(attrs{"feature_flag.result.variant": nil, "feature_flag.result.value": int64(9_007_199_254_740_993)}), want: exposed("my-flag", "9007199254740993", nil)},
	{name: "fraction", event: evaluationEvent, record: evaluated(attrs{"feature_flag.result.variant": 1.5}), want: exposed("my-flag", "1.5", nil)},
	{name: "prefer value", config: "evaluation: {prefer_value: true}", event: evaluationEvent, record: evaluated(attrs{"feature_flag.result.variant": "0", "feature_flag.result.value": "blue"}), want: exposed("my-flag", "blue", nil)},
	{name: "value is JSON", event: evaluationEvent, record: evaluated(attrs{"feature_flag.result.variant": nil, "feature_flag.result.value": `{"a":1}`}), outcome: "skipped", reason: "no_variant"},
	{name: "value in quotes", event: evaluationEvent, record: evaluated(attrs{"feature_flag.result.variant": nil, "feature_flag.result.value": `"blue"`}), want: exposed("my-flag", "blue", nil)},
	{name: "value too long", event: evaluationEvent, record: evaluated(attrs{"feature_flag.result.variant": nil, "feature_flag.result.value": strings.Repeat("x", 257)}), outcome: "skipped", reason: "no_variant"},
	{name: "value not a number", event: evaluationEvent, record: evaluated(attrs{"feature_flag.result.variant": nil, "feature_flag.result.value": math.NaN()}), outcome: "skipped", reason: "no_variant"},
	{name: "brackets in a name are not JSON", event: evaluationEvent, record: evaluated(attrs{"feature_flag.result.variant": "[beta]"}), want: exposed("my-flag", "[beta]", nil)},
	{name: "error type", event: evaluationEvent, record: evaluated(attrs{"error.type": "general"}), outcome: "skipped", reason: "error_type"},
	{name: "reason", event: evaluationEvent, record: evaluated(attrs{"feature_flag.result.reason": "STATIC"}), outcome: "skipped", reason: "static"},
	{name: "old reason", event: evaluationEvent, record: evaluated(attrs{"feature_flag.evaluation.reason": "prerequisite_failed"}), outcome: "skipped", reason: "prerequisite_failed"},
	{name: "new reason takes precedence", event: evaluationEvent, record: evaluated(attrs{"feature_flag.evaluation.reason": "default", "feature_flag.result.reason": "split"}), want: exposed("my-flag", "on", nil)},
	{name: "in experiment", event: evaluationEvent, record: evaluated(attrs{"feature_flag.result.reason": "default", "feature_flag.result.reason.inExperiment": true}), want: exposed("my-flag", "on", nil)},
	{name: "custom reason", config: "evaluation: {skip_reasons: [holdout]}", event: evaluationEvent, record: evaluated(attrs{"feature_flag.result.reason": "Holdout"}), outcome: "skipped", reason: "other_reason"},
	{name: "no flag key", event: evaluationEvent, record: evaluated(attrs{"feature_flag.key": []any{"a"}}), outcome: "skipped", reason: "no_flag_key"},
	{name: "evaluations off", config: "evaluation: {enabled: false}", event: evaluationEvent, record: evaluated(nil), outcome: "passed"},
	{name: "event name in another case", event: "Feature_Flag.Evaluation", record: evaluated(nil), outcome: "passed"},
	{name: "event name in the body", event: "", body: evaluationEvent, record: evaluated(nil), outcome: "passed"},
	{name: "not about a flag, dropped", config: "other_records: drop", event: "", record: attrs{"a": "b"}, outcome: "dropped"},
	{name: "an application's own $identify", event: "$identify", record: attrs{"amplitude.user_id": "user-12345"}, outcome: "passed"},
	{name: "facts in the body map", event: evaluationEvent, body: evaluated(nil), want: exposed("my-flag", "on", nil)},
	{
		name: "record before scope before resource", event: evaluationEvent,
		resource: attrs{"user.id": "user-resource", "feature_flag.key": "resource-flag", "feature_flag.experiment.key": "exp-3"},
		scope:    attrs{"user.id": "user-12345", "feature_flag.key": "scope-flag"}, record: attrs{"feature_flag.key": "my-flag", "feature_flag.result.variant": "on"},
		want: exposed("my-flag", "on", attrs{"event_properties": attrs{"[Experiment] Flag Key": "my-flag", "[Experiment] Variant": "on", "[Experiment] Experiment Key": "exp-3"}}),
	},

	// Assignments.
	{
		name: "as evaluate() returns it", event: "$assignment", resource: attrs{"deployment.environment.name": "staging"},
		record: attrs{"user_id": "user-12345", "variants": attrs{
			"a": attrs{"key": "on", "value": "x", "metadata": attrs{"flagVersion": 7, "segmentName": "All Other Users"}},
			"b": attrs{"key": "control", "metadata": attrs{"default": true, "flagVersion": 0, "segmentName": "S"}},
			"m": attrs{"key": "slot-1", "metadata": attrs{"flagType": "mutual-exclusion-group"}},
			"h": attrs{"key": "holdout", "metadata": attrs{"flagType": "holdout-group"}},
			"v": attrs{"value": true}, "n": attrs{}, "": "on", "z": []any{"a"},
		}},
		want: attrs{
			"event_type": "[Experiment] Assignment", "user_id": "user-12345",
			"event_properties": attrs{
				"[Experiment] a.variant": "on", "[Experiment] a.details": "v7 rule:All Other Users",
				"[Experiment] b.variant": "control", "[Experiment] b.details": "v0 rule:S",
				"[Experiment] m.variant": "slot-1", "[Experiment] h.variant": "holdout", "[Experiment] v.variant": "true", "[Experiment] n.variant": "off",
				"[Experiment] Environment Name": "staging",
			},
			"user_properties": attrs{
				"$set":   attrs{"[Experiment] a": "on", "[Experiment] h": "holdout", "[Experiment] v": "true"},
				"$unset": attrs{"[Experiment] b": "-", "[Experiment] n": "-"},
			},
		},
	},
	{
		name: "flat", event: "$assignment",
		record: attrs{"user_id": "user-12345", "[Experiment] a.variant": "on", "b.variant": "off", "a.details": "v1 rule:x", "feature_flag.result.variant": "no flag", "environment": "test"},
		want: attrs{
			"event_type": "[Experiment] Assignment", "user_id": "user-12345",
			"event_properties": attrs{"[Experiment] a.variant": "on", "[Experiment] a.details": "v1 rule:x", "[Experiment] b.variant": "off", "[Experiment] Environment Name": "test"},
			"user_properties":  attrs{"$set": attrs{"[Experiment] a": "on"}, "$unset": attrs{"[Experiment] b": "-"}},
		},
	},
	{
		name: "an SDK's prefix", config: `assignment: {property_prefix: ""}`, event: "$assignment",
		record: attrs{"user_id": "user-12345", "variants": attrs{"a": "on"}},
		want:   attrs{"event_type": "[Experiment] Assignment", "user_id": "user-12345", "event_properties": attrs{"a.variant": "on"}, "user_properties": attrs{"$set": attrs{"[Experiment] a": "on"}}},
	},
	{name: "no flags", event: "$assignment", record: attrs{"user_id": "user-12345", "variants": attrs{}}, outcome: "skipped", reason: "no_flags"},
	{name: "no usable flag", event: "$assignment", record: attrs{"user_id": "user-12345", "variants": attrs{"a": []any{1}}}, outcome: "rejected", reason: "bad_variant"},

	// Identity.
	{name: "no id", event: "$exposure", record: exposure(attrs{"user_id": nil}), outcome: "rejected", reason: "no_id"},
	{name: "blank id", event: "$exposure", record: exposure(attrs{"user_id": "  "}), outcome: "rejected", reason: "empty_id"},
	{name: "placeholder", event: "$exposure", record: exposure(attrs{"user_id": "Anonymous"}), outcome: "rejected", reason: "placeholder_id"},
	{name: "short id", event: "$exposure", record: exposure(attrs{"user_id": "u-1"}), outcome: "rejected", reason: "short_id"},
	{name: "long id", event: "$exposure", record: exposure(attrs{"user_id": strings.Repeat("u", 1025)}), outcome: "rejected", reason: "long_id"},
	{name: "boolean id", event: "$exposure", record: exposure(attrs{"user_id": true}), outcome: "rejected", reason: "not_an_id"},
	{name: "short id allowed", config: "identity: {min_id_length: 1}", event: "$exposure", record: exposure(attrs{"user_id": "u"}), want: exposed("my-flag", "on", attrs{"user_id": "u"})},
	{name: "id is trimmed", event: "$exposure", record: exposure(attrs{"user_id": " User-12345\n"}), want: exposed("my-flag", "on", attrs{"user_id": "User-12345"})},
	{name: "integer id keeps its digits", event: "$exposure", record: exposure(attrs{"user_id": int64(9_223_372_036_854_775_807)}), want: exposed("my-flag", "on", attrs{"user_id": "9223372036854775807"})},
	{name: "a refused id is ignored", event: "$exposure", record: exposure(attrs{"user_id": "user-12345", "user.id": "null", "device.id": "unknown", "device_id": "device-1"}), want: exposed("my-flag", "on", attrs{"device_id": "device-1"})},
	{name: "context only if there is no user", event: evaluationEvent, record: evaluated(attrs{"user.id": "user-67890"}), want: exposed("my-flag", "on", attrs{"user_id": "user-67890"})},
	{name: "context of the old name", event: evaluationEvent, record: attrs{"feature_flag.key": "my-flag", "feature_flag.variant": "on", "feature_flag.context.key": "user-12345"}, want: exposed("my-flag", "on", nil)},
	{name: "context is a device", config: "identity: {context_id_as: device_id}", event: evaluationEvent, record: evaluated(nil), want: exposed("my-flag", "on", attrs{"user_id": nil, "device_id": "user-12345"})},
	{name: "context ignored", config: "identity: {context_id_as: ignore}", event: evaluationEvent, record: evaluated(nil), outcome: "rejected", reason: "no_id"},
	{name: "session of digits", event: "$exposure", record: exposure(attrs{"session.id": "1768478400123"}), want: exposed("my-flag", "on", attrs{"session_id": int64(1_768_478_400_123)})},
	{name: "session in seconds", event: "$exposure", record: exposure(attrs{"session.id": int64(1_768_478_400)}), want: exposed("my-flag", "on", nil)},
	{name: "session of letters", event: "$exposure", record: exposure(attrs{"session.id": "f0b4871cd4157"}), want: exposed("my-flag", "on", nil)},
	{
		name: "groups", config: "identity: {groups: {company: org.id}}", event: "$exposure", resource: attrs{"org.id": "acme"},
		record: exposure(attrs{"groups": attrs{"team": []any{"red", "blue", "red", ""}, "empty": []any{}}}),
		want:   exposed("my-flag", "on", attrs{"groups": attrs{"company": "acme", "team": []any{"red", "blue"}}}),
	},
	{
		name: "too many groups", event: "$exposure",
		record: exposure(attrs{"groups": attrs{"a": []any{"1", "2", "3", "4", "5", "6"}, "b": []any{"1", "2", "3", "4", "5", "6"}, "c": "1"}}),
		want:   exposed("my-flag", "on", attrs{"groups": attrs{"a": []any{"1", "2", "3", "4", "5", "6"}, "b": []any{"1", "2", "3", "4"}}}),
	},

	// The client.
	{
		name: "browser", event: "$exposure", record: exposure(nil),
		resource: attrs{"browser.language": "en-US", "browser.platform": "Windows", "user_agent.original": "Mozilla/5.0", "service.version": "5.0.3", "telemetry.sdk.language": "webjs"},
		want:     exposed("my-flag", "on", attrs{"language": "en-US", "user_agent": "Mozilla/5.0", "app_version": "5.0.3"}),
	},
	{
		name: "phone", event: "$exposure", record: exposure(attrs{"client.address": "2001:db8::1"}),
		resource: attrs{
			"os.name": "Android", "os.version": "14", "device.manufacturer": "Google", "device.model.identifier": "Pixel 8", "network.carrier.name": "o2",
			"geo.country.iso_code": "DE", "geo.region.iso_code": "DE-BE", "geo.locality.name": "Berlin", "geo.location.lat": 52.5, "geo.location.lon": int64(13),
		},
		want: exposed("my-flag", "on", attrs{
			"platform": "Android", "os_name": "Android", "os_version": "14", "device_manufacturer": "Google", "device_model": "Pixel 8", "carrier": "o2",
			"country": "DE", "region": "DE-BE", "city": "Berlin", "location_lat": 52.5, "location_lng": 13.0, "ip": "2001:db8::1",
		}),
	},
	{
		name: "an incomplete group is left out", event: "$exposure", record: exposure(attrs{"client.address": "$remote"}),
		resource: attrs{"os.name": "iOS", "device.model.name": "iPhone", "geo.country.iso_code": "DE"}, want: exposed("my-flag", "on", nil),
	},
	{
		name: "a server describes itself", event: "$exposure", record: exposure(attrs{"client.address": "10.1.2.3"}),
		resource: attrs{"os.name": "linux", "os.version": "6", "service.version": "1", "host.name": "server-1", "telemetry.sdk.language": "go", "geo.country.iso_code": "DE"},
		want:     exposed("my-flag", "on", attrs{"ip": "10.1.2.3"}),
	},

	// Other attributes.
	{
		name: "no attribute is sent by default", event: "$exposure", record: exposure(attrs{"user.email": "a@b.c", "price": 1}), want: exposed("my-flag", "on", nil),
	},
	{
		name: "allow-list", config: `event_properties: {include: ["shop.*", "feature_flag.*.id", country]}`, event: evaluationEvent,
		record: evaluated(attrs{"shop.cart": int64(3), "feature_flag.set.id": "s-1", "feature_flag.version": "1", "country": "DE", "countryside": "x"}),
		want: exposed("my-flag", "on", attrs{"event_properties": attrs{
			"[Experiment] Flag Key": "my-flag", "[Experiment] Variant": "on", "shop.cart": int64(3), "feature_flag.set.id": "s-1", "country": "DE",
		}}),
	},
	{
		name: "even everything is not everything", config: `event_properties: {include: ["*"]}`, event: evaluationEvent,
		record: evaluated(attrs{
			"error.message": "no", "feature_flag.error.message": "no", "exception.message": "no", "[Experiment] my-flag": "spoof", "amplitude.country": "spoof",
			"amplitude.user_properties.$set.plan": "spoof", "$set": "kept as a property", "nan": math.Inf(1), "empty": nil, "": "nameless", "event.name": "x",
			"feature_flag.provider.name": "flagd",
		}),
		want: exposed("my-flag", "on", attrs{"event_properties": attrs{
			"[Experiment] Flag Key": "my-flag", "[Experiment] Variant": "on", "$set": "kept as a property", "feature_flag.provider.name": "flagd",
		}}),
	},
	{
		name: "long text is truncated between characters", config: `event_properties: {include: ["*"]}`, event: "$exposure",
		record: exposure(attrs{"text": strings.Repeat("😀", 600), "bad": "a\xffb"}),
		want: exposed("my-flag", "on", attrs{"event_properties": attrs{
			"[Experiment] Flag Key": "my-flag", "[Experiment] Variant": "on", "text": strings.Repeat("😀", 512), "bad": "a\uFFFDb",
		}}),
	},
	{name: "invalid UTF-8 in a variant", event: "$exposure", record: exposure(attrs{"variant": "a\xff\xfeb"}), want: exposed("my-flag", "a\uFFFDb", nil)},
}

// request returns the record of a case with its scope and resource.
func (tc *eventCase) request(t *testing.T) (plog.Logs, plog.LogRecord) {
	t.Helper()
	ld := plog.NewLogs()
	resource := ld.ResourceLogs().AppendEmpty()
	scope := resource.ScopeLogs().AppendEmpty()
	require.NoError(t, resource.Resource().Attributes().FromRaw(tc.resource))
	require.NoError(t, scope.Scope().Attributes().FromRaw(tc.scope))
	r := record(t, ld, tc.event, tc.record)
	require.NoError(t, r.Body().FromRaw(tc.body))
	return ld, r
}

func TestEvents(t *testing.T) {
	for _, tc := range slices.Concat(eventCases, shapeCases) {
		t.Run(tc.name, func(t *testing.T) {
			ld, r := tc.request(t)
			r.SetSeverityNumber(plog.SeverityNumberInfo)
			r.SetSeverityText("INFO")
			r.SetTraceID(pcommon.TraceID{1})
			r.SetSpanID(pcommon.SpanID{2})
			// A neighbor that must not be affected.
			neighbor := record(t, ld, "", attrs{"neighbor": true})
			neighbor.Body().SetStr("an ordinary log line")
			before := plog.NewLogRecord()
			neighbor.CopyTo(before)

			config := tc.config
			if config == "" {
				config = "{}"
			}
			p := start(t, configOf(t, config), nil)
			out := p.send(t, ld)
			if tc.outcome == "" {
				tc.outcome = "exposure"
				switch {
				case tc.want["event_type"] == "[Experiment] Assignment":
					tc.outcome = "assignment"
				case tc.want["event_type"] == "$identify", tc.want["event_properties"].(attrs)["[Experiment] Variant"] == nil && tc.want["event_properties"].(attrs)["variant"] == nil:
					tc.outcome = "unexposure"
				}
			}
			switch tc.outcome {
			case "passed":
				assert.Equal(t, 2, p.outcome(t, "passed"))
				return
			case "dropped":
				assert.Empty(t, out)
				assert.Equal(t, 2, p.outcome(t, "dropped"))
				return
			}
			assert.Equal(t, 1, p.outcome(t, tc.outcome))
			require.NotEmpty(t, out)
			last := out[len(out)-1]
			assert.Equal(t, before.Body().AsRaw(), last.Body().AsRaw())
			assert.Equal(t, before.Attributes().AsRaw(), last.Attributes().AsRaw())
			if tc.reason != "" {
				assert.Len(t, out, 1)
				assert.Equal(t, 1, p.counter(t, "otelcol_processor_amplitude_experiment_"+tc.outcome, "reason", tc.reason))
				return
			}
			require.Len(t, out, 2)
			assert.Equal(t, tc.want, fold(out[0]))
			assert.NotEmpty(t, insertIDOf(out[0]))
			assert.Equal(t, testTime*1_000_000, int64(out[0].Timestamp()))
			assert.Equal(t, pcommon.ValueTypeEmpty, out[0].Body().Type())
			assert.Empty(t, out[0].SeverityText())
			assert.Equal(t, plog.SeverityNumberUnspecified, out[0].SeverityNumber())
			assert.Equal(t, pcommon.TraceID{1}, out[0].TraceID())
			assert.Equal(t, pcommon.SpanID{2}, out[0].SpanID())
		})
	}
}

// TestLargeAssignment: more properties than one event may have become several events, each complete by itself; together
// they are the result.
func TestLargeAssignment(t *testing.T) {
	for _, tc := range []struct {
		flags, events int
		details       bool
	}{
		{1024, 1, false},
		{1025, 2, false},
		{512, 1, true},
		{513, 2, true},
		{3000, 6, true},
	} {
		t.Run(fmt.Sprintf("%d flags, details %v", tc.flags, tc.details), func(t *testing.T) {
			variants := attrs{}
			for i := range tc.flags {
				variant := attrs{"key": []string{"on", "off"}[i%2]}
				if tc.details {
					variant["metadata"] = attrs{"flagVersion": i, "segmentName": "all"}
				}
				variants[fmt.Sprintf("flag-%04d", i)] = variant
			}
			p := start(t, configOf(t, `event_properties: {include: [country]}`), nil)
			makeBatch := func() plog.Logs {
				return batch(t, "$assignment", attrs{"user_id": "user-12345", "device_id": "device-1", "variants": variants, "country": "DE"})
			}
			out := p.send(t, makeBatch())
			require.Len(t, out, tc.events)
			told := map[string]any{}
			properties := map[string]any{}
			ids := map[string]bool{}
			for _, r := range out {
				checkEvent(t, r)
				event := fold(r)
				assert.Equal(t, "user-12345", event["user_id"])
				assert.Equal(t, "device-1", event["device_id"])
				ids[insertIDOf(r)] = true
				for name, value := range event["event_properties"].(attrs) {
					told[name] = value
				}
				for operator, of := range event["user_properties"].(attrs) {
					for name := range of.(attrs) {
						_, twice := properties[name]
						assert.False(t, twice, name)
						properties[name] = operator
					}
				}
			}
			assert.Len(t, ids, tc.events)
			assert.Len(t, properties, len(variants))
			for flag, variant := range variants {
				assert.Equal(t, variant.(attrs)["key"], told["[Experiment] "+flag+".variant"])
			}
			assert.Equal(t, 1, p.outcome(t, "assignment"))
			assert.Equal(t, tc.events-1, p.counter(t, "otelcol_processor_amplitude_experiment_extra_events", "", ""))
			assert.Empty(t, p.send(t, makeBatch()), "a repeat of everything")
			// One flag changes: only the event with this flag is sent again.
			variants["flag-0001"].(attrs)["key"] = "treatment"
			out = p.send(t, makeBatch())
			require.Len(t, out, 2)
			assert.Equal(t, amplitude.EventAssignment, out[0].EventName())
			assert.Equal(t, attrs{"$set": attrs{"[Experiment] flag-0001": "treatment"}}, fold(out[1])["user_properties"], "its property is set after it")
		})
	}
}
