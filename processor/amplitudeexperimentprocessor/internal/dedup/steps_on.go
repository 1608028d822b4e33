// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

//go:build steps

package dedup // import "github.com/otelcol-amplitude/otelcol-amplitude/processor/amplitudeexperimentprocessor/internal/dedup"

import "sync/atomic"

var steps atomic.Int64

// countStep counts a step of a loop: a compare, a probe or a move.
func countStep() { steps.Add(1) }
