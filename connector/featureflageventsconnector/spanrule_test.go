// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package featureflageventsconnector

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/confmap/confmaptest"
	"go.opentelemetry.io/collector/pdata/pcommon"
)

// presets returns the span sources that the example configuration shows for known emitters.
func presets(t testing.TB) map[string]any {
	t.Helper()
	example, err := confmaptest.LoadConf("../../examples/span-events.yaml")
	require.NoError(t, err)
	all, err := example.Sub("connectors::feature_flag_events")
	require.NoError(t, err)
	return map[string]any{"spans": all.Get("spans"), "span_events": all.Get("span_events")}
}

func TestSpansOfKnownEmitters(t *testing.T) {
	conf := presets(t)
	for _, tc := range []struct {
		name, span string
		attributes map[string]any
		want       map[string]any
	}{
		{
			name: "OpenFeature JS SpanHook: conventional names", span: "feature_flag.evaluation",
			attributes: map[string]any{"feature_flag.key": "f", "feature_flag.result.variant": "on", "feature_flag.context.id": "user-1"},
			want:       map[string]any{"feature_flag.key": "f", "feature_flag.result.variant": "on", "feature_flag.context.id": "user-1"},
		},
		{
			name: "DevCycle: the key is in the name, too", span: "feature_flag_evaluation.my-flag",
			attributes: map[string]any{
				"feature_flag.key": "my-flag", "feature_flag.value": "true", "feature_flag.reason": "SPLIT",
				"feature_flag.error_code": "GENERAL", "openfeature.provider.name": "devcycle",
			},
			want: map[string]any{
				"feature_flag.key": "my-flag", "feature_flag.result.value": "true", "feature_flag.result.reason": "SPLIT",
				"error.type": "GENERAL", "feature_flag.provider.name": "devcycle",
			},
		},
		{
			name: "DevCycle without the key attribute", span: "feature_flag_evaluation.my-flag",
			attributes: map[string]any{"feature_flag.variant": "b"},
			want:       map[string]any{"feature_flag.key": "my-flag", "feature_flag.variant": "b"},
		},
		{
			name: "GO Feature Flag", span: "feature_flag.evaluate",
			attributes: map[string]any{
				"feature_flag.key": "f", "feature_flag.user_key": "user-1", "feature_flag.context_kind": "user",
				"feature_flag.variation": "B", "feature_flag.default": false, "feature_flag.value": "\"b\"",
			},
			want: map[string]any{
				"feature_flag.key": "f", "feature_flag.context.id": "user-1", "feature_flag.context_kind": "user",
				"feature_flag.result.variant": "B", "feature_flag.default": false, "feature_flag.value": "\"b\"",
			},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			traces, _ := newSpan(tc.span, tc.attributes)
			record := convertOne(t, conf, traces)
			assert.Equal(t, "feature_flag.evaluation", record.EventName())
			assert.Equal(t, pcommon.Timestamp(1_000), record.Timestamp(), "the span's start")
			assert.Equal(t, tc.want, record.Attributes().AsRaw())
		})
	}
	t.Run("GO Feature Flag served the default", func(t *testing.T) {
		traces, _ := newSpan("feature_flag.evaluate", map[string]any{"feature_flag.key": "f", "feature_flag.default": true})
		assert.Empty(t, convert(t, conf, traces))
	})
	t.Run("a span of another name", func(t *testing.T) {
		traces, _ := newSpan("feature_flag.evaluated", map[string]any{"feature_flag.key": "f"})
		assert.Empty(t, convert(t, conf, traces))
	})
}

