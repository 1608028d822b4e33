// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudeexperimentprocessor // import "github.com/otelcol-amplitude/otelcol-amplitude/processor/amplitudeexperimentprocessor"

import (
	"errors"
	"fmt"
	"strings"

	"go.opentelemetry.io/collector/confmap"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/amplitude"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/check"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/didyoumean"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/experiment"
)

var (
	_ confmap.Unmarshaler = (*Config)(nil)

	_ confmap.Validator = (*Config)(nil)
	_ confmap.Validator = (*ExposureConfig)(nil)
	_ confmap.Validator = (*EvaluationConfig)(nil)
	_ confmap.Validator = (*AssignmentConfig)(nil)
	_ confmap.Validator = (*ImpressionConfig)(nil)
	_ confmap.Validator = (*OutcomesConfig)(nil)
	_ confmap.Validator = (*TrackingConfig)(nil)
	_ confmap.Validator = (*IdentityConfig)(nil)
	_ confmap.Validator = (*EventPropertiesConfig)(nil)
	_ confmap.Validator = (*InsertIDConfig)(nil)
	_ confmap.Validator = (*LimitsConfig)(nil)
)

// Config configures the processor. Every key is optional.
type Config struct {
	// EventName lists the attributes that may hold the event name when the record's EventName field is not in any
	// `event_names`. The same names are then looked up in a body that is a map.
	EventName []string `mapstructure:"event_name"`
	// ParseJSONBody parses a text body that holds one JSON object, such as a line of a container log.
	ParseJSONBody bool `mapstructure:"parse_json_body"`
	// Exposure configures how exposure records are recognized and sent.
	Exposure ExposureConfig `mapstructure:"exposure"`
	// Evaluation configures how flag evaluations that follow OpenTelemetry's semantic conventions are read.
	Evaluation EvaluationConfig `mapstructure:"evaluation"`
	// Assignment configures how records that hold the result of evaluating many flags are read and sent.
	Assignment AssignmentConfig `mapstructure:"assignment"`
	// Impression configures whether impressions of web experiments are read and sent.
	Impression ImpressionConfig `mapstructure:"impression"`
	// Outcomes selects the records that say what a user did, such as placing an order, so that experiments can be
	// measured by it.
	Outcomes OutcomesConfig `mapstructure:"outcomes"`
	// Identity configures where the ids of an event are found.
	Identity IdentityConfig `mapstructure:"identity"`
	// AcceptShaped trusts every sender to write any part of an event: a record with `amplitude.insert_id` is an event
	// that another Collector made and passes unchanged, and all attributes under `amplitude.` are kept. For a gateway
	// that only Collectors can reach, and for replays. When false, such a record is read like any other, and
	// operators, `amplitude.insert_id` and fields that do not describe the user's identity, session, groups, device
	// or location are stripped.
	AcceptShaped bool `mapstructure:"accept_shaped"`
	// OtherRecords is what happens to all other records: `pass` leaves them unchanged, `drop` drops them.
	OtherRecords string `mapstructure:"other_records"`
	// SetUserProperties adds the user property `[Experiment] <flag key>` to the events. When false, neither exposures nor
	// assignments set it, whatever their own `set_user_properties` says.
	SetUserProperties bool `mapstructure:"set_user_properties"`
	// EventProperties selects which other attributes are sent with an event.
	EventProperties EventPropertiesConfig `mapstructure:"event_properties"`
	// MaxExperimentProperties rejects new flags beyond this number of distinct ones; 0 only warns, at 1,200 and at
	// 1,500.
	MaxExperimentProperties int `mapstructure:"max_experiment_properties"`
	// InsertID configures how `insert_id` is made.
	InsertID InsertIDConfig `mapstructure:"insert_id"`
	// Dedup configures what counts as a repeat, and where the state of what was sent is kept.
	Dedup DedupConfig `mapstructure:"dedup"`
	// Diagnostics counts persons by flag and variant, and tests whether they are split as expected. It is off by
	// default: flag names in metric labels can reveal unreleased features.
	Diagnostics DiagnosticsConfig `mapstructure:"diagnostics"`
	// Limits bounds what one record or one request may cost, so that none can stall the Collector or exhaust its
	// memory.
	Limits LimitsConfig `mapstructure:"limits"`

	// ownSkipReasons is true if evaluation.skip_reasons was configured; presets then add nothing to it.
	ownSkipReasons bool
}

