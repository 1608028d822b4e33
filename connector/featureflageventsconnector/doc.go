// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

//go:generate go tool -modfile=../../internal/tools/go.mod mdatagen metadata.yaml

// Package featureflageventsconnector turns the feature-flag evaluations that applications write as
// span events, or as spans, into log records by OpenTelemetry's conventions for feature flags.
package featureflageventsconnector // import "github.com/otelcol-amplitude/otelcol-amplitude/connector/featureflageventsconnector"
