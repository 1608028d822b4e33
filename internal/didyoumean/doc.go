// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

// Package didyoumean finds what somebody probably meant by a name that is not known.
package didyoumean // import "github.com/otelcol-amplitude/otelcol-amplitude/internal/didyoumean"