// ExposureConfig configures how explicit exposure records are recognized and sent. In each list of attribute names,
// the first one with a usable value wins.
type ExposureConfig struct {
	// EventNames are the event names that make a record an exposure. They match exactly.
	EventNames []string `mapstructure:"event_names"`
	// FlagKey are the attributes that may hold the flag key.
	FlagKey []string `mapstructure:"flag_key"`
	// Variant are the attributes that may hold the variant.
	Variant []string `mapstructure:"variant"`
	// ExperimentKey are the attributes that may hold the experiment key; if none does, `metadata.experimentKey` is
	// used.
	ExperimentKey []string `mapstructure:"experiment_key"`
	// OffVariants are the variants that mean "not assigned to a variant" unless a default marker says otherwise.
	OffVariants []string `mapstructure:"off_variants"`
	// Wire is `transformed` for the event as Amplitude stores it, or `raw` for `$exposure`, which Amplitude
	// transforms. It also applies to evaluations.
	Wire string `mapstructure:"wire"`
	// Unassigned is what an exposure to an unassigned variant becomes: an `event` that also unsets the user property,
	// an `identify` that only unsets it, or nothing (`drop`). It also applies to evaluations.
	Unassigned string `mapstructure:"unassigned"`
	// CustomEvents are the event names that `metadata.exposureEvent` may give an exposure, as an integration of
	// Amplitude's JavaScript client sets it; only `*` is special. None by default: such events count toward event
	// volume. The exporter's `events` must allow them, too.
	CustomEvents []string `mapstructure:"custom_events"`
	// SetUserProperties, when false, keeps exposures from setting the user property; assignments still do. It also
	// applies to evaluations.
	SetUserProperties bool `mapstructure:"set_user_properties"`
}

// EvaluationConfig configures how flag evaluations that follow OpenTelemetry's semantic conventions are read.
type EvaluationConfig struct {
	// Enabled turns evaluations into exposures. Turn it off where flags are evaluated ahead of time and exposures are
	// logged separately.
	Enabled bool `mapstructure:"enabled"`
	// EventNames are the event names that make a record an evaluation. They match exactly.
	EventNames []string `mapstructure:"event_names"`
	// FlagKey are the attributes that may hold the flag key.
	FlagKey []string `mapstructure:"flag_key"`
	// Variant are the attributes that may hold the variant.
	Variant []string `mapstructure:"variant"`
	// Value are the attributes that may hold the value of the flag, used when there is no variant; so is `value` in a
	// body that is a map.
	Value []string `mapstructure:"value"`
	// PreferValue uses the value before the variant, for providers whose variants are numbers.
	PreferValue bool `mapstructure:"prefer_value"`
	// OffVariants are the variants that mean "not assigned to a variant" unless a default marker says otherwise.
	OffVariants []string `mapstructure:"off_variants"`
	// ExperimentKey are the attributes that may hold the experiment key. There is no convention for it.
	ExperimentKey []string `mapstructure:"experiment_key"`
	// Reason are the attributes that may hold the evaluation reason.
	Reason []string `mapstructure:"reason"`
	// SkipReasons are the evaluation reasons, in lower case, for which an evaluation is not an exposure. They also
	// match the spellings of `default`, `disabled` and `error` that Flipt and Microsoft use.
	SkipReasons []string `mapstructure:"skip_reasons"`
	// DefaultMarker are the boolean attributes that say whether the application's default was served, in which case
	// it is not an exposure.
	DefaultMarker []string `mapstructure:"default_marker"`
	// Preset is the provider whose known quirks are applied when reading evaluations; `auto` uses
	// `feature_flag.provider.name`, `none` applies none.
	Preset string `mapstructure:"preset"`
}

