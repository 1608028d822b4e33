// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package experiment // import "github.com/otelcol-amplitude/otelcol-amplitude/internal/experiment"

// Unleash: an unassigned user gets the application's default, without variant and reason; isEnabled returns a boolean.
// Sources: open-feature/js-sdk-contrib libs/providers/unleash-web/src/lib/unleash-web-provider.ts,
// open-feature/java-sdk-contrib providers/unleash UnleashProvider.java.
var _ = registerPreset(preset{
	word:                 "unleash",
	name:                 "unleash",
	defaultWithoutReason: true,
})
