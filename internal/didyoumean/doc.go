// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

// Package didyoumean suggests the likely intended name for an unknown one.
package didyoumean // import "github.com/otelcol-amplitude/otelcol-amplitude/internal/didyoumean"
