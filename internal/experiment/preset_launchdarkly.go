// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package experiment // import "github.com/otelcol-amplitude/otelcol-amplitude/internal/experiment"

// LaunchDarkly: through OpenFeature the variant is the index of the variation, which needs no special treatment; the
// connector feature_flag_events translates what its own hooks write. Source: open-feature/js-sdk-contrib
// libs/providers/launchdarkly-client.
var _ = registerPreset(preset{word: "launchdarkly", name: "launchdarkly"})
