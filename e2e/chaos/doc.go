// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

// Package chaos holds the proof that nothing is lost. A driver sends numbered exposures through the
// built Collector and keeps what was acknowledged; a hand, guided by a seed, meanwhile kills, stops,
// freezes and cuts off everything around; afterwards a judge compares what was acknowledged with
// what the local Amplitude stored.
//
// CHAOS_SECONDS is how long the hand works (make chaos SECONDS=90) and CHAOS_SEED its seed, which
// each run prints. SOAK_MINUTES is the length of the soak (make soak MINUTES=30).
package chaos // import "github.com/otelcol-amplitude/otelcol-amplitude/e2e/chaos"
