// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package experiment // import "github.com/otelcol-amplitude/otelcol-amplitude/internal/experiment"

// LaunchDarkly: through OpenFeature the variant is the number of the variation, as it is read for everybody; what its own hooks
// write, the connector feature_flag_events translates. Source: open-feature/js-sdk-contrib libs/providers/launchdarkly-client.
var _ = registerPreset(preset{word: "launchdarkly", name: "launchdarkly"})
