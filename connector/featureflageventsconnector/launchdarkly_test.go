// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package featureflageventsconnector

import (
	"maps"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"pgregory.net/rapid"
)

// ldEvent makes an evaluation as LaunchDarkly's hooks write it, with changes; a nil value removes an attribute.
func ldEvent(changes map[string]any) map[string]any {
	attributes := map[string]any{"feature_flag.key": "f", "feature_flag.provider.name": "LaunchDarkly"}
	for name, value := range changes {
		attributes[name] = value
	}
	return attributes
}

func TestLaunchDarklyContexts(t *testing.T) {
	for _, tc := range []struct {
		name, key string
		conf      map[string]any
		user      string // feature_flag.context.id afterward; "" means that it was removed
		canonical string // kept in addition, if it says more
	}{
		{name: "a user alone", key: "user-1", user: "user-1"},
		{name: "an e-mail address", key: "a@b.example", user: "a@b.example"},
		{name: "one other kind", key: "device:d-1", canonical: "device:d-1"},
		{name: "several kinds", key: "organization:org%3A1:user:user-1", user: "user-1", canonical: "organization:org%3A1:user:user-1"},
		{name: "the user's key is escaped", key: "organization:o:user:a%3Ab%25c", user: "a:b%c", canonical: "organization:o:user:a%3Ab%25c"},
		{name: "several kinds, none a user", key: "device:d:organization:o", canonical: "device:d:organization:o"},
		{name: "another kind is the user", key: "account:a-1:user:user-1", conf: map[string]any{"user_kind": "account"}, user: "a-1", canonical: "account:a-1:user:user-1"},
		{name: "kinds out of order are a key, not a context", key: "user:u:organization:o", user: "user:u:organization:o"},
		{name: "an odd number of parts is a key", key: "a:b:c", user: "a:b:c"},
		{name: "a stray percent sign belongs to the key", key: "kind:50%", user: "kind:50%"},
		{name: "the kind of a lone user is never written", key: "user:u", user: "user:u"},
		{name: "a key with a colon looks like kind and key", key: "google:17", canonical: "google:17"},
		{name: "unless the kinds are known", key: "google:17", conf: map[string]any{"context_kinds": []any{"organization"}}, user: "google:17"},
		{name: "known kinds", key: "organization:o:user:u", conf: map[string]any{"context_kinds": []any{"organization"}}, user: "u", canonical: "organization:o:user:u"},
		{name: "nothing is read when it is off", key: "organization:o:user:u", conf: map[string]any{"enabled": false}, user: "organization:o:user:u"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for _, name := range []string{"feature_flag.context.id", "feature_flag.context.key"} {
				record := convertOne(t, map[string]any{"launchdarkly": tc.conf},
					newEvent(ldEvent(map[string]any{name: tc.key, "feature_flag.result.variationIndex": 1})))
				got := record.Attributes().AsRaw()
				if tc.user == "" {
					assert.NotContains(t, got, name)
				} else {
					assert.Equal(t, tc.user, got[name])
				}
				if tc.canonical == "" {
					assert.NotContains(t, got, "launchdarkly.context.canonical_key")
				} else {
					assert.Equal(t, tc.canonical, got["launchdarkly.context.canonical_key"])
				}
			}
		})
	}
}

