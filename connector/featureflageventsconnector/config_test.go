// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package featureflageventsconnector

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/confmap/confmaptest"

	"github.com/otelcol-amplitude/otelcol-amplitude/connector/featureflageventsconnector/internal/metadata"
)

func TestDefaultConfig(t *testing.T) {
	cfg := NewFactory().CreateDefaultConfig()
	require.NoError(t, componenttest.CheckConfigStruct(cfg))
	require.NoError(t, confmap.Validate(cfg))
	assert.Equal(t, &Config{
		SpanEventNames: []string{"feature_flag.evaluation", "feature_flag", "$exposure", "$assignment"},
		CopyAttributes: []string{
			"amplitude.user_id", "user.id", "enduser.id", "user_id",
			"amplitude.device_id", "device.id", "app.installation.id", "enduser.pseudo.id", "device_id",
			"amplitude.session_id", "session.id",
		},
		MaxCopiedMiB: 16,
		LaunchDarkly: LaunchDarklyConfig{Enabled: true, UserKind: "user", Variant: "index"},
	}, cfg)
}

func TestLoadConfig(t *testing.T) {
	all := &Config{
		SpanEventNames: []string{"feature_flag.evaluation", "my.evaluation"},
		CopyAttributes: []string{"user.id", "tenant"},
		MaxCopiedMiB:   16,
		SpanEvents: []SpanEventConfig{
			{Names: []string{"FeatureFlag"}, EventName: "feature_flag.evaluation", Attributes: map[string]string{"FeatureName": "feature_flag.key"}, SkipIfTrue: []string{"Fallback"}},
		},
		Spans: []SpanConfig{
			{Names: []string{"feature_flag.evaluation"}, EventName: "feature_flag.evaluation"},
			{
				Names: []string{"feature_flag_evaluation.*"}, EventName: "feature_flag", StarAttribute: "feature_flag.key",
				Attributes: map[string]string{"feature_flag.reason": "feature_flag.result.reason"},
			},
			{
				Names: []string{"feature_flag.evaluate"}, EventName: "feature_flag.evaluation",
				Attributes: map[string]string{"feature_flag.variation": "feature_flag.result.variant"},
				SkipIfTrue: []string{"feature_flag.default"},
			},
		},
		LaunchDarkly: LaunchDarklyConfig{
			UserKind: "account", ContextKinds: []string{"organization"},
			Groups: map[string]string{"organization": "org name"}, Variant: "value", OnlyInExperiment: true,
		},
	}
	for _, tc := range []struct {
		name string
		want component.Config
	}{
		{"", createDefaultConfig()},
		{"all", all},
	} {
		t.Run(tc.name, func(t *testing.T) {
			conf, err := confmaptest.LoadConf("testdata/config.yaml")
			require.NoError(t, err)
			sub, err := conf.Sub(component.NewIDWithName(metadata.Type, tc.name).String())
			require.NoError(t, err)
			cfg := NewFactory().CreateDefaultConfig()
			require.NoError(t, sub.Unmarshal(cfg))
			require.NoError(t, confmap.Validate(cfg))
			assert.Equal(t, tc.want, cfg)
		})
	}
}

