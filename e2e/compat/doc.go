// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

// Package compat builds a distribution with our components in an empty folder, as somebody else would, on the oldest core
// that they work with (go.mod) and on the newest (newest.mod), and sends exposures through it: `make compat`.
package compat // import "github.com/otelcol-amplitude/otelcol-amplitude/e2e/compat"
