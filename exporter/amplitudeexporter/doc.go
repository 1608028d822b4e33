// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

//go:generate go tool -modfile=../../internal/tools/go.mod mdatagen metadata.yaml

// Package amplitudeexporter delivers Amplitude events, carried as flat OpenTelemetry log records,
// to Amplitude's HTTP V2 or batch API, understands every answer, and loses none of them.
package amplitudeexporter // import "github.com/otelcol-amplitude/otelcol-amplitude/exporter/amplitudeexporter"
