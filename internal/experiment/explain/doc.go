// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

// Package explain holds the explanations of decisions on single records: an [Explanation] for each, in the order of the
// records.
//
// A [Recorder] is carried by the context of a batch. The mapping asks it whether to explain each record, and fills in
// the explanation as it decides; without a recorder, explanations cost nothing.
package explain // import "github.com/otelcol-amplitude/otelcol-amplitude/internal/experiment/explain"
