// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

// Package chaos tests that nothing is lost, by fault injection. Its parts are
//
//   - the world: the built Collector, the local Amplitude, the link between them, and Redis;
//   - the driver: applications that send numbered exposures and assignments of users with or without devices, who log in
//     during the run, share devices, and have applications that only know the device; they remember what was acknowledged;
//   - the hand: the fault injector, which meanwhile kills, stops, freezes and cuts off parts of the world, in an
//     order that depends only on its seed, and has dead letters sent again between;
//   - the judge: the oracle, which afterward compares what was acknowledged with what is stored: each event once, dead letters
//     after their replay, and each user property as it was reported last, where something was dead-lettered or a device has no
//     user after the next report.
//
// CHAOS_SECONDS is how long the hand works (make chaos SECONDS=90), CHAOS_SEED its seed, which each run prints, and
// SOAK_MINUTES the length of the soak test (make soak MINUTES=30).
package chaos // import "github.com/otelcol-amplitude/otelcol-amplitude/e2e/chaos"
