// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

// Package architecture holds the test that the imports in this module run one way, as CONTRIBUTING.md draws the house.
package architecture // import "github.com/otelcol-amplitude/otelcol-amplitude/tools/architecture"
