// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudeexperimentprocessor // import "github.com/otelcol-amplitude/otelcol-amplitude/processor/amplitudeexperimentprocessor"

import (
	"errors"
	"fmt"
	"math"
	"time"

	"go.opentelemetry.io/collector/confmap"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/check"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/diagnostics"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/pattern"
)

const (
	defaultDiagnosticsFlags    = 200
	defaultDiagnosticsVariants = 20
	// OpenTelemetry's SDK keeps 2,000 series per metric: one for each trait of a run, and one for each of its
	// variants.
	maxDiagnosticsFlags     = 350
	maxDiagnosticsVariants  = 100
	maxDiagnosticsAll       = 1_900
	minDiagnosticsPersons   = 1_000
	maxDiagnosticsPersons   = 1_000_000
	defaultDiagnosticsAfter = 7 * 24 * time.Hour
	maxDiagnosticsAfter     = 90 * 24 * time.Hour
)

var _ confmap.Validator = (*DiagnosticsConfig)(nil)

// DiagnosticsConfig selects the flags that are counted by person and variant, and the expected split of their
// persons. The counts are kept where the de-duplication state is: across restarts with `dedup::storage`, and for all
// replicas together with `dedup::redis`.
type DiagnosticsConfig struct {
	// Flags are patterns of the flags to count, in addition to those in `expected`; only `*` is special. None by
	// default.
	Flags []string `mapstructure:"flags"`
	// Expected maps a flag to the weights of its variants, such as `checkout: {control: 50, treatment: 50}`. Only
	// these flags are tested for a sample ratio mismatch. Changing the weights restarts the test.
	Expected map[string]map[string]float64 `mapstructure:"expected"`
	// MaxFlags bounds the number of flags that are counted, at most 350; each additional experiment key of a flag
	// counts as another flag. Those in `expected` always fit.
	MaxFlags int `mapstructure:"max_flags"`
	// MaxVariants bounds the number of variants counted per flag, at most 100; across all flags, at most 1,900 are
	// counted.
	MaxVariants int `mapstructure:"max_variants"`
	// MaxPersons is how many persons of a flag and experiment key are tracked individually, at up to 43 bytes each.
	// Beyond that, a random sample is tracked, and numbers of persons are estimates.
	MaxPersons int `mapstructure:"max_persons"`
	// ForgetAfter is how long a flag keeps its counts and series without new records, at most 2160h.
	ForgetAfter time.Duration `mapstructure:"forget_after"`
}

func createDefaultDiagnosticsConfig() DiagnosticsConfig {
	return DiagnosticsConfig{
		Flags:       []string{},
		Expected:    map[string]map[string]float64{},
		MaxFlags:    defaultDiagnosticsFlags,
		MaxVariants: defaultDiagnosticsVariants,
		MaxPersons:  diagnostics.DefaultPersons,
		ForgetAfter: defaultDiagnosticsAfter,
	}
}

// enabled reports whether anything is counted.
func (cfg *DiagnosticsConfig) enabled() bool { return len(cfg.Flags) > 0 || len(cfg.Expected) > 0 }

// Validate checks the section; the Collector prefixes errors with its name.
func (cfg *DiagnosticsConfig) Validate() error {
	errs := []error{
		nameList("flags", cfg.Flags, false),
		check.Between("max_flags", cfg.MaxFlags, 1, maxDiagnosticsFlags),
		check.Between("max_variants", cfg.MaxVariants, 1, maxDiagnosticsVariants),
		check.Between("max_persons", cfg.MaxPersons, minDiagnosticsPersons, maxDiagnosticsPersons),
		check.Between("forget_after", cfg.ForgetAfter, time.Hour, maxDiagnosticsAfter),
	}
	if len(cfg.Expected) > cfg.MaxFlags {
		errs = append(errs, fmt.Errorf("`expected` must not name more flags than `max_flags` (got %d, and %d)", len(cfg.Expected), cfg.MaxFlags))
	}
	variants := 0
	for flag, weights := range cfg.Expected {
		variants += len(weights)
		errs = append(errs, checkWeights(flag, weights, cfg.MaxVariants))
	}
	if variants > maxDiagnosticsAll {
		errs = append(errs, fmt.Errorf("`expected` must not name more than %d variants in all (got %d)", maxDiagnosticsAll, variants))
	}
	return errors.Join(errs...)
}

func checkWeights(flag string, weights map[string]float64, most int) error {
	if flag == "" {
		return errors.New("`expected` must map a flag key to the weights of its variants (got a flag without a name)")
	}
	if len(weights) < 2 || len(weights) > most {
		return fmt.Errorf("`expected` must give the flag %q from 2 to `max_variants` variants (got %d)", flag, len(weights))
	}
	for variant, weight := range weights {
		if variant == "" || !(weight > 0) || math.IsInf(weight, 0) {
			return fmt.Errorf("`expected` must give each variant of the flag %q a positive weight (got %v for %q)", flag, weight, variant)
		}
	}
	return nil
}

// book returns an empty book.
func (cfg *DiagnosticsConfig) book() *diagnostics.Book {
	return diagnostics.NewBook(diagnostics.Settings{
		Flags:          pattern.NewList(cfg.Flags),
		Expected:       cfg.Expected,
		MaxFlags:       cfg.MaxFlags,
		MaxVariants:    cfg.MaxVariants,
		MaxAllVariants: maxDiagnosticsAll,
		MaxPersons:     cfg.MaxPersons,
		Forget:         cfg.ForgetAfter,
	})
}
