// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

//go:generate go tool -modfile=../../internal/tools/go.mod mdatagen metadata.yaml

// Package amplitudereceiver implements Amplitude's HTTP API, so that Amplitude's own SDKs, customer data platforms and
// curl can send to a Collector. Each event becomes a flat record in the form that the amplitude exporter expects.
package amplitudereceiver // import "github.com/otelcol-amplitude/otelcol-amplitude/receiver/amplitudereceiver"