// AssignmentConfig configures how assignment records are read and sent.
type AssignmentConfig struct {
	// EventNames are the event names that make a record an assignment. They match exactly.
	EventNames []string `mapstructure:"event_names"`
	// Variants are the attributes that may hold the map from flag key to variant.
	Variants []string `mapstructure:"variants"`
	// OffVariants are the variants that mean "not assigned to a variant" unless a default marker says otherwise.
	OffVariants []string `mapstructure:"off_variants"`
	// Environment are the attributes that may hold the value for `[Experiment] Environment Name`.
	Environment []string `mapstructure:"environment"`
	// PropertyPrefix is the prefix of `<flag key>.variant` and `<flag key>.details`; Amplitude's SDKs use no prefix.
	PropertyPrefix string `mapstructure:"property_prefix"`
	// Emit is what a result becomes: an `assignment`; `exposures`, one for each flag that assigns the user to a
	// variant, as Amplitude's server SDKs track them; or `both`.
	Emit string `mapstructure:"emit"`
	// SetUserProperties, when false, keeps assignments from setting user properties; exposures still do.
	SetUserProperties bool `mapstructure:"set_user_properties"`
}

// ImpressionConfig configures whether impressions of web experiments are sent. They are read like exposures, set no
// user property, and all count: only the same record twice is a repeat.
type ImpressionConfig struct {
	// Enabled sends impressions as events. It is off by default: Amplitude documents that exposures and assignments
	// do not count toward event volume, and says nothing about impressions.
	Enabled bool `mapstructure:"enabled"`
	// EventNames are the event names that make a record an impression. They match exactly.
	EventNames []string `mapstructure:"event_names"`
}

// IdentityConfig configures where the ids of an event are found.
type IdentityConfig struct {
	// UserID are the attributes that may hold the user id.
	UserID []string `mapstructure:"user_id"`
	// DeviceID are the attributes that may hold the device id.
	DeviceID []string `mapstructure:"device_id"`
	// SessionID are the attributes that may hold the session id, which is the session's start in milliseconds.
	SessionID []string `mapstructure:"session_id"`
	// ContextID are the attributes that may hold the subject of an evaluation.
	ContextID []string `mapstructure:"context_id"`
	// ContextIDAs is what the subject of an evaluation is used as when none of the attributes above gave that id.
	ContextIDAs string `mapstructure:"context_id_as"`
	// Groups maps an Amplitude group type to the attribute that holds its value.
	Groups map[string]string `mapstructure:"groups"`
	// MinIDLength is Amplitude's `min_id_length`: shorter ids, in UTF-16 code units, are treated as absent.
	MinIDLength int `mapstructure:"min_id_length"`
	// Normalize changes user and device ids before they are used: `unquote` removes a pair of quotes around an id.
	// Use it only where no flag is evaluated with the quotes: an id must match the one used for evaluation byte for
	// byte.
	Normalize []string `mapstructure:"normalize"`
}

// EventPropertiesConfig selects which other attributes are sent with an event.
type EventPropertiesConfig struct {
	// Include are patterns of attribute names; only `*` is special.
	Include []string `mapstructure:"include"`
}

// InsertIDConfig configures how insert_id is made.
type InsertIDConfig struct {
	// Format is `strong`, made of everything that distinguishes two events, or `sdk`, the string that Amplitude's
	// Node SDK makes.
	Format string `mapstructure:"format"`
}

// LimitsConfig bounds what one record or one request may cost. What exceeds a limit is counted with its reason; the
// rest of the request is processed.
type LimitsConfig struct {
	// Flags is how many flags of one assignment are read; the rest are left out (`flag_limit`).
	Flags int `mapstructure:"flags"`
	// SubjectRecords is how many records for one user and flag are accepted from one request; the rest are rejected
	// (`subject_limit`).
	SubjectRecords int `mapstructure:"subject_records"`
	// InheritedMiB is how much the records of one request may copy, in total, from their scopes and resources, in
	// addition to 256 bytes each; the rest are rejected (`inherited_limit`). It keeps a small request with, say,
	// `variants` on the resource and many records from growing to gigabytes.
	InheritedMiB int `mapstructure:"inherited_mib"`
}

