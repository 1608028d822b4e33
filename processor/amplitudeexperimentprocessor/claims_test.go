// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudeexperimentprocessor

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/pdata/plog"
	"pgregory.net/rapid"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/amplitude"
)

const victim = "victim-00001"

// TestClaims: which attributes under "amplitude." an application may set, and which are stripped, for any kind of
// record.
func TestClaims(t *testing.T) {
	const operation = "amplitude.user_properties."
	for _, tc := range []struct {
		attribute string
		// reason is why the attribute is stripped; empty if it is kept.
		reason string
	}{
		{"amplitude.user_properties.$clearAll", "operator"},
		{operation + "$set.plan", "operator"},
		{operation + "$set.[Experiment] other", "operator"},
		{operation + "plan", "operator"},
		{"amplitude.user_properties", "operator"},
		{"amplitude.group_properties.$set.size", "operator"},
		{"amplitude.insert_id", "insert_id"},
		{"amplitude.event_id", "field"},
		{"amplitude.revenue", "field"},
		{"amplitude.plan", "field"},
		{"amplitude.nonsense", "field"},
		{"amplitude.", "field"},
		{"amplitude.device_id", ""},
		{"amplitude.session_id", ""},
		{"amplitude.groups.team", ""},
		{"amplitude.platform", ""},
		{"amplitude.location_lat", ""},
		{"amplitude.$skip_user_properties_sync", ""},
		{"amplitudes", ""},
		{"amplitude", ""},
	} {
		for _, event := range []string{"", "[Experiment] Custom", "$identify", "checkout"} {
			t.Run(event+" "+tc.attribute, func(t *testing.T) {
				r := start(t, configOf(t, "{}"), nil)
				out := r.send(t, batch(t, event, attrs{"amplitude.user_id": victim, "note": "kept", tc.attribute: "x"}))
				require.Len(t, out, 1, "the record itself passes")
				got := out[0].Attributes().AsRaw()
				_, passed := got[tc.attribute]
				assert.Equal(t, tc.reason == "", passed)
				assert.Equal(t, "kept", got["note"])
				assert.Equal(t, victim, got["amplitude.user_id"])
				assert.Equal(t, 1, r.outcome(t, "passed"))
				for _, reason := range []string{"operator", "insert_id", "field"} {
					want := 0
					if reason == tc.reason {
						want = 1
					}
					assert.Equal(t, want, r.counter(t, "otelcol_processor_amplitude_experiment_claims_stripped", "reason", reason), reason)
				}
				trusted := start(t, accepting(t, "{}"), nil)
				out = trusted.send(t, batch(t, "checkout", attrs{tc.attribute: "x"}))
				assert.Contains(t, out[0].Attributes().AsRaw(), tc.attribute, "where shaped records are accepted")
			})
		}
		t.Run("$exposure "+tc.attribute, func(t *testing.T) {
			r := start(t, configOf(t, "event_properties: {include: ['*']}"), nil)
			out := r.send(t, batch(t, "$exposure", exposure(attrs{tc.attribute: "x"})))
			require.Len(t, out, 1)
			want := 0
			if tc.reason != "" {
				want = 1
			}
			assert.Equal(t, want, r.counter(t, "otelcol_processor_amplitude_experiment_claims_stripped", "reason", tc.reason))
			ownOperations{}.check(t, out[0])
		})
	}
}

// ownOperations returns the property operations that the sent events report, with their user and device. It includes
// operations that are left out of late events, or that a repeat makes necessary.
type ownOperations map[string]bool