// TestLaunchDarklyContextKeys: if the keys are separate, no text has to be parsed.
func TestLaunchDarklyContextKeys(t *testing.T) {
	for _, tc := range []struct {
		name      string
		key       string
		keys      any
		user      string
		canonical string
		company   string
	}{
		{name: "a user alone", key: "user-1", keys: `{"user":"user-1"}`, user: "user-1"},
		{name: "a user's key with a colon", key: "google:112233", keys: `{"user":"google:112233"}`, user: "google:112233"},
		{name: "as a map", key: "google:112233", keys: map[string]any{"user": "google:112233"}, user: "google:112233"},
		{name: "several kinds", key: "organization:org%3A1:user:google%3A1", keys: `{"organization":"org:1","user":"google:1"}`, user: "google:1", canonical: "organization:org%3A1:user:google%3A1", company: "org:1"},
		{name: "no user", key: "organization:o", keys: `{"organization":"o"}`, canonical: "organization:o", company: "o"},
		{name: "no canonical key", keys: `{"user":"user-1"}`, user: "user-1"},
		{name: "no JSON", key: "google:112233", keys: `user=google:112233`, canonical: "google:112233"},
		{name: "nothing in it", key: "user-1", keys: `{}`, user: "user-1"},
	} {
		for _, name := range []string{"feature_flag.contextKeys", "context.contextKeys"} {
			t.Run(tc.name+" "+name, func(t *testing.T) {
				in := map[string]any{name: tc.keys, "feature_flag.result.variationIndex": 1}
				if tc.key != "" {
					in["feature_flag.context.id"] = tc.key
				}
				conf := map[string]any{"launchdarkly": map[string]any{"groups": map[string]any{"organization": "company"}}}
				got := convertOne(t, conf, newEvent(ldEvent(in))).Attributes().AsRaw()
				for attribute, want := range map[string]string{
					"feature_flag.context.id": tc.user, "launchdarkly.context.canonical_key": tc.canonical, "amplitude.groups.company": tc.company,
				} {
					if want == "" {
						assert.NotContains(t, got, attribute)
					} else {
						assert.Equal(t, want, got[attribute], attribute)
					}
				}
			})
		}
	}
}

func TestLaunchDarklyVariants(t *testing.T) {
	const (
		index   = "feature_flag.result.variationIndex"
		value   = "feature_flag.result.value"
		variant = "feature_flag.result.variant"
		old     = "feature_flag.variant"

		kind         = "feature_flag.result.reason.kind"
		inExperiment = "feature_flag.result.reason.inExperiment"
	)
	byValue := map[string]any{"variant": "value"}
	for _, tc := range []struct {
		name     string
		conf, in map[string]any
		want     map[string]any // those of the attributes above that the record has
	}{
		{name: "the number of the variation", in: map[string]any{index: 2}, want: map[string]any{index: int64(2), variant: "2"}},
		{name: "the first variation", in: map[string]any{index: 0}, want: map[string]any{index: int64(0), variant: "0"}},
		{name: "given as a double", in: map[string]any{index: 1.0}, want: map[string]any{index: 1.0, variant: "1"}},
		{name: "given as text", in: map[string]any{index: "1"}, want: map[string]any{index: "1", variant: "1"}},
		{name: "no variation number", in: map[string]any{index: 1.5}, want: map[string]any{index: 1.5}},
		{name: "not a number", in: map[string]any{index: math.NaN()}, want: nil},
		{name: "a negative one", in: map[string]any{index: -1}, want: map[string]any{index: int64(-1), variant: nil}},
		{name: "a variant's name takes precedence over its number", in: map[string]any{index: 1, variant: "b"}, want: map[string]any{index: int64(1), variant: "b"}},
		{name: "text is JSON and loses its quotes", in: map[string]any{index: 1, value: `"blue"`}, want: map[string]any{index: int64(1), value: "blue", variant: "1"}},
		{name: "old name, JSON as well", in: map[string]any{old: `"blue"`}, want: map[string]any{old: "blue"}},
		{name: "null is not a value", in: map[string]any{index: 1, value: "null"}, want: map[string]any{index: int64(1), variant: "1"}},
		{name: "without a variation, the value is the application's default", in: map[string]any{value: `"fallback"`}, want: map[string]any{}},
		{name: "the browser's first variation", in: map[string]any{value: `"control"`, kind: "FALLTHROUGH"}, want: map[string]any{value: "control", variant: "0"}},
		{name: "of a rule, as text in lower case", in: map[string]any{kind: "rule_match"}, want: map[string]any{variant: "0"}},
		{name: "of a target, by value", conf: byValue, in: map[string]any{value: `"control"`, kind: "TARGET_MATCH"}, want: map[string]any{value: "control", variant: "control"}},
		{name: "of an experiment", in: map[string]any{value: "true", inExperiment: true}, want: map[string]any{value: "true", variant: "0"}},
		{name: "a flag that is off may have none", in: map[string]any{value: "true", kind: "OFF"}, want: map[string]any{}},
		{name: "an error has none", in: map[string]any{value: "true", kind: "ERROR"}, want: map[string]any{}},
		{name: "not a number, so not the first variation", in: map[string]any{index: 1.5, kind: "FALLTHROUGH"}, want: map[string]any{index: 1.5}},
		{name: "prefer the value", conf: byValue, in: map[string]any{index: 1, value: `"blue"`}, want: map[string]any{index: int64(1), value: "blue", variant: "blue"}},
		{name: "a boolean value", conf: byValue, in: map[string]any{index: 1, value: true}, want: map[string]any{index: int64(1), value: true, variant: "true"}},
		{name: "a number as value", conf: byValue, in: map[string]any{index: 1, value: 0.5}, want: map[string]any{index: int64(1), value: 0.5, variant: "0.5"}},
		{name: "an object is content, not a name", conf: byValue, in: map[string]any{index: 1, value: `{"a":1}`}, want: map[string]any{index: int64(1), value: `{"a":1}`, variant: "1"}},
		{name: "so is long text", conf: byValue, in: map[string]any{index: 1, value: strings.Repeat("x", 257)}, want: map[string]any{index: int64(1), value: strings.Repeat("x", 257), variant: "1"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := convertOne(t, map[string]any{"launchdarkly": tc.conf}, newEvent(ldEvent(tc.in))).Attributes()
			if tc.want == nil { // NaN equals nothing, itself included
				_, has := got.Get(variant)
				assert.False(t, has)
				return
			}
			for _, name := range []string{index, value, variant, old} {
				if want, ok := tc.want[name]; ok && want != nil {
					assert.Equal(t, want, got.AsRaw()[name], name)
				} else {
					assert.NotContains(t, got.AsRaw(), name)
				}
			}
		})
	}
}