func createDefaultConfig() *Config {
	return &Config{
		EventName: []string{"otel.event.name", "event.name"},
		Exposure: ExposureConfig{
			EventNames:    []string{amplitude.EventRawExposure, amplitude.EventExposure},
			FlagKey:       []string{amplitude.RawFlagKey, amplitude.PropertyFlagKey},
			Variant:       []string{amplitude.RawVariant, amplitude.PropertyVariant},
			ExperimentKey: []string{amplitude.RawExperimentKey, amplitude.PropertyExperimentKey},
			OffVariants:   []string{"off"},
			Wire:          experiment.WireTransformed,
			Unassigned:    experiment.UnassignedEvent,
			CustomEvents:  []string{},

			SetUserProperties: true,
		},
		Evaluation: EvaluationConfig{
			Enabled:       true,
			EventNames:    []string{experiment.EventEvaluation, experiment.EventEvaluationOld},
			FlagKey:       []string{"feature_flag.key"},
			Variant:       []string{"feature_flag.result.variant", "feature_flag.variant"},
			Value:         []string{"feature_flag.result.value"},
			OffVariants:   []string{},
			ExperimentKey: []string{"feature_flag.experiment.key"},
			Reason:        experiment.DefaultReason(),
			SkipReasons:   experiment.DefaultSkipReasons(),
			DefaultMarker: []string{},
			Preset:        experiment.PresetAuto,
		},
		Assignment: AssignmentConfig{
			EventNames:     []string{amplitude.EventRawAssignment, amplitude.EventAssignment},
			Variants:       []string{"variants"},
			OffVariants:    []string{"off"},
			Environment:    []string{"environment", "deployment.environment.name"},
			PropertyPrefix: amplitude.ExperimentPrefix,
			Emit:           experiment.EmitAssignment,

			SetUserProperties: true,
		},
		Outcomes:   createDefaultOutcomesConfig(),
		Impression: ImpressionConfig{EventNames: []string{amplitude.EventRawImpression, amplitude.EventImpression}},
		Identity: IdentityConfig{
			UserID:      experiment.DefaultUserID(),
			DeviceID:    experiment.DefaultDeviceID(),
			SessionID:   experiment.DefaultSessionID(),
			ContextID:   []string{"feature_flag.context.id", "feature_flag.context.key"},
			ContextIDAs: experiment.AsUserID,
			Groups:      map[string]string{},
			MinIDLength: amplitude.DefaultMinIDLength,
		},
		OtherRecords:      experiment.OtherPass,
		SetUserProperties: true,
		EventProperties:   EventPropertiesConfig{Include: []string{}},
		InsertID:          InsertIDConfig{Format: experiment.InsertIDStrong},
		Dedup:             createDefaultDedupConfig(),
		Diagnostics:       createDefaultDiagnosticsConfig(),
		Limits:            LimitsConfig{Flags: 10_000, SubjectRecords: 10_000, InheritedMiB: 16},
	}
}

// Unmarshal suggests the likely intended name for each unknown key.
func (cfg *Config) Unmarshal(conf *confmap.Conf) error {
	cfg.ownSkipReasons = conf.IsSet("evaluation::skip_reasons")
	return didyoumean.Unmarshal(conf, cfg)
}

