// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

// Package explain holds what is told about the decisions on single records: an [Explanation] for each, in the order of
// the records.
//
// A [Recorder] travels in the context of a batch. The mapping asks it about each record whether it is to be
// explained, and fills in the explanation as it decides; without a recorder nothing is told and nothing is spent.
package explain // import "github.com/otelcol-amplitude/otelcol-amplitude/internal/experiment/explain"
