// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

//go:generate go tool -modfile=../../internal/tools/go.mod mdatagen metadata.yaml

// Package amplitudetapextension serves the decisions of the processor amplitude_experiment about records, live, to
// clients: a terminal (otelcol-amplitude-explain tap) or a page.
package amplitudetapextension // import "github.com/otelcol-amplitude/otelcol-amplitude/extension/amplitudetapextension"
