// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

// Package chaos tests that nothing is lost, by fault injection. Its parts are
//
//   - the world: the built Collector, the local Amplitude, the link between them, and Redis;
//   - the driver: applications that send numbered exposures and assignments, of users with one device, two or none, and keep what was
//     acknowledged;
//   - the hand: the fault injector, which meanwhile kills, stops, freezes and cuts off parts of the world, in an
//     order that depends only on its seed;
//   - the judge: the oracle, which afterward compares what was acknowledged with what is stored.
//
// CHAOS_SECONDS is how long the hand works (make chaos SECONDS=90) and CHAOS_SEED its seed, which
// each run prints. SOAK_MINUTES is the length of the soak (make soak MINUTES=30).
package chaos // import "github.com/otelcol-amplitude/otelcol-amplitude/e2e/chaos"