func TestLaunchDarklyOnlyInExperiment(t *testing.T) {
	const mark = "feature_flag.result.reason.inExperiment"
	only := map[string]any{"launchdarkly": map[string]any{"only_in_experiment": true}}
	for _, tc := range []struct {
		name string
		conf map[string]any
		in   map[string]any
		kept bool
	}{
		{name: "marked", conf: only, in: map[string]any{mark: true}, kept: true},
		{name: "not marked", conf: only, in: nil},
		{name: "marked with text", conf: only, in: map[string]any{mark: "true"}, kept: true},
		{name: "marked otherwise", conf: only, in: map[string]any{mark: 1}},
		{name: "marked as outside", conf: only, in: map[string]any{mark: "false"}},
		{name: "not asked for", conf: nil, in: nil, kept: true},
		{name: "somebody else's flag", conf: only, in: map[string]any{"feature_flag.provider.name": "flagd"}, kept: true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := convert(t, tc.conf, newEvent(ldEvent(tc.in)))
			assert.Equal(t, tc.kept, len(got) == 1)
		})
	}
}

func TestLaunchDarklyGroups(t *testing.T) {
	conf := map[string]any{"launchdarkly": map[string]any{"groups": map[string]any{"organization": "company"}}}
	got := convertOne(t, conf, newEvent(ldEvent(map[string]any{"feature_flag.context.id": "device:d-1:organization:org%3A1:user:user-1"}))).Attributes().AsRaw()
	assert.Equal(t, "org:1", got["amplitude.groups.company"])
	assert.NotContains(t, got, "amplitude.groups.device", "only kinds that the configuration maps")

	got = convertOne(t, conf, newEvent(ldEvent(map[string]any{
		"feature_flag.context.id": "organization:o:user:u", "amplitude.groups.company": "given",
	}))).Attributes().AsRaw()
	assert.Equal(t, "given", got["amplitude.groups.company"], "the application's own attribute takes precedence")
}

// TestLaunchDarklyContextRoundTrip writes contexts as LaunchDarkly's SDKs do and reads them back.
func TestLaunchDarklyContextRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		keys := rapid.MapOfN(rapid.StringMatching(`[a-z][a-zA-Z0-9._-]{0,8}`).Filter(isKind), rapid.StringN(1, 12, -1), 2, 5).Draw(t, "context")
		kinds := make([]string, 0, len(keys))
		for _, kind := range slices.Sorted(maps.Keys(keys)) {
			kinds = append(kinds, kind+":"+strings.NewReplacer("%", "%25", ":", "%3A").Replace(keys[kind]))
		}
		canonical := strings.Join(kinds, ":")
		context := (&contextReader{userKind: kindUser}).read(canonical)
		assert.Len(t, context.parts(), len(keys))
		for kind, want := range keys {
			got, ok := context.key(kind)
			assert.True(t, ok, kind)
			assert.Equal(t, want, got)
		}
	})
}