// mapping returns the settings for the mapping of records. flagsSeen is called with the number of distinct flags.
func (cfg *Config) mapping(flagsSeen func(int, experiment.Unseen)) (experiment.Settings, error) {
	window, err := experiment.NewWindow(cfg.Dedup.Window, cfg.Dedup.TimeZone)
	return experiment.Settings{
		Exposure:          experiment.ExposureSettings(cfg.Exposure),
		Evaluation:        experiment.EvaluationSettings(cfg.Evaluation),
		Assignment:        experiment.AssignmentSettings(cfg.Assignment),
		Impression:        experiment.ImpressionSettings(cfg.Impression),
		Outcomes:          cfg.Outcomes.settings(),
		Identity:          experiment.IdentitySettings(cfg.Identity),
		EventName:         cfg.EventName,
		ParseJSONBody:     cfg.ParseJSONBody,
		AcceptShaped:      cfg.AcceptShaped,
		OtherRecords:      cfg.OtherRecords,
		SetUserProperties: cfg.SetUserProperties,
		Include:           cfg.EventProperties.Include,
		MaxProperties:     cfg.MaxExperimentProperties,
		InsertIDFormat:    cfg.InsertID.Format,
		OwnSkipReasons:    cfg.ownSkipReasons,
		Window:            window,
		FlagsSeen:         flagsSeen,
		Limits: experiment.LimitSettings{
			Flags:          cfg.Limits.Flags,
			SubjectRecords: cfg.Limits.SubjectRecords,
			InheritedBytes: cfg.Limits.InheritedMiB << bitsPerMiB,
		},
	}, err
}

// Validate checks the top-level keys and the rules that span sections.
func (cfg *Config) Validate() error {
	errs := []error{
		nameList("event_name", cfg.EventName, false),
		check.OneOf("other_records", cfg.OtherRecords, experiment.OtherPass, experiment.OtherDrop),
		check.NotNegative("max_experiment_properties", cfg.MaxExperimentProperties),
	}
	owner := map[string]string{}
	for _, section := range []struct {
		name  string
		names []string
	}{
		{"exposure", cfg.Exposure.EventNames},
		{"evaluation", cfg.Evaluation.EventNames},
		{"assignment", cfg.Assignment.EventNames},
		{"impression", cfg.Impression.EventNames},
		{"outcomes.tracking", cfg.Outcomes.Tracking.EventNames},
	} {
		for _, name := range section.names {
			if other, taken := owner[name]; taken && other != section.name {
				errs = append(errs, fmt.Errorf("`event_names` of %s and of %s must differ (got %q in both)", other, section.name, name))
			}
			owner[name] = section.name
		}
	}
	for _, name := range cfg.Outcomes.Events {
		if section, taken := owner[name]; taken {
			errs = append(errs, fmt.Errorf("`events` of outcomes must not have a name that is in `event_names` of %s (got %q)", section, name))
		}
	}
	return errors.Join(errs...)
}

// Validate checks the section; the Collector prefixes errors with its name.
func (cfg *ExposureConfig) Validate() error {
	return errors.Join(
		nameList("event_names", cfg.EventNames, false),
		nameList("flag_key", cfg.FlagKey, true),
		nameList("variant", cfg.Variant, true),
		nameList("experiment_key", cfg.ExperimentKey, false),
		nameList("off_variants", cfg.OffVariants, false),
		nameList("custom_events", cfg.CustomEvents, false),
		check.OneOf("wire", cfg.Wire, experiment.WireTransformed, experiment.WireRaw),
		check.OneOf("unassigned", cfg.Unassigned, experiment.UnassignedEvent, experiment.UnassignedIdentify, experiment.UnassignedDrop),
	)
}

// Validate checks the section; the Collector prefixes errors with its name.
func (cfg *EvaluationConfig) Validate() error {
	errs := []error{
		nameList("event_names", cfg.EventNames, false),
		nameList("flag_key", cfg.FlagKey, true),
		nameList("variant", cfg.Variant, false),
		nameList("value", cfg.Value, false),
		nameList("off_variants", cfg.OffVariants, false),
		nameList("experiment_key", cfg.ExperimentKey, false),
		nameList("reason", cfg.Reason, false),
		nameList("skip_reasons", cfg.SkipReasons, false),
		nameList("default_marker", cfg.DefaultMarker, false),
		check.OneOf("preset", cfg.Preset, experiment.PresetAuto, experiment.PresetNone, "flagd", "flagsmith", "flipt", "growthbook", "launchdarkly", "optimizely", "unleash"),
	}
	for _, reason := range cfg.SkipReasons {
		if reason != strings.ToLower(reason) {
			errs = append(errs, fmt.Errorf("`skip_reasons` must be in lower case (got %q)", reason))
		}
	}
	return errors.Join(errs...)
}

