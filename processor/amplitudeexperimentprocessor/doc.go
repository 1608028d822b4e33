// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

//go:generate go tool -modfile=../../internal/tools/go.mod mdatagen metadata.yaml

// Package amplitudeexperimentprocessor turns log records that say which variant of a flag a user was
// exposed or assigned to into the events that Amplitude Experiment analyzes, and drops repeats.
package amplitudeexperimentprocessor // import "github.com/otelcol-amplitude/otelcol-amplitude/processor/amplitudeexperimentprocessor"
