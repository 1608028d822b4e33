// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudeexperimentprocessor

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/confmap/confmaptest"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/experiment"
	"github.com/otelcol-amplitude/otelcol-amplitude/processor/amplitudeexperimentprocessor/internal/metadata"
)

func TestDefaultConfig(t *testing.T) {
	cfg := NewFactory().CreateDefaultConfig()
	require.NoError(t, confmap.New().Unmarshal(cfg))
	assert.Equal(t, createDefaultConfig(), cfg)
	require.NoError(t, confmap.Validate(cfg))
	require.NoError(t, componenttest.CheckConfigStruct(cfg))
}

// TestPresetsAreConfigurable: the configuration accepts the names of all presets.
func TestPresetsAreConfigurable(t *testing.T) {
	for _, word := range experiment.Presets() {
		require.NoError(t, confmap.Validate(configOf(t, "evaluation: {preset: "+word+"}")), word)
	}
}

func TestLoadConfig(t *testing.T) {
	file, err := confmaptest.LoadConf(filepath.Join("testdata", "config.yaml"))
	require.NoError(t, err)
	for _, name := range []string{"", "full"} {
		t.Run(name, func(t *testing.T) {
			sub, err := file.Sub(component.NewIDWithName(metadata.Type, name).String())
			require.NoError(t, err)
			cfg := configFrom(t, sub)
			if name == "" {
				assert.Equal(t, createDefaultConfig(), cfg)
				return
			}
			storage := component.MustNewID("file_storage")
			assert.Equal(t, ExposureConfig{
				EventNames: []string{"experiment.exposure"}, FlagKey: []string{"experiment.key"}, Variant: []string{"experiment.variant"},
				ExperimentKey: []string{"experiment.run"}, OffVariants: []string{"off", "none"}, Wire: "raw", Unassigned: "identify",
				CustomEvents: []string{"Shop *"},
			}, cfg.Exposure)
			assert.Equal(t, EvaluationConfig{
				EventNames: []string{"flag.evaluated"}, FlagKey: []string{"flag"}, Variant: []string{"variation"}, Value: []string{"result"},
				PreferValue: true, OffVariants: []string{"off"}, ExperimentKey: []string{"run"}, SkipReasons: []string{"error"},
				Reason: []string{"why"}, DefaultMarker: []string{"fallback"}, Preset: "flagd",
			}, cfg.Evaluation)
			assert.Equal(t, AssignmentConfig{
				EventNames: []string{"experiment.assignment"}, Variants: []string{"flags"}, OffVariants: []string{"none"}, Environment: []string{"env"},
				Emit: "both",
			}, cfg.Assignment)
			assert.Equal(t, IdentityConfig{
				UserID: []string{"account"}, DeviceID: []string{"installation"}, SessionID: []string{"visit"}, ContextID: []string{"subject"},
				ContextIDAs: "ignore", Groups: map[string]string{"company": "org.id"}, MinIDLength: 1,
			}, cfg.Identity)
			assert.Equal(t, []string{"kind"}, cfg.EventName)
			assert.True(t, cfg.ParseJSONBody)
			assert.Equal(t, "drop", cfg.OtherRecords)
			assert.False(t, cfg.SetUserProperties)
			assert.Equal(t, []string{"shop.*", "country"}, cfg.EventProperties.Include)
			assert.Equal(t, 100, cfg.MaxExperimentProperties)
			assert.Equal(t, "sdk", cfg.InsertID.Format)
			assert.False(t, cfg.Dedup.Enabled)
			assert.Equal(t, "unique_per_day", cfg.Dedup.Mode)
			assert.Equal(t, &storage, cfg.Dedup.StorageID)
			assert.True(t, cfg.Dedup.Redis.HasValue())
		})
	}
}

