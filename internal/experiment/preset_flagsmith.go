// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package experiment // import "github.com/otelcol-amplitude/otelcol-amplitude/internal/experiment"

// Flagsmith: a boolean flag says whether the feature is enabled for this identity, and its providers report false as
// disabled. Sources: open-feature/js-sdk-contrib libs/providers/flagsmith/src/lib/flagsmith-provider.ts,
// open-feature/java-sdk-contrib providers/flagsmith FlagsmithProvider.java.
var _ = registerPreset(preset{
	word:            "flagsmith",
	name:            "flagsmith",
	falseIsDisabled: true,
})
