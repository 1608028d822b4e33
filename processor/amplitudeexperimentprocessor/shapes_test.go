// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudeexperimentprocessor

import "strings"

// valued makes an evaluation without a variant.
func valued(value any, more attrs) attrs {
	return evaluated(override(attrs{"feature_flag.result.variant": nil, "feature_flag.result.value": value}, more))
}

// fromProvider makes an evaluation of a provider, without a reason unless more has one.
func fromProvider(provider string, more attrs) attrs {
	return evaluated(override(attrs{"feature_flag.provider.name": provider}, more))
}

// documented is the event from Amplitude's documentation as the content of a record.
func documented(more attrs) attrs {
	return override(attrs{"user_id": "user-12345", "event_type": "$exposure", "event_properties": attrs{"flag_key": "my-flag", "variant": "on"}}, more)
}

// shapeCases are the forms in which real emitters write the same facts.
var shapeCases = []eventCase{
	// Event names: Rust's tracing and .NET's LoggerMessage always fill EventName.
	{name: "name of a code location", event: "event src/checkout.rs:42", record: exposure(attrs{"event.name": "$exposure"}), want: exposed("my-flag", "on", nil)},
	{name: "name of a method", event: "LogExposure", record: evaluated(attrs{"otel.event.name": "feature_flag.evaluation"}), want: exposed("my-flag", "on", nil)},
	{name: "first attribute that names an event", event: "LogExposure", record: exposure(attrs{"otel.event.name": "cart.viewed", "event.name": "$exposure"}), want: exposed("my-flag", "on", nil)},
	{name: "EventName before attributes", event: "$exposure", record: exposure(attrs{"event.name": "$assignment"}), want: exposed("my-flag", "on", nil)},
	{name: "names of others", event: "LogExposure", record: exposure(attrs{"otel.event.name": "cart.viewed"}), outcome: "passed"},
	{name: "name in the body", body: exposure(attrs{"event.name": "$exposure", "level": "info"}), want: exposed("my-flag", "on", nil)},
	{name: "nested name", record: exposure(attrs{"event": attrs{"name": "$exposure"}}), want: exposed("my-flag", "on", nil)},
	{name: "nested name in the body", body: exposure(attrs{"otel": attrs{"event": attrs{"name": "$exposure"}}}), want: exposed("my-flag", "on", nil)},
	{name: "configured name", config: "event_name: [microsoft.custom_event.name]", record: exposure(attrs{"microsoft.custom_event.name": "$exposure"}), want: exposed("my-flag", "on", nil)},
	{name: "configured name, nested", config: "event_name: [context.event.name]", record: exposure(attrs{"context": attrs{"event.name": "$exposure"}}), want: exposed("my-flag", "on", nil)},
	{name: "configured names are exact", config: "event_name: [kind]", record: exposure(attrs{"event.name": "$exposure"}), outcome: "passed"},
	{name: "no names in attributes", config: "event_name: []", record: exposure(attrs{"event.name": "$exposure"}), outcome: "passed"},
	{name: "only a name with a place in the list", config: "exposure: {event_names: [only.this]}", event: "$exposure", record: exposure(nil), outcome: "passed"},
	{name: "no exposures", config: "exposure: {event_names: []}", event: "[Experiment] Exposure", record: exposure(nil), outcome: "passed"},
	{name: "no assignments", config: "assignment: {event_names: []}", event: "$assignment", record: attrs{"user_id": "user-12345", "variants": attrs{"a": "b"}}, outcome: "passed"},

	// A body that is JSON text.
	{name: "body of JSON", config: "parse_json_body: true", body: ` {"event.name":"$exposure","flag_key":"my-flag","variant":"on","user_id":"user-12345"} `, want: exposed("my-flag", "on", nil)},
	{name: "body of JSON, nested", config: "parse_json_body: true", body: `{"event":{"name":"feature_flag.evaluation"},"feature_flag":{"key":"my-flag","result":{"variant":"on"},"context":{"id":"user-12345"}}}`, want: exposed("my-flag", "on", nil)},
	{name: "body of JSON, escaped", config: "parse_json_body: true", body: `{"event.name":"\u0024exposure","flag_key":"my-flag","variant":true,"user_id":9007199254740993}`, want: exposed("my-flag", "true", attrs{"user_id": "9007199254740993"})},
	{name: "body of JSON, as PHP escapes it", config: "parse_json_body: true\nexposure: {event_names: [shop/exposure]}", body: `{"event.name":"shop\/exposure","flag_key":"my-flag","variant":"on","user_id":"user-12345"}`, want: exposed("my-flag", "on", nil)},
	{name: "body of JSON with EventName", config: "parse_json_body: true", event: "$exposure", body: `{"flag_key":"my-flag","variant":"on","user_id":"user-12345"}`, want: exposed("my-flag", "on", nil)},
	{name: "body of broken JSON", config: "parse_json_body: true", body: `{"event.name":"$exposure",`, outcome: "passed"},
	{name: "body of two texts of JSON", config: "parse_json_body: true", body: `{"event.name":"$exposure"} {}`, outcome: "passed"},
	{name: "body of deep JSON", config: "parse_json_body: true", body: `{"event.name":"$exposure","a":` + strings.Repeat("[", 5000) + strings.Repeat("]", 5000) + "}", outcome: "passed"},
	{name: "body of JSON is text", body: `{"event.name":"$exposure","flag_key":"my-flag","variant":"on","user_id":"user-12345"}`, outcome: "passed"},

	// Nested: slog groups, zap namespaces, JSON parsers.
	{name: "nested", event: evaluationEvent, record: attrs{"feature_flag": attrs{"key": "my-flag", "result": attrs{"variant": "on", "reason": "split"}, "context": attrs{"id": "user-12345"}}}, want: exposed("my-flag", "on", nil)},
	{name: "partly nested", event: evaluationEvent, record: attrs{"feature_flag.key": "my-flag", "feature_flag": attrs{"result.variant": "on"}, "user": attrs{"id": "user-12345"}}, want: exposed("my-flag", "on", nil)},
	{name: "flat before nested", event: evaluationEvent, record: evaluated(attrs{"feature_flag": attrs{"key": "other", "result": attrs{"variant": "off"}}}), want: exposed("my-flag", "on", nil)},
	{name: "nested reason", event: evaluationEvent, record: evaluated(attrs{"feature_flag": attrs{"result": attrs{"reason": attrs{"kind": "OFF"}}}}), outcome: "skipped", reason: "off"},
	{name: "nested error", event: evaluationEvent, record: evaluated(attrs{"error": attrs{"type": "general"}}), outcome: "skipped", reason: "error_type"},
	{name: "nested in the body", event: evaluationEvent, body: attrs{"feature_flag": attrs{"key": "my-flag", "result": attrs{"value": "blue"}, "context": attrs{"id": "user-12345"}}}, want: exposed("my-flag", "blue", nil)},
	{name: "nested in the resource", event: "$exposure", resource: attrs{"device": attrs{"id": "device-1"}}, record: exposure(nil), want: exposed("my-flag", "on", attrs{"device_id": "device-1"})},
	{name: "nested under a configured name", config: "exposure: {flag_key: [properties.flag], variant: [properties.variant]}", event: "$exposure", record: attrs{"user_id": "user-12345", "properties": attrs{"flag": "my-flag", "variant": "on"}}, want: exposed("my-flag", "on", nil)},
	{name: "nested groups", event: "$exposure", record: exposure(attrs{"amplitude": attrs{"groups": attrs{"company": "acme"}}}), want: exposed("my-flag", "on", attrs{"groups": attrs{"company": "acme"}})},
	{name: "nested operators are ignored", event: "$exposure", record: exposure(attrs{"amplitude": attrs{"user_properties": attrs{"$set": attrs{"plan": "gold"}}, "insert_id": "x"}}), want: exposed("my-flag", "on", nil)},
	{
		name: "nested names are sent as dotted ones", config: `event_properties: {include: ["*"]}`, event: evaluationEvent,
		record: attrs{
			"feature_flag": attrs{"key": "my-flag", "result": attrs{"variant": "on", "reason": "split"}, "context": attrs{"id": "user-12345"}, "set": attrs{"id": "shop"}, "error": attrs{"message": "secret"}},
			"error":        attrs{"message": "secret"}, "exception": attrs{"message": "secret"}, "shop": attrs{"country": "DE"},
		},
		want: exposed("my-flag", "on", attrs{"event_properties": attrs{
			"[Experiment] Flag Key": "my-flag", "[Experiment] Variant": "on", "feature_flag.result.reason": "split", "feature_flag.set.id": "shop", "shop": attrs{"country": "DE"},
		}}),
	},

	// The event from Amplitude's documentation.
	{name: "documented event", event: "$exposure", record: documented(nil), want: exposed("my-flag", "on", nil)},
	{name: "documented event in the body", event: "$exposure", body: documented(nil), want: exposed("my-flag", "on", nil)},
	{name: "documented event without a name", record: documented(nil), want: exposed("my-flag", "on", nil)},
	{name: "documented event in the body without a name", body: documented(nil), want: exposed("my-flag", "on", nil)},
	{name: "documented event of a logger that cannot nest", record: attrs{"event_type": "$exposure", "user_id": "user-12345", "event_properties": ` {"flag_key":"my-flag","variant":"on"}`}, want: exposed("my-flag", "on", nil)},
	{name: "documented event with properties that are not JSON", record: attrs{"event_type": "$exposure", "user_id": "user-12345", "event_properties": `{"flag_key":"my-flag",`}, outcome: "rejected", reason: "no_flag_key"},
	{name: "documented event as JSON", config: "parse_json_body: true", body: `{"event_type":"$exposure","user_id":"user-12345","event_properties":{"flag_key":"my-flag","variant":"on"}}`, want: exposed("my-flag", "on", nil)},
	{name: "an event type alone is not a name", record: exposure(attrs{"event_type": "$exposure"}), outcome: "passed"},
	{name: "another event", record: documented(attrs{"event_type": "Cart Viewed"}), outcome: "passed"},
	{
		name: "its user properties are not operators", event: "$exposure", config: `event_properties: {include: ["*"]}`,
		record: documented(attrs{"user_properties": attrs{"$set": attrs{"plan": "gold"}}, "event_properties": attrs{"flag_key": "my-flag", "variant": "on", "price": 3, "[Experiment] Variant": "off"}}),
		want:   exposed("my-flag", "on", attrs{"event_properties": attrs{"[Experiment] Flag Key": "my-flag", "[Experiment] Variant": "on", "price": int64(3)}}),
	},
	{
		name: "documented assignment as an event", event: "[Experiment] Assignment",
		record: attrs{"user_id": "123456789", "event_properties": attrs{"[Experiment] my-flag.variant": "off", "[Experiment] my-experiment.variant": "treatment", "[Experiment] my-experiment.details": "v3 rule:all"}},
		want: attrs{
			"user_id": "123456789", "event_type": "[Experiment] Assignment",
			"event_properties": attrs{"[Experiment] my-flag.variant": "off", "[Experiment] my-experiment.variant": "treatment", "[Experiment] my-experiment.details": "v3 rule:all"},
			"user_properties":  attrs{"$set": attrs{"[Experiment] my-experiment": "treatment"}, "$unset": attrs{"[Experiment] my-flag": "-"}},
		},
	},
	{name: "default marker in it", event: "$exposure", record: documented(attrs{"event_properties": attrs{"flag_key": "my-flag", "variant": "control", "metadata": `{"default":true}`}}), want: unexposed("my-flag", attrs{
		"event_properties": attrs{"[Experiment] Flag Key": "my-flag", "metadata": attrs{"default": true}},
	})},

	// JSON text where a map belongs.
	{name: "metadata of JSON", event: "$exposure", record: exposure(attrs{"variant": "control", "metadata": `{"default":true}`}), want: unexposed("my-flag", attrs{
		"event_properties": attrs{"[Experiment] Flag Key": "my-flag", "metadata": attrs{"default": true}},
	})},
	{name: "metadata of JSON null", event: "$exposure", record: exposure(attrs{"metadata": "null"}), want: exposed("my-flag", "on", nil)},
	{name: "metadata blank", event: "$exposure", record: exposure(attrs{"metadata": " "}), want: exposed("my-flag", "on", nil)},
	{name: "metadata of broken JSON", event: "$exposure", record: exposure(attrs{"metadata": `{"default":tr`}), outcome: "rejected", reason: "bad_metadata"},
	{name: "metadata of Python", event: "$exposure", record: exposure(attrs{"metadata": `{'default': True}`}), outcome: "rejected", reason: "bad_metadata"},
	{name: "metadata a list", event: "$exposure", record: exposure(attrs{"metadata": []any{"default"}}), outcome: "rejected", reason: "bad_metadata"},
	{name: "metadata of JSON too long", event: "$exposure", record: exposure(attrs{"metadata": `{"default":true,"x":"` + strings.Repeat("x", 1<<20) + `"}`}), outcome: "rejected", reason: "bad_metadata"},
	{name: "default marker of text", event: "$exposure", record: exposure(attrs{"metadata.default": "True"}), want: unexposed("my-flag", nil)},
	{
		name: "variants of JSON", event: "$assignment", record: attrs{"user_id": "user-12345", "variants": `{"a":"treatment","b":{"key":"on","metadata":{"default":true}}}`},
		want: attrs{
			"user_id": "user-12345", "event_type": "[Experiment] Assignment",
			"event_properties": attrs{"[Experiment] a.variant": "treatment", "[Experiment] b.variant": "on"},
			"user_properties":  attrs{"$set": attrs{"[Experiment] a": "treatment"}, "$unset": attrs{"[Experiment] b": "-"}},
		},
	},
	{name: "variants of broken JSON", event: "$assignment", record: attrs{"user_id": "user-12345", "variants": `{"a":`}, outcome: "rejected", reason: "bad_variants"},
	{name: "variants a list", event: "$assignment", record: attrs{"user_id": "user-12345", "variants": []any{"a"}}, outcome: "rejected", reason: "bad_variants"},
	{name: "metadata of a variant", event: "$assignment", record: attrs{"user_id": "user-12345", "variants": attrs{"a": attrs{"key": "on", "metadata": "[object Object]"}}}, outcome: "rejected", reason: "bad_metadata"},
	{name: "groups of JSON", event: "$exposure", record: exposure(attrs{"groups": `{"company":["acme","globex"]}`}), want: exposed("my-flag", "on", attrs{"groups": attrs{"company": []any{"acme", "globex"}}})},
	{name: "groups that are not JSON", event: "$exposure", record: exposure(attrs{"groups": "acme"}), outcome: "rejected", reason: "bad_groups"},

	// Reasons.
	{name: "reason of LaunchDarkly's plugins", event: evaluationEvent, record: evaluated(attrs{"feature_flag.result.reason.kind": "PREREQUISITE_FAILED"}), outcome: "skipped", reason: "prerequisite_failed"},
	{name: "error of LaunchDarkly's plugins", event: evaluationEvent, record: evaluated(attrs{"feature_flag.result.reason.errorKind": "FLAG_NOT_FOUND"}), outcome: "skipped", reason: "error_type"},
	{name: "in experiment as text", event: evaluationEvent, record: evaluated(attrs{"feature_flag.result.reason": "default", "feature_flag.result.reason.inExperiment": "true"}), want: exposed("my-flag", "on", nil)},
	{name: "Flipt's default", event: evaluationEvent, record: evaluated(attrs{"feature_flag.result.reason": "DEFAULT_EVALUATION_REASON"}), outcome: "skipped", reason: "default"},
	{name: "Flipt's disabled", event: evaluationEvent, record: evaluated(attrs{"feature_flag.result.reason": "flag_disabled_evaluation_reason"}), outcome: "skipped", reason: "disabled"},
	{name: "Flipt's default where default counts", config: "evaluation: {skip_reasons: [error]}", event: evaluationEvent, record: evaluated(attrs{"feature_flag.result.reason": "DEFAULT_EVALUATION_REASON"}), want: exposed("my-flag", "on", nil)},
	{name: "Flipt's default, configured", config: "evaluation: {skip_reasons: [default_evaluation_reason]}", event: evaluationEvent, record: evaluated(attrs{"feature_flag.result.reason": "DEFAULT_EVALUATION_REASON"}), outcome: "skipped", reason: "default"},
	{name: "Flipt's match", event: evaluationEvent, record: evaluated(attrs{"feature_flag.result.reason": "match_evaluation_reason"}), want: exposed("my-flag", "on", nil)},
	{name: "Flipt's own telemetry", event: evaluationEvent, record: evaluated(attrs{"flipt.result.reason": "disabled"}), outcome: "skipped", reason: "disabled"},
	{name: "Microsoft's default", event: evaluationEvent, record: evaluated(attrs{"VariantAssignmentReason": "DefaultWhenEnabled"}), outcome: "skipped", reason: "default"},
	{name: "Microsoft's percentile", event: evaluationEvent, record: evaluated(attrs{"VariantAssignmentReason": "Percentile"}), want: exposed("my-flag", "on", nil)},
	{name: "configured reason", config: "evaluation: {reason: [why]}", event: evaluationEvent, record: evaluated(attrs{"why": "Default", "feature_flag.result.reason": "split"}), outcome: "skipped", reason: "default"},
	{name: "default marker", config: "evaluation: {default_marker: [default]}", event: evaluationEvent, record: evaluated(attrs{"default": true}), outcome: "skipped", reason: "default"},
	{name: "no default", config: `evaluation: {default_marker: [default], off_variants: ["on"]}`, event: evaluationEvent, record: evaluated(attrs{"default": "false"}), want: exposed("my-flag", "on", nil)},

	// Printed objects and quotes; internal/experiment/objectprint_test.go has all of them.
	{name: "print of a Java object", event: evaluationEvent, record: evaluated(attrs{"feature_flag.result.variant": "Value(innerObject=3)"}), outcome: "skipped", reason: "no_variant"},
	{name: "print of a map as a variant", event: "$exposure", record: exposure(attrs{"variant": "map[columns:3]"}), outcome: "rejected", reason: "bad_variant"},
	{name: "variant in quotes", event: evaluationEvent, record: evaluated(attrs{"feature_flag.variant": `"blue"`, "feature_flag.result.variant": nil}), want: exposed("my-flag", "blue", nil)},
	{name: "null for a value", event: evaluationEvent, record: valued("null", nil), outcome: "skipped", reason: "no_variant"},

	// What is known about providers.
	{name: "Unleash's default", event: evaluationEvent, record: valued("classic", attrs{"feature_flag.provider.name": "unleash", "feature_flag.result.reason": "unknown"}), outcome: "skipped", reason: "default"},
	{name: "Unleash's default without a reason", event: evaluationEvent, record: valued("classic", attrs{"feature_flag.provider_name": "Unleash"}), outcome: "skipped", reason: "default"},
	{name: "Unleash's variant", event: evaluationEvent, record: fromProvider("unleash", attrs{"feature_flag.result.reason": "unknown"}), want: exposed("my-flag", "on", nil)},
	{name: "Unleash's boolean", event: evaluationEvent, record: valued(false, attrs{"feature_flag.provider.name": "unleash"}), want: exposed("my-flag", "false", nil)},
	{name: "Unleash without what is known of it", config: "evaluation: {preset: none}", event: evaluationEvent, record: valued("classic", attrs{"feature_flag.provider.name": "unleash"}), want: exposed("my-flag", "classic", nil)},
	{name: "Unleash by configuration", config: "evaluation: {preset: unleash}", event: evaluationEvent, record: valued("classic", nil), outcome: "skipped", reason: "default"},
	{name: "a value without a reason", event: evaluationEvent, record: valued("blue", attrs{"feature_flag.provider.name": "env-var"}), want: exposed("my-flag", "blue", nil)},
	{name: "Flagsmith's false", event: evaluationEvent, record: valued(false, attrs{"feature_flag.provider.name": "flagsmith-provider", "feature_flag.result.reason": "disabled"}), want: exposed("my-flag", "false", nil)},
	{name: "Flagsmith's disabled text", event: evaluationEvent, record: valued("short", attrs{"feature_flag.provider.name": "flagsmith-provider", "feature_flag.result.reason": "disabled"}), outcome: "skipped", reason: "disabled"},
	{name: "disabled elsewhere", event: evaluationEvent, record: valued(false, attrs{"feature_flag.provider.name": "flagd", "feature_flag.result.reason": "disabled"}), outcome: "skipped", reason: "disabled"},
	{name: "Optimizely's variable", event: evaluationEvent, record: fromProvider("Optimizely", attrs{"feature_flag.result.variant": "value"}), outcome: "skipped", reason: "no_variant"},
	{name: "Optimizely's value", event: evaluationEvent, record: fromProvider("Optimizely", attrs{"feature_flag.result.variant": "value", "feature_flag.result.value": "blue"}), want: exposed("my-flag", "blue", nil)},
	{name: "Optimizely's variation", event: evaluationEvent, record: fromProvider("Optimizely", nil), want: exposed("my-flag", "on", nil)},
	{name: "GrowthBook's force", event: evaluationEvent, record: fromProvider("GrowthbookProvider", attrs{"feature_flag.result.reason": "force"}), outcome: "skipped", reason: "other_reason"},
	{name: "own reasons before GrowthBook's", config: "evaluation: {skip_reasons: [error]}", event: evaluationEvent, record: fromProvider("GrowthbookProvider", attrs{"feature_flag.result.reason": "force"}), want: exposed("my-flag", "on", nil)},
	{name: "GrowthBook's experiment", event: evaluationEvent, record: fromProvider("GrowthbookProvider", attrs{"feature_flag.result.reason": "experiment"}), want: exposed("my-flag", "on", nil)},
}
