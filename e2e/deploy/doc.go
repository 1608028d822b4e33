// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

// Package deploy tests what is in deploy/: every configuration with the built Collector, the alert rules and the
// dashboard with promtool and against scrapes of Collectors to which things happen.
package deploy // import "github.com/otelcol-amplitude/otelcol-amplitude/e2e/deploy"
