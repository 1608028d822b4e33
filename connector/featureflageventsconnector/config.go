// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package featureflageventsconnector // import "github.com/otelcol-amplitude/otelcol-amplitude/connector/featureflageventsconnector"

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"go.opentelemetry.io/collector/confmap"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/amplitude"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/check"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/didyoumean"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/experiment"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/pattern"
)

// Values of launchdarkly::variant.
const (
	variantIndex = "index"
	variantValue = "value"
)

// maxCopiedMiB keeps the limit meaningful.
const maxCopiedMiB = 1024

var (
	_ confmap.Validator   = (*Config)(nil)
	_ confmap.Validator   = (*SpanEventConfig)(nil)
	_ confmap.Validator   = (*SpanConfig)(nil)
	_ confmap.Validator   = (*LaunchDarklyConfig)(nil)
	_ confmap.Unmarshaler = (*Config)(nil)
	_ confmap.Unmarshaler = (*SpanEventConfig)(nil)
	_ confmap.Unmarshaler = (*SpanConfig)(nil)
)

// Config configures the connector. Every key is optional.
type Config struct {
	// SpanEventNames are the names of the span events that become log records. They match exactly.
	SpanEventNames []string `mapstructure:"span_event_names"`
	// SpanEvents are additional span events that become log records, renamed to follow the conventions; none by
	// default.
	SpanEvents []SpanEventConfig `mapstructure:"span_events"`
	// CopyAttributes are the attributes that a record copies from the span of its event, else from the span's scope,
	// else from its resource. An attribute of the event itself takes precedence. Only text up to 4,096 bytes, numbers
	// and booleans are copied.
	CopyAttributes []string `mapstructure:"copy_attributes"`
	// MaxCopiedMiB is how much the records of one request may copy in total, in addition to 256 bytes each from a span,
	// a scope and a resource; further records get no copies. It keeps a span with many events from growing to
	// gigabytes.
	MaxCopiedMiB int `mapstructure:"max_copied_mib"`
	// Spans are the kinds of spans that are evaluations themselves; none by default.
	Spans []SpanConfig `mapstructure:"spans"`
	// LaunchDarkly configures how evaluations from this provider are read.
	LaunchDarkly LaunchDarklyConfig `mapstructure:"launchdarkly"`
}

// SpanEventConfig describes span events that use other names than the conventions.
type SpanEventConfig struct {
	// Names are the names of the span events; `*` stands for any text.
	Names []string `mapstructure:"names"`
	// EventName is the event name of the record.
	EventName string `mapstructure:"event_name"`
	// Attributes renames attributes of the span event, from: to. An existing attribute takes precedence. Attributes
	// that are not listed keep their names.
	Attributes map[string]string `mapstructure:"attributes"`
	// SkipIfTrue are boolean attributes of the span event that, when true, mean that it is not an evaluation.
	SkipIfTrue []string `mapstructure:"skip_if_true"`
}

// SpanConfig describes spans that are evaluations themselves.
type SpanConfig struct {
	// Names are the names of the spans; one `*` stands for any text.
	Names []string `mapstructure:"names"`
	// EventName is the event name of the record.
	EventName string `mapstructure:"event_name"`
	// Attributes renames attributes of the span, from: to. An existing attribute takes precedence. Attributes that are
	// not listed keep their names.
	Attributes map[string]string `mapstructure:"attributes"`
	// StarAttribute is the attribute that is set to what the `*` in the name matched, unless the record already has it.
	StarAttribute string `mapstructure:"star_attribute"`
	// SkipIfTrue are boolean attributes of the span that, when true, mean that it is not an evaluation.
	SkipIfTrue []string `mapstructure:"skip_if_true"`
}

// LaunchDarklyConfig configures how evaluations from LaunchDarkly are read.
type LaunchDarklyConfig struct {
	// Enabled translates LaunchDarkly's attributes; otherwise they are copied unchanged.
	Enabled bool `mapstructure:"enabled"`
	// UserKind is the context kind whose key identifies the user.
	UserKind string `mapstructure:"user_kind"`
	// ContextKinds are the context kinds in use in addition to `user`. If empty, any text with a colon is read as kind
	// and key. If not, texts with other kinds are read as user keys that contain a colon.
	ContextKinds []string `mapstructure:"context_kinds"`
	// Groups maps context kinds to Amplitude group types.
	Groups map[string]string `mapstructure:"groups"`
	// Variant is `index`, the index of the variation as text, or `value`, the value if it is a scalar.
	Variant string `mapstructure:"variant"`
	// OnlyInExperiment skips evaluations that LaunchDarkly did not mark as part of an experiment.
	OnlyInExperiment bool `mapstructure:"only_in_experiment"`
}

