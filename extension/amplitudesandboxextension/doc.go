// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

//go:generate go tool -modfile=../../internal/tools/go.mod mdatagen metadata.yaml

// Package amplitudesandboxextension runs a local Amplitude beside a Collector: the ingestion API that an exporter
// sends to, a page that shows what arrived, and an API that tests read. The sandbox package is the same thing
// without a Collector.
package amplitudesandboxextension // import "github.com/otelcol-amplitude/otelcol-amplitude/extension/amplitudesandboxextension"
