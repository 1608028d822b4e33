// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

//go:generate go tool -modfile=../../internal/tools/go.mod mdatagen metadata.yaml

// Package amplitudetapextension serves what the processor amplitude_experiment decides about records, as it decides, to
// those who watch: a terminal (otelcol-amplitude-explain tap) or a page.
package amplitudetapextension // import "github.com/otelcol-amplitude/otelcol-amplitude/extension/amplitudetapextension"