// TestInvalidConfig: each wrong value is refused with an error that names its key.
func TestInvalidConfig(t *testing.T) {
	for yaml, want := range map[string]string{
		`{exposure: {wire: json}}`:                                   "exposure: `wire` must be transformed or raw (got \"json\")",
		`{exposure: {unassigned: ignore}}`:                           "exposure: `unassigned` must be event, identify or drop (got \"ignore\")",
		`{exposure: {flag_key: []}}`:                                 "exposure: `flag_key` must name at least one attribute",
		`{exposure: {variant: [" "]}}`:                               "exposure: `variant` must not contain a blank entry",
		`{exposure: {event_names: [a, a]}}`:                          "exposure: `event_names` must not contain a duplicate entry (got \"a\")",
		`{evaluation: {flag_key: []}}`:                               "evaluation: `flag_key` must name at least one attribute",
		`{evaluation: {skip_reasons: [ERROR]}}`:                      "evaluation: `skip_reasons` must be in lower case (got \"ERROR\")",
		`{evaluation: {event_names: [$exposure]}}`:                   "`event_names` of exposure and of evaluation must differ (got \"$exposure\" in both)",
		`{assignment: {property_prefix: "amplitude."}}`:              "assignment: `property_prefix` must not begin with \"amplitude.\"",
		`{assignment: {emit: events}}`:                               "assignment: `emit` must be assignment, exposures or both (got \"events\")",
		`{assignment: {off_variants: [""]}}`:                         "assignment: `off_variants` must not contain a blank entry",
		`{identity: {context_id_as: session}}`:                       "identity: `context_id_as` must be user_id, device_id or ignore (got \"session\")",
		`{identity: {min_id_length: 0}}`:                             "identity: `min_id_length` must be between 1 and 1024 (got 0)",
		`{identity: {min_id_length: -3}}`:                            "identity: `min_id_length` must be between 1 and 1024 (got -3)",
		`{identity: {groups: {company: ""}}}`:                        "identity: `groups` must map a group type to an attribute name",
		`{identity: {groups: {a: a, b: b, c: c, d: d, e: e, f: f}}}`: "identity: `groups` must name at most 5 group types (got 6)",
		`{outcomes: {events: ["*"]}}`:                                "outcomes: `events` must name the events to send, because they count toward event volume (got \"*\", which matches everything)",
		`{outcomes: {events: [$identify]}}`:                          "outcomes: `events` must not name Amplitude's own events, which begin with $ or [ (got \"$identify\")",
		`{outcomes: {events: ["[Experiment] *"]}}`:                   "outcomes: `events` must not name Amplitude's own events",
		`{outcomes: {events: [a], rename: {b: c}}}`:                  "outcomes: `rename` must only rename what `events` lists (got \"b\")",
		`{outcomes: {events: [a], rename: {a: $b}}}`:                 "outcomes: `rename` must not name Amplitude's own events",
		`{outcomes: {events: [a], rename: {a: " "}}}`:                "outcomes: `rename` must not give an event a blank name",
		`{outcomes: {events: [a, a]}}`:                               "outcomes: `events` must not contain a duplicate entry (got \"a\")",
		`{outcomes: {events: [feature_flag]}}`:                       "`events` of outcomes must not have a name that is in `event_names` of evaluation (got \"feature_flag\")",
		`{outcomes: {events: [a], over_limit: block}}`:               "outcomes: `over_limit` must be drop or wait (got \"block\")",
		`{outcomes: {events: [a], max_per_minute: -1}}`:              "outcomes: `max_per_minute` must not be negative (got -1)",
		`{outcomes: {tracking: {name: []}}}`:                         "outcomes::tracking: `name` must name at least one attribute",
		`{other_records: keep}`:                                      "`other_records` must be pass or drop (got \"keep\")",
		`{event_properties: {include: [""]}}`:                        "event_properties: `include` must not contain a blank entry",
		`{max_experiment_properties: -1}`:                            "`max_experiment_properties` must not be negative (got -1)",
		`{insert_id: {format: uuid}}`:                                "insert_id: `format` must be strong or sdk (got \"uuid\")",
		`{identity: {user_id: [a1, a2, a3, a4, a5, a6, a7, a8, a9, b1, b2, b3, b4, b5, b6, b7, b8, b9, c1, c2, c3, c4, c5, c6, c7, c8, c9, d1, d2, d3, d4, d5, d6, d7, d8, d9, e1, e2, e3, e4, e5, e6, e7, e8, e9, f1, f2, f3, f4, f5, f6, f7, f8, f9, g1, g2, g3, g4, g5, g6, g7, g8, g9, h1, h2, h3]}}`: "identity: `user_id` must not have more than 64 entries (got 66)",
	} {
		t.Run(want, func(t *testing.T) {
			retrieved, err := confmap.NewRetrievedFromYAML([]byte(yaml))
			require.NoError(t, err)
			conf, err := retrieved.AsConf()
			require.NoError(t, err)
			cfg := createDefaultConfig()
			require.NoError(t, conf.Unmarshal(cfg))
			require.ErrorContains(t, confmap.Validate(cfg), want)
		})
	}
}

func TestUnknownKeyIsRefused(t *testing.T) {
	for key, want := range map[string]string{
		"exposures":     `"exposures" is not a key: did you mean "exposure"?`,
		"min_id_length": `"min_id_length" is in the wrong place: did you mean "identity::min_id_length"?`,
	} {
		require.ErrorContains(t, confmap.NewFromStringMap(map[string]any{key: nil}).Unmarshal(createDefaultConfig()), want)
	}
}