func TestSpanEventsOfKnownEmitters(t *testing.T) {
	conf := presets(t)
	for _, tc := range []struct {
		name, event      string
		attributes, want map[string]any
	}{
		{
			name: "Microsoft.FeatureManagement", event: "FeatureFlag",
			attributes: map[string]any{"FeatureName": "Checkout", "Enabled": true, "Variant": "OnePage", "VariantAssignmentReason": "Percentile", "TargetingId": "user-1", "ETag": "x"},
			want: map[string]any{
				"feature_flag.key": "Checkout", "Enabled": true, "feature_flag.result.variant": "OnePage", "feature_flag.result.reason": "Percentile",
				"feature_flag.context.id": "user-1", "ETag": "x",
			},
		},
		{
			name: "Flipt 2", event: "flipt.flag_evaluation",
			attributes: map[string]any{"flipt.key": "checkout", "flipt.context.entity_id": "user-1", "flipt.result.variant": "one-page", "flipt.result.reason": "match"},
			want: map[string]any{
				"feature_flag.key": "checkout", "feature_flag.context.id": "user-1", "feature_flag.result.variant": "one-page", "feature_flag.result.reason": "match",
			},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			traces, s := newSpan("GET /", map[string]any{"user.id": "user-2"})
			addEvent(s, tc.event, 1_500, tc.attributes)
			record := convertOne(t, conf, traces)
			assert.Equal(t, "feature_flag.evaluation", record.EventName())
			assert.Equal(t, pcommon.Timestamp(1_500), record.Timestamp(), "the event's time")
			tc.want["user.id"] = "user-2"
			assert.Equal(t, tc.want, record.Attributes().AsRaw())
		})
	}
	t.Run("skipped, and of another name", func(t *testing.T) {
		traces, s := newSpan("GET /", nil)
		addEvent(s, "flag.served", 1_500, map[string]any{"fallback": true})
		addEvent(s, "flags.served", 1_500, nil)
		assert.Empty(t, convert(t, spanEvent(map[string]any{"names": []any{"flag.*"}, "skip_if_true": []any{"fallback"}}), traces))
	})
	t.Run("listed names keep theirs", func(t *testing.T) {
		traces, s := newSpan("GET /", nil)
		addEvent(s, "feature_flag", 1_500, map[string]any{"key": "f"})
		record := convertOne(t, spanEvent(map[string]any{"names": []any{"feature*"}, "attributes": map[string]any{"key": "feature_flag.key"}}), traces)
		assert.Equal(t, "feature_flag", record.EventName())
		assert.Equal(t, map[string]any{"key": "f"}, record.Attributes().AsRaw())
	})
}

// TestRawEventsOfSpans: $exposure and $assignment are recognized as span events, too.
func TestRawEventsOfSpans(t *testing.T) {
	for _, name := range []string{"$exposure", "$assignment"} {
		traces, s := newSpan("GET /", map[string]any{"user.id": "user-1"})
		addEvent(s, name, 1_500, map[string]any{"flag_key": "f"})
		record := convertOne(t, nil, traces)
		assert.Equal(t, name, record.EventName())
		assert.Equal(t, map[string]any{"flag_key": "f", "user.id": "user-1"}, record.Attributes().AsRaw())
	}
}

func TestSpanNamesAndRenames(t *testing.T) {
	for _, tc := range []struct {
		name, pattern, span string
		want                map[string]any // nil: no record
	}{
		{"star in the middle", "flag.*.evaluate", "flag.a.b.evaluate", map[string]any{"star": "a.b", "to": "x"}},
		{"star for nothing", "flag.*", "flag.", map[string]any{"to": "x"}},
		{"star at the start", "*.evaluate", "a.evaluate", map[string]any{"star": "a", "to": "x"}},
		{"prefix and suffix do not overlap", "aba*ba", "aba", nil},
		{"other suffix", "flag.*.evaluate", "flag.a", nil},
		{"other case", "flag.*", "FLAG.a", nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			traces, _ := newSpan(tc.span, map[string]any{"from": "x"})
			got := convert(t, span(map[string]any{
				"names": []any{tc.pattern}, "attributes": map[string]any{"from": "to"}, "star_attribute": "star",
			}), traces)
			if tc.want == nil {
				assert.Empty(t, got)
				return
			}
			require.Len(t, got, 1)
			assert.Equal(t, tc.want, got[0].ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().At(0).Attributes().AsRaw())
		})
	}
	t.Run("an existing attribute takes precedence", func(t *testing.T) {
		traces, _ := newSpan("flag", map[string]any{"from": "renamed", "to": "own"})
		record := convertOne(t, span(map[string]any{"names": []any{"flag"}, "attributes": map[string]any{"from": "to"}}), traces)
		assert.Equal(t, map[string]any{"to": "own"}, record.Attributes().AsRaw())
	})
	t.Run("names can be exchanged", func(t *testing.T) {
		traces, _ := newSpan("flag", map[string]any{"a": "1", "b": "2"})
		record := convertOne(t, span(map[string]any{"names": []any{"flag"}, "attributes": map[string]any{"a": "b", "b": "a"}}), traces)
		assert.Equal(t, map[string]any{"b": "1", "a": "2"}, record.Attributes().AsRaw())
	})
	t.Run("one record a span, by the first source that fits", func(t *testing.T) {
		traces, _ := newSpan("flag", nil)
		conf := map[string]any{"spans": []any{
			map[string]any{"names": []any{"f*", "flag"}, "event_name": "first"},
			map[string]any{"names": []any{"flag"}, "event_name": "second"},
		}}
		assert.Equal(t, "first", convertOne(t, conf, traces).EventName())
	})
}
