// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

// Package diagnostics counts the exposures of experiments, and tests whether persons are split between the variants as
// configured. The processor counts what it sends, and the sandbox what it receives.
//
// # Who is counted
//
// A person is a user id or, if a record has none, a device id; a device whose user appears later becomes that user. A
// person counts once per run of a flag, under the first variant by event time. Up to Settings.MaxPersons persons of a
// run are tracked individually, so the counts are exact. Beyond that, every second person is forgotten, by hash, as
// often as needed. What remains is a random sample: whether a person is in it does not depend on the variant or on the
// number of exposures. The counts are then estimates with a standard error of at most sqrt(2/MaxPersons) of the count.
//
// Two samples are merged by taking the earlier first variant of each person. The order, the number of merges, and where
// a person was counted do not matter: replicas and restarts give the same counts as a single process.
//
// # The test
//
// The multinomial test of Lindon and Malek, "Anytime-Valid Inference for Multinomial Count Data" (NeurIPS 2022): the
// Bayes factor of a Dirichlet mixture against the expected shares. If the shares hold, the probability that it ever
// exceeds 1/alpha is at most alpha, no matter how often one looks. It is computed over the sampled persons, because
// being sampled does not depend on the variant. Each halving of the sample starts another such test, and the tests
// share alpha: level l gets 1/((l+1)(l+2)) of it.
package diagnostics // import "github.com/otelcol-amplitude/otelcol-amplitude/internal/diagnostics"
