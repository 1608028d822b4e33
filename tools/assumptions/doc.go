// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

//go:generate go run . -page ../../docs/assumptions.md

// Command assumptions checks this product's assumptions about Amplitude against a project in Amplitude, or a sandbox,
// and prints a table. `make check-amplitude` runs it. It also writes docs/assumptions.md from the same rows.
package main // import "github.com/otelcol-amplitude/otelcol-amplitude/tools/assumptions"