// Validate checks the section; the Collector prefixes errors with its name.
func (cfg *AssignmentConfig) Validate() error {
	errs := []error{
		nameList("event_names", cfg.EventNames, false),
		nameList("variants", cfg.Variants, false),
		nameList("off_variants", cfg.OffVariants, false),
		nameList("environment", cfg.Environment, false),
		check.OneOf("emit", cfg.Emit, experiment.EmitAssignment, experiment.EmitExposures, experiment.EmitBoth),
	}
	if strings.HasPrefix(cfg.PropertyPrefix, amplitude.AttrPrefix) || len(cfg.PropertyPrefix) > experiment.MaxNames {
		errs = append(errs, fmt.Errorf("`property_prefix` must not begin with %q or be longer than %d bytes (got %q)", amplitude.AttrPrefix, experiment.MaxNames, cfg.PropertyPrefix))
	}
	return errors.Join(errs...)
}

// Validate checks the section; the Collector prefixes errors with its name.
func (cfg *ImpressionConfig) Validate() error {
	return nameList("event_names", cfg.EventNames, false)
}

// Validate checks the section; the Collector prefixes errors with its name.
func (cfg *IdentityConfig) Validate() error {
	errs := []error{
		nameList("user_id", cfg.UserID, false),
		nameList("device_id", cfg.DeviceID, false),
		nameList("session_id", cfg.SessionID, false),
		nameList("context_id", cfg.ContextID, false),
		check.OneOf("context_id_as", cfg.ContextIDAs, experiment.AsUserID, experiment.AsDeviceID, experiment.AsIgnore),
		check.Between("min_id_length", cfg.MinIDLength, 1, amplitude.MaxStringLength),
		check.Names("normalize", cfg.Normalize),
	}
	for _, how := range cfg.Normalize {
		errs = append(errs, check.OneOf("normalize", how, experiment.NormalizeUnquote))
	}
	if len(cfg.Groups) > amplitude.MaxGroupTypes {
		errs = append(errs, fmt.Errorf("`groups` must name at most %d group types (got %d)", amplitude.MaxGroupTypes, len(cfg.Groups)))
	}
	for groupType, attribute := range cfg.Groups {
		if strings.TrimSpace(groupType) == "" || strings.TrimSpace(attribute) == "" {
			errs = append(errs, fmt.Errorf("`groups` must map a group type to an attribute name (got %q: %q)", groupType, attribute))
		}
	}
	return errors.Join(errs...)
}

// Validate checks the section; the Collector prefixes errors with its name.
func (cfg *EventPropertiesConfig) Validate() error {
	return nameList("include", cfg.Include, false)
}

// Validate checks the section; the Collector prefixes errors with its name.
func (cfg *InsertIDConfig) Validate() error {
	return check.OneOf("format", cfg.Format, experiment.InsertIDStrong, experiment.InsertIDSDK)
}

const (
	bitsPerMiB = 20
	// maxInheritedMiB and maxLimit keep the limits meaningful.
	maxInheritedMiB = 1024
	maxLimit        = 1_000_000
)

// Validate checks the section; the Collector prefixes errors with its name.
func (cfg *LimitsConfig) Validate() error {
	return errors.Join(
		check.Between("flags", cfg.Flags, 1, maxLimit),
		check.Between("subject_records", cfg.SubjectRecords, 1, maxLimit),
		check.Between("inherited_mib", cfg.InheritedMiB, 1, maxInheritedMiB),
	)
}

// nameList checks a list of names: none blank, no duplicates, not too many.
func nameList(key string, names []string, required bool) error {
	if required && len(names) == 0 {
		return fmt.Errorf("`%s` must name at least one attribute", key)
	}
	if len(names) > experiment.MaxNames {
		return fmt.Errorf("`%s` must not have more than %d entries (got %d)", key, experiment.MaxNames, len(names))
	}
	return check.Names(key, names)
}