func TestWrongConfig(t *testing.T) {
	for _, tc := range []struct {
		name  string
		value map[string]any
		want  string
	}{
		{"nothing to look for", map[string]any{"span_event_names": []any{}}, "one of `span_event_names`, `span_events` and `spans` must not be empty"},
		{"blank event name", map[string]any{"span_event_names": []any{" "}}, "`span_event_names` must not contain a blank entry (got \" \")"},
		{"event name twice", map[string]any{"span_event_names": []any{"a", "a"}}, "`span_event_names` must not contain a duplicate entry (got \"a\")"},
		{"no copies", map[string]any{"max_copied_mib": 0}, "`max_copied_mib` must be between 1 and 1024 (got 0)"},
		{"blank attribute", map[string]any{"copy_attributes": []any{""}}, "`copy_attributes` must not contain a blank entry"},
		{"no span names", span(map[string]any{"event_name": "x"}), "spans::0: `names` must not be empty"},
		{"any span", span(map[string]any{"names": []any{"*"}}), "spans::0: `names` must not contain just \"*\""},
		{"two stars", span(map[string]any{"names": []any{"a*b*"}}), "may contain one * (got \"a*b*\")"},
		{"blank span name", span(map[string]any{"names": []any{""}}), "`names` must not contain a blank entry"},
		{"star attribute without star", span(map[string]any{"names": []any{"a"}, "star_attribute": "k"}), "`star_attribute` needs a name with a * in `names` (got \"k\")"},
		{"blank event name of spans", span(map[string]any{"names": []any{"a"}, "event_name": ""}), "spans::0: `event_name` must not be empty"},
		{"rename to nothing", span(map[string]any{"names": []any{"a"}, "attributes": map[string]any{"x": ""}}), "`attributes` must map a name to a name (got \"x\": \"\")"},
		{"two renamed to one", span(map[string]any{"names": []any{"a"}, "attributes": map[string]any{"x": "z", "y": "z"}}), "`attributes` must not give two attributes the same name (got \"x\" and \"y\", both \"z\")"},
		{"blank skip attribute", span(map[string]any{"names": []any{"a"}, "skip_if_true": []any{""}}), "`skip_if_true` must not contain a blank entry"},
		{"no span event names", spanEvent(map[string]any{"event_name": "x"}), "span_events::0: `names` must not be empty"},
		{"any span event", spanEvent(map[string]any{"names": []any{"*"}}), "span_events::0: `names` must not contain just \"*\""},
		{"blank event name of span events", spanEvent(map[string]any{"names": []any{"a"}, "event_name": " "}), "span_events::0: `event_name` must not be empty"},
		{"span events renamed to nothing", spanEvent(map[string]any{"names": []any{"a"}, "attributes": map[string]any{"x": ""}}), "`attributes` must map a name to a name (got \"x\": \"\")"},
		{"user kind", launchDarklyConf("user_kind", "a b"), "launchdarkly: `user_kind` must be a LaunchDarkly context kind"},
		{"reserved kind", launchDarklyConf("context_kinds", []any{"multi"}), "`context_kinds` must hold LaunchDarkly context kinds (got \"multi\")"},
		{"group without type", launchDarklyConf("groups", map[string]any{"organization": " "}), "`groups` must map a LaunchDarkly context kind to a group type (got \"organization\": \" \")"},
		{"variant", launchDarklyConf("variant", "name"), "`variant` must be index or value (got \"name\")"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			cfg := NewFactory().CreateDefaultConfig()
			require.NoError(t, confmap.NewFromStringMap(tc.value).Unmarshal(cfg))
			require.ErrorContains(t, confmap.Validate(cfg), tc.want)
		})
	}
	for _, tc := range []struct {
		value map[string]any
		want  string
	}{
		{map[string]any{"span_events": []any{"a"}}, "span_events"},
		{map[string]any{"user_kind": "a"}, `"user_kind" is in the wrong place: did you mean "launchdarkly::user_kind"?`},
		{span(map[string]any{"name": []any{"a"}}), `"spans[0]::name" is not a key: did you mean "spans[0]::names"?`},
	} {
		require.ErrorContains(t, confmap.NewFromStringMap(tc.value).Unmarshal(NewFactory().CreateDefaultConfig()), tc.want)
	}
}

func span(of map[string]any) map[string]any {
	return map[string]any{"spans": []any{of}}
}

func spanEvent(of map[string]any) map[string]any {
	return map[string]any{"span_events": []any{of}}
}

func launchDarklyConf(key string, value any) map[string]any {
	return map[string]any{"launchdarkly": map[string]any{key: value}}
}
