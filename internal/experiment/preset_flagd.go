// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package experiment // import "github.com/otelcol-amplitude/otelcol-amplitude/internal/experiment"

// flagd follows the conventions: a fractional split is targeting_match, a flag without targeting is static, and both
// are read like those of any provider. Source: open-feature/flagd, core/pkg/model/reason.go.
var _ = registerPreset(preset{word: "flagd", name: "flagd"})