// check: an event touches only the properties of the flags that it reports, and a $identify sets what an earlier event
// reported for the same user and device.
func (own ownOperations) check(t require.TestingT, r plog.LogRecord) {
	var flags []string
	var ids []string
	for _, name := range []string{amplitude.AttrUserID, amplitude.AttrDeviceID} {
		id := ""
		if v, ok := r.Attributes().Get(name); ok {
			id = v.Str()
		}
		ids = append(ids, id+"\x00")
	}
	whose := strings.Join(ids, "")
	tells := func(flag, variant string) { own[whose+".$set."+amplitude.ExperimentPrefix+flag+"="+variant] = true }
	for flagKey, variantKey := range map[string]string{
		amplitude.RawFlagKey: amplitude.RawVariant, amplitude.PropertyFlagKey: amplitude.PropertyVariant,
	} {
		flag, ok := r.Attributes().Get(flagKey)
		if variant, has := r.Attributes().Get(variantKey); ok && has {
			tells(flag.AsString(), variant.AsString())
		}
	}
	for name, value := range r.Attributes().All() {
		switch {
		case name == amplitude.PropertyFlagKey || name == amplitude.RawFlagKey:
			flags = append(flags, value.AsString())
		case strings.HasSuffix(name, amplitude.SuffixVariant):
			flag := strings.TrimSuffix(name, amplitude.SuffixVariant) // the prefix may be part of the key
			flags = append(flags, flag, strings.TrimPrefix(flag, amplitude.ExperimentPrefix))
			tells(flag, value.AsString())
			tells(strings.TrimPrefix(flag, amplitude.ExperimentPrefix), value.AsString())
		}
	}
	for name, value := range r.Attributes().All() {
		claim, isOperation := strings.CutPrefix(name, amplitude.AttrPrefix+amplitude.FieldUserProperties)
		if !isOperation {
			require.NotContains(t, name, amplitude.FieldGroupProperties)
			continue
		}
		operator, property, _ := strings.Cut(strings.TrimPrefix(claim, "."), ".")
		require.Contains(t, []string{"$set", "$unset"}, operator, name)
		flag, isExperiment := strings.CutPrefix(property, amplitude.ExperimentPrefix)
		require.True(t, isExperiment, name)
		operation := whose + claim + "=" + value.AsString()
		if r.EventName() != amplitude.EventIdentify {
			require.Contains(t, flags, flag, name)
		} else if operator == "$set" { // an un-exposure may be a $identify alone
			require.Contains(t, own, operation)
		}
	}
}

// TestAnythingAnApplicationWrites: no record becomes an event that operates on a property other than its flag's, or
// that has an id the record does not contain; and none suppresses another one, unless it reports the same result.
func TestAnythingAnApplicationWrites(t *testing.T) {
	for _, yaml := range configurations {
		if strings.Contains(yaml, "max_experiment_properties") {
			continue // a limit refuses whatever comes later
		}
		t.Run(yaml, func(t *testing.T) {
			rapid.Check(t, func(rt *rapid.T) {
				ld := drawLogs(rt)
				for _, r := range recordsOf(ld) {
					for range rapid.IntRange(0, 4).Draw(rt, "claims") {
						name := rapid.SampledFrom([]string{
							"amplitude.insert_id", "amplitude.user_properties.$clearAll", "amplitude.user_properties.$set.plan",
							"amplitude.user_properties.$set.[Experiment] my-flag", "amplitude.user_properties.$unset.[Experiment] my-flag",
							"amplitude.user_properties.$unset.[Experiment] other", "amplitude.group_properties.$set.size", "amplitude.nonsense",
						}).Draw(rt, "claim")
						r.Attributes().PutStr(name, rapid.SampledFrom([]string{"x", "on", "-"}).Draw(rt, "value"))
					}
				}
				given := textsOf(ld)
				r := start(t, configOf(t, yaml), nil)
				own := ownOperations{}
				for _, event := range r.send(t, ld) {
					own.check(rt, event)
					if insertIDOf(event) == "" {
						continue // passes
					}
					for _, name := range []string{amplitude.AttrUserID, amplitude.AttrDeviceID} {
						if id, ok := event.Attributes().Get(name); ok {
							require.Contains(rt, given, id.Str(), "an id that is not in the batch")
						}
					}
				}
				// What nobody else reported is sent as if nothing had come before.
				real := r.send(t, batch(t, "$exposure", attrs{"user_id": victim, "flag_key": "real-flag", "variant": "treatment"}))
				require.Len(rt, real, 1)
				alone := start(t, configOf(t, yaml), nil)
				want := alone.send(t, batch(t, "$exposure", attrs{"user_id": victim, "flag_key": "real-flag", "variant": "treatment"}))
				require.Equal(rt, encodeRecord(t, want[0]), encodeRecord(t, real[0]))
			})
		})
	}
}

