// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package experiment // import "github.com/otelcol-amplitude/otelcol-amplitude/internal/experiment"

// Flipt has its own spellings of reasons; the default of evaluation.skip_reasons covers those that mean that nobody was
// assigned, and match is an exposure. Source: open-feature/java-sdk-contrib providers/flipt FliptProvider.java.
var _ = registerPreset(preset{word: "flipt", name: "flipt"})
