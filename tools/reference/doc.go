// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

//go:generate go run -modfile=../../newest.mod . ../..

// Command reference writes the pages and schemas that are made from the code: docs/configuration.md and docs/schema
// from the configuration structs of the components (their tags, types, defaults, doc comments and checks), docs/metrics.md
// from each metadata.yaml. Its argument is the root of the repository.
package main // import "github.com/otelcol-amplitude/otelcol-amplitude/tools/reference"
