// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

// Package upload is one request to Amplitude's ingestion APIs: its body read and checked as Amplitude checks it, and
// written as the flat records that the exporter takes.
//
// A [Reader] decides by the body alone. It knows nothing of HTTP, of the next component and of metrics.
package upload // import "github.com/otelcol-amplitude/otelcol-amplitude/receiver/amplitudereceiver/internal/upload"
