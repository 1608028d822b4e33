// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

// Package upload handles one request to Amplitude's ingestion APIs: it reads and checks the body like Amplitude, and
// writes it as the flat records that the exporter accepts.
//
// A [Reader] decides by the body alone. It does not depend on HTTP, the next component or metrics.
package upload // import "github.com/otelcol-amplitude/otelcol-amplitude/receiver/amplitudereceiver/internal/upload"
