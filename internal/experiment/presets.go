// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package experiment // import "github.com/otelcol-amplitude/otelcol-amplitude/internal/experiment"

import (
	"slices"
	"strings"
)

// preset is what is known about the evaluations of one provider, beyond the conventions: evidence for what a record
// does not say. Each provider has a file, preset_<word>.go, with its sources. A nil preset knows nothing.
type preset struct {
	// word is its name in the configuration.
	word string
	// name is a substring, in lower case, of all names that the provider's integrations give it, and of no other
	// provider's.
	name string
	// notAssigned are additional reasons, in lower case, of users who were not assigned to a variant.
	notAssigned map[string]SkipReason
	// defaultWithoutReason: a value without a variant and without a reason that says anything is the application's own
	// default, unless it is a boolean.
	defaultWithoutReason bool
	// falseIsDisabled: for a boolean flag, the reason disabled means that it is false for this user.
	falseIsDisabled bool
	// notVariation is what the provider reports as the variant for every variation.
	notVariation string
}

var presets []*preset

// registerPreset adds a preset; each provider's file calls it.
func registerPreset(one preset) struct{} { //nolint:unparam // a value, so that files can call it in a declaration
	presets = append(presets, &one)
	return struct{}{}
}

// Presets returns the values of evaluation.preset.
func Presets() []string {
	words := make([]string, 0, len(presets))
	for _, one := range presets {
		words = append(words, one.word)
	}
	slices.Sort(words)
	return append([]string{PresetAuto, PresetNone}, words...)
}

// skips reports whether a reason means that the user was not assigned to a variant.
func (k *preset) skips(reason string) (SkipReason, bool) {
	if k == nil || len(k.notAssigned) == 0 {
		return 0, false
	}
	why, listed := k.notAssigned[strings.ToLower(strings.TrimSpace(reason))]
	return why, listed
}

// servesDefault reports whether the value of an evaluation without a variant is the application's own default.
func (k *preset) servesDefault(v *fieldValues) bool {
	return k != nil && k.defaultWithoutReason && saysNothing(v.text(fieldReason)) &&
		!v.found(fieldDefaultMarker) && v.answers[fieldValue].number != isBoolean
}

// isVariation reports whether a variant is a real one.
func (k *preset) isVariation(variant string) bool {
	return k == nil || k.notVariation == "" || variant != k.notVariation
}

// countsFalse reports whether an evaluation that is skipped as disabled is the false arm of a boolean flag.
func (k *preset) countsFalse(why SkipReason, v *fieldValues) bool {
	return k != nil && k.falseIsDisabled && why == SkipDisabled && v.found(fieldValue) && v.answers[fieldValue].number == isBoolean
}

// presetFinder finds the preset of a record. It caches the last provider, because neighbors usually have the same.
type presetFinder struct {
	// always is the configured preset; auto finds it by the provider's name.
	always   *preset
	auto     bool
	provider string
	last     *preset
}

func newPresetFinder(word string) presetFinder {
	f := presetFinder{auto: word == PresetAuto}
	for _, one := range presets {
		if one.word == word {
			f.always = one
		}
	}
	return f
}

func (f *presetFinder) of(provider string) *preset {
	if !f.auto {
		return f.always
	}
	if f.provider != provider {
		f.provider = strings.Clone(provider) // the record's own string would keep its whole request in memory
		f.last = nil
		name := strings.ToLower(provider)
		for _, one := range presets {
			if one.name != "" && strings.Contains(name, one.name) {
				f.last = one
			}
		}
	}
	return f.last
}