func createDefaultConfig() *Config {
	return &Config{
		SpanEventNames: []string{experiment.EventEvaluation, experiment.EventEvaluationOld, amplitude.EventRawExposure, amplitude.EventRawAssignment},
		CopyAttributes: slices.Concat(experiment.DefaultUserID(), experiment.DefaultDeviceID(), experiment.DefaultSessionID()),
		MaxCopiedMiB:   16,
		LaunchDarkly:   LaunchDarklyConfig{Enabled: true, UserKind: kindUser, Variant: variantIndex},
	}
}

// Unmarshal implements [confmap.Unmarshaler]; it suggests the likely intended name for each unknown key.
func (c *Config) Unmarshal(conf *confmap.Conf) error {
	return didyoumean.Unmarshal(conf, c)
}

// Unmarshal implements [confmap.Unmarshaler], which is the only way to set defaults of list elements.
func (c *SpanEventConfig) Unmarshal(conf *confmap.Conf) error {
	c.EventName = experiment.EventEvaluation
	return conf.Unmarshal(c)
}

// Unmarshal implements [confmap.Unmarshaler], which is the only way to set defaults of list elements.
func (c *SpanConfig) Unmarshal(conf *confmap.Conf) error {
	c.EventName = experiment.EventEvaluation
	return conf.Unmarshal(c)
}

// Validate implements [confmap.Validator].
func (c *Config) Validate() error {
	var errs error
	if len(c.SpanEventNames) == 0 && len(c.SpanEvents) == 0 && len(c.Spans) == 0 {
		errs = errors.New("one of `span_event_names`, `span_events` and `spans` must not be empty")
	}
	return errors.Join(errs,
		check.Names("span_event_names", c.SpanEventNames),
		check.Names("copy_attributes", c.CopyAttributes),
		check.Between("max_copied_mib", c.MaxCopiedMiB, 1, maxCopiedMiB))
}

// Validate implements [confmap.Validator].
func (c *SpanConfig) Validate() error {
	var errs error
	if len(c.Names) == 0 {
		errs = errors.New("`names` must not be empty")
	}
	stars := 0
	for _, name := range c.Names {
		switch strings.Count(name, pattern.Star) {
		case 0:
		case 1:
			stars++
			if name == pattern.Star {
				errs = errors.Join(errs, errors.New("`names` must not contain just \"*\": every span would be an evaluation"))
			}
		default:
			errs = errors.Join(errs, fmt.Errorf("a name in `names` may contain one * (got %q)", name))
		}
	}
	if c.StarAttribute != "" && stars == 0 {
		errs = errors.Join(errs, fmt.Errorf("`star_attribute` needs a name with a * in `names` (got %q)", c.StarAttribute))
	}
	return errors.Join(errs, checkRenames(c.EventName, c.Attributes), check.Names("names", c.Names), check.Names("skip_if_true", c.SkipIfTrue))
}

// Validate implements [confmap.Validator].
func (c *SpanEventConfig) Validate() error {
	var errs error
	if len(c.Names) == 0 {
		errs = errors.New("`names` must not be empty")
	}
	if slices.Contains(c.Names, pattern.Star) {
		errs = errors.Join(errs, errors.New("`names` must not contain just \"*\": every span event would be an evaluation"))
	}
	return errors.Join(errs, checkRenames(c.EventName, c.Attributes), check.Names("names", c.Names), check.Names("skip_if_true", c.SkipIfTrue))
}

// checkRenames checks the new names.
func checkRenames(eventName string, attributes map[string]string) error {
	var errs error
	if strings.TrimSpace(eventName) == "" {
		errs = errors.New("`event_name` must not be empty")
	}
	targets := map[string]string{}
	for _, from := range slices.Sorted(maps.Keys(attributes)) {
		to := attributes[from]
		if from == "" || to == "" {
			errs = errors.Join(errs, fmt.Errorf("`attributes` must map a name to a name (got %q: %q)", from, to))
		}
		if other, taken := targets[to]; taken {
			errs = errors.Join(errs, fmt.Errorf("`attributes` must not give two attributes the same name (got %q and %q, both %q)", other, from, to))
		}
		targets[to] = from
	}
	return errs
}

// Validate implements [confmap.Validator].
func (c *LaunchDarklyConfig) Validate() error {
	var errs error
	if !isKind(c.UserKind) {
		errs = fmt.Errorf("`user_kind` must be a LaunchDarkly context kind, letters, digits, '.', '_' and '-' (got %q)", c.UserKind)
	}
	for _, kind := range c.ContextKinds {
		if !isKind(kind) {
			errs = errors.Join(errs, fmt.Errorf("`context_kinds` must hold LaunchDarkly context kinds (got %q)", kind))
		}
	}
	for _, kind := range slices.Sorted(maps.Keys(c.Groups)) {
		if !isKind(kind) || strings.TrimSpace(c.Groups[kind]) == "" {
			errs = errors.Join(errs, fmt.Errorf("`groups` must map a LaunchDarkly context kind to a group type (got %q: %q)", kind, c.Groups[kind]))
		}
	}
	return errors.Join(errs, check.OneOf("variant", c.Variant, variantIndex, variantValue))
}
