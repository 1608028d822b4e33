// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

//go:generate go run . -page ../../docs/assumptions.md

// Command assumptions asks a project in Amplitude, or a sandbox, whether what this product assumes of Amplitude is so, and
// prints a table. `make check-amplitude` runs it; the same rows are docs/assumptions.md, which it writes too.
package main // import "github.com/otelcol-amplitude/otelcol-amplitude/tools/assumptions"
