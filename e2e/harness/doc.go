// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

// Package harness runs the built Collector as a process for end-to-end tests, and reads back what
// its sandbox stored.
//
// A configuration finds its addresses in the environment, so that tests can run side by side:
// E2E_OTLP_HTTP, E2E_OTLP_GRPC, E2E_SANDBOX, E2E_HEALTH and E2E_METRICS are free host:port pairs,
// E2E_METRICS_PORT the port alone, and E2E_DIR is a directory of the test.
package harness // import "github.com/otelcol-amplitude/otelcol-amplitude/e2e/harness"
