// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

// Package architecture tests that the imports in this module run one way, as described in CONTRIBUTING.md.
package architecture // import "github.com/otelcol-amplitude/otelcol-amplitude/tools/architecture"