// textsOf returns all values of a batch, as text that could be an id.
func textsOf(ld plog.Logs) map[string]bool {
	found := map[string]bool{}
	var add func(any)
	add = func(value any) {
		switch value := value.(type) {
		case map[string]any:
			for _, one := range value {
				add(one)
			}
		case []any:
			for _, one := range value {
				add(one)
			}
		case float64:
			found[fmt.Sprintf("%.0f", value)] = true
		default:
			found[strings.TrimSpace(strings.ToValidUTF8(fmt.Sprint(value), "\uFFFD"))] = true
		}
	}
	for _, resource := range ld.ResourceLogs().All() {
		add(resource.Resource().Attributes().AsRaw())
		for _, scope := range resource.ScopeLogs().All() {
			add(scope.Scope().Attributes().AsRaw())
			for _, record := range scope.LogRecords().All() {
				add(record.Attributes().AsRaw())
				add(record.Body().AsRaw())
			}
		}
	}
	return found
}

// TestForgedRecordsHideNothing: a record that claims to be the victim's event of today, with a field that the exporter
// would refuse, becomes the event of its own facts, and a real record with other facts is not a repeat of it.
func TestForgedRecordsHideNothing(t *testing.T) {
	r := start(t, configOf(t, "{}"), nil)
	forged := r.send(t, batch(t, "[Experiment] Exposure", attrs{
		"[Experiment] Flag Key": "my-flag", "[Experiment] Variant": "treatment", "amplitude.user_id": victim,
		"amplitude.insert_id": "taken", "amplitude.nonsense": "x", "amplitude.user_properties.$clearAll": "-",
	}))
	require.Len(t, forged, 1)
	checkEvent(t, forged[0])
	assert.NotEqual(t, "taken", insertIDOf(forged[0]))
	assert.NotContains(t, forged[0].Attributes().AsRaw(), "amplitude.nonsense")
	real := r.send(t, batch(t, "$exposure", attrs{"user_id": victim, "flag_key": "my-flag", "variant": "control"}))
	require.Len(t, real, 2, "the event, and the property that it changes")
	assert.Equal(t, "control", fold(real[0])["event_properties"].(map[string]any)["[Experiment] Variant"])
	assert.Equal(t, map[string]any{"$set": map[string]any{"[Experiment] my-flag": "control"}}, fold(real[1])["user_properties"])
	assert.Equal(t, 0, r.outcome(t, "already_shaped"))
}

// TestShapedAgain: if an event from another Collector is not accepted, it is shaped again from its facts. If these are
// the same, so are its insert_id and the operations on its flags.
func TestShapedAgain(t *testing.T) {
	mutex := attrs{"key": "slot", "metadata": attrs{"flagType": "mutual-exclusion-group"}}
	for _, tc := range []struct {
		name, config, event string
		record              attrs
	}{
		{name: "an exposure", event: "$exposure", record: exposure(nil)},
		{name: "an exposure with groups and experiment key", event: "$exposure", record: exposure(attrs{"experiment_key": "exp-1", "amplitude.groups.team": "t", "groups": attrs{"org": "o"}})},
		{name: "an un-exposure", event: "$exposure", record: exposure(attrs{"variant": "off"})},
		{name: "an un-exposure as $identify", config: "exposure: {unassigned: identify}", event: "$exposure", record: exposure(attrs{"variant": "off", "experiment_key": "exp-1"})},
		{name: "an evaluation whose variant is off", event: evaluationEvent, record: evaluated(attrs{"feature_flag.result.variant": "off"})},
		{name: "a default that has a name", event: "$exposure", record: exposure(attrs{"variant": "control", "metadata": attrs{"default": true}})},
		{name: "an assignment", event: "$assignment", record: attrs{"user_id": victim, "variants": attrs{"a": "on", "b": "off", "c": attrs{"key": "control", "metadata": attrs{"default": true}}, "m": mutex}}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if tc.config == "" {
				tc.config = "{}"
			}
			edge, gateway := start(t, configOf(t, tc.config), nil), start(t, configOf(t, tc.config), nil)
			shaped := edge.send(t, batch(t, tc.event, tc.record))
			require.Len(t, shaped, 1)
			want := fold(shaped[0])
			id := insertIDOf(shaped[0])
			again := gateway.send(t, edge.sink.AllLogs()[0])
			require.Len(t, again, 1)
			assert.Equal(t, id, insertIDOf(again[0]))
			got := fold(again[0])
			assert.Equal(t, want["user_properties"], got["user_properties"])
			assert.Equal(t, want["event_type"], got["event_type"])
			assert.Equal(t, want["groups"], got["groups"])
			assert.Equal(t, slices.Sorted(maps.Keys(want["event_properties"].(map[string]any))), slices.Sorted(maps.Keys(got["event_properties"].(map[string]any))))
		})
	}
}

