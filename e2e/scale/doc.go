// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

// Package scale tests the layouts of examples/scale-out with real processes: `make scale-test` (build tag scale). Its
// parts are clusters of a front and replicas, tiers with Kafka in between, and people who report through them, whose
// results are judged. `make scale-bench` (build tag scalebench) prints the figures of docs/scaling.md.
package scale // import "github.com/otelcol-amplitude/otelcol-amplitude/e2e/scale"
