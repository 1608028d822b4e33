// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package experiment // import "github.com/otelcol-amplitude/otelcol-amplitude/internal/experiment"

// Optimizely: its OpenFeature provider for Java reports the key of the variable as the variant, by default "value",
// regardless of the user's variation; the flag's value is used instead. Source: open-feature/java-sdk-contrib
// providers/optimizely OptimizelyProvider.java.
var _ = registerPreset(preset{
	word:         "optimizely",
	name:         "optimizely",
	notVariation: "value",
})
