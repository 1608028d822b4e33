// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package experiment // import "github.com/otelcol-amplitude/otelcol-amplitude/internal/experiment"

// GrowthBook: forced values, overrides and prerequisites are rules, not experiments; the reason experiment means that
// the user is in one. Source: growthbook/growthbook packages/sdk-js/src/types/growthbook.ts, FeatureResultSource, which
// its OpenFeature provider passes through.
var _ = registerPreset(preset{
	word: "growthbook",
	name: "growthbook",
	notAssigned: map[string]SkipReason{
		"force": SkipOtherReason, "override": SkipOtherReason, "prerequisite": SkipOtherReason,
	},
})
