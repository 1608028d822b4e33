// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package experiment // import "github.com/otelcol-amplitude/otelcol-amplitude/internal/experiment"

// Kameleoon: its providers give every evaluation that succeeds the reason static, with the variation as the variant,
// whether the user is in an experiment or not. Sources: Kameleoon/openfeature-nodejs src/kameleoonResolver.ts,
// Kameleoon/openfeature-java KameleoonResolver.java.
var _ = registerPreset(preset{
	word:         "kameleoon",
	name:         "kameleoon",
	alwaysStatic: true,
})
