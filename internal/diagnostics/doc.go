// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

// Package diagnostics counts what exposures say about an experiment, and tests whether persons are split over the variants as
// configured. The processor counts what it sends with it, and the sandbox what it receives.
//
// # Who is counted
//
// A person is a user id, or where a record has none, a device id; a device whose user appears later is that user. A person
// counts once for each run of a flag, under the first variant, by the time of the events. Up to Settings.MaxPersons persons of a run are remembered
// one by one, so the counts are exact. Beyond, every second person is forgotten, by hash, as often as needed: what is left
// is a random sample of persons, of which a person is a part or not, whatever the variant and however often it comes. The
// counts are then estimates, with a standard error of at most sqrt(2/MaxPersons) of what is counted.
//
// Two samples are merged by the earlier first variant of each person. It does not matter in which order, or how often, or
// which person was counted where: replicas and restarts give what one process would have counted.
//
// # The test
//
// The multinomial test of Lindon and Malek, "Anytime-Valid Inference for Multinomial Count Data" (NeurIPS 2022): the Bayes
// factor of a Dirichlet mixture against the expected shares. If the shares hold, the probability that it ever exceeds 1/alpha is
// at most alpha, however often one looks. It is computed over the sampled persons, since being sampled does not depend on the variant; each
// halving of the sample starts another such test, and the tests share alpha: level l gets 1/((l+1)(l+2)) of it.
package diagnostics // import "github.com/otelcol-amplitude/otelcol-amplitude/internal/diagnostics"
