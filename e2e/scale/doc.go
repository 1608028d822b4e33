// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

// Package scale tests the layouts of examples/scale-out with real processes.
package scale // import "github.com/otelcol-amplitude/otelcol-amplitude/e2e/scale"
