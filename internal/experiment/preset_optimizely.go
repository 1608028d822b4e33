// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package experiment // import "github.com/otelcol-amplitude/otelcol-amplitude/internal/experiment"

// Optimizely: its OpenFeature provider for Java gives the key of the variable that was read for the variant, by default
// "value", whatever the user's variation is; the flag's value stands for it. Source: open-feature/java-sdk-contrib
// providers/optimizely OptimizelyProvider.java.
var _ = registerPreset(preset{
	word:         "optimizely",
	name:         "optimizely",
	notVariation: "value",
})