// TestFirstDuplicateAttributeWins, for both de-duplication and delivery.
func TestFirstDuplicateAttributeWins(t *testing.T) {
	twice := func() plog.Logs {
		ld := plog.NewLogs()
		record(t, ld, "[Experiment] Exposure", attrs{"[Experiment] Flag Key": "f", "[Experiment] Variant": "on", "amplitude.insert_id": "i"})
		attributes := recordsOf(ld)[0].Attributes()
		appendTwice(t, attributes, "amplitude.user_id", "user-first", "user-second")
		return ld
	}
	gateway := start(t, accepting(t, "{}"), nil)
	require.Len(t, gateway.send(t, twice()), 1)
	first := func(user string) plog.Logs {
		return batch(t, "[Experiment] Exposure", attrs{"[Experiment] Flag Key": "f", "[Experiment] Variant": "on", "amplitude.insert_id": "j", "amplitude.user_id": user})
	}
	assert.Empty(t, gateway.send(t, first("user-first")), "the first user was exposed")
	assert.Len(t, gateway.send(t, first("user-second")), 1, "the second was not")

	out := start(t, configOf(t, "{}"), nil).send(t, twice())
	require.Len(t, out, 1)
	assert.Equal(t, "user-first", fold(out[0])["user_id"])
}

// TestOneWarningNamesTheKey: shaped records that are not accepted are logged once, with the configuration key.
func TestOneWarningNamesTheKey(t *testing.T) {
	p, _, logs := logged(t, "{}")
	for range 3 {
		require.NoError(t, p.ConsumeLogs(t.Context(), batch(t, "[Experiment] Exposure", attrs{
			"[Experiment] Flag Key": "f", "[Experiment] Variant": "on", "amplitude.user_id": victim, "amplitude.insert_id": "i",
		})))
	}
	require.Equal(t, 1, logs.Len())
	assert.Contains(t, logs.All()[0].Message, "accept_shaped")
}

// TestBrowsersCannotNameUsers: with the configuration recommended for browsers, a page can only report for a device,
// never for a user.
func TestBrowsersCannotNameUsers(t *testing.T) {
	page, err := os.ReadFile("../../docs/recipes.md")
	require.NoError(t, err)
	_, recipe, _ := strings.Cut(string(page), "## Browsers\n")
	_, recipe, _ = strings.Cut(recipe, "```yaml\n")
	recipe, _, found := strings.Cut(recipe, "```")
	require.True(t, found)
	retrieved, err := confmap.NewRetrievedFromYAML([]byte(recipe))
	require.NoError(t, err)
	conf, err := retrieved.AsConf()
	require.NoError(t, err)
	section, err := conf.Sub("processors::amplitude_experiment/browsers")
	require.NoError(t, err)
	for _, name := range []string{
		"user_id", "user.id", "enduser.id", "amplitude.user_id", "feature_flag.context.id", "feature_flag.context.key", "device.id", "amplitude.device_id",
	} {
		t.Run(name, func(t *testing.T) {
			r := start(t, configFrom(t, section), nil)
			assert.Empty(t, r.send(t, batch(t, evaluationEvent, attrs{"feature_flag.key": "f", "feature_flag.result.variant": "on", name: victim})))
			out := r.send(t, batch(t, evaluationEvent, attrs{
				"feature_flag.key": "f", "feature_flag.result.variant": "on", name: victim, "enduser.pseudo.id": "browser-0001", "amplitude.insert_id": "i",
			}))
			require.Len(t, out, 1)
			event := fold(out[0])
			assert.Equal(t, "browser-0001", event["device_id"])
			assert.NotContains(t, event, "user_id")
		})
	}
	r := start(t, configFrom(t, section), nil)
	assert.Empty(t, r.send(t, batch(t, "checkout", attrs{"amplitude.user_id": victim})), "nothing else leaves")
}
