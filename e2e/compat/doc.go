// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

// Package compat builds a distribution with our components in an empty folder, as users would, with the oldest core
// that they support (go.mod) and with the newest (newest.mod), and sends exposures through it: `make compat`.
package compat // import "github.com/otelcol-amplitude/otelcol-amplitude/e2e/compat"
