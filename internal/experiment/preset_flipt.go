// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package experiment // import "github.com/otelcol-amplitude/otelcol-amplitude/internal/experiment"

// Flipt: its reasons have spellings of their own, of which the default of evaluation.skip_reasons knows those that mean that
// nobody was assigned; match is an exposure. Source: open-feature/java-sdk-contrib providers/flipt FliptProvider.java.
var _ = registerPreset(preset{word: "flipt", name: "flipt"})
