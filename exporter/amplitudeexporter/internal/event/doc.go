// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

// Package event is one outgoing event: the flat log record that it comes from, written as the JSON of Amplitude's
// HTTP V2 API, whose order it has to keep (its user and device), and why it cannot be delivered.
//
// An [Encoder] decides by the record alone. It knows nothing of requests, answers and queues.
package event // import "github.com/otelcol-amplitude/otelcol-amplitude/exporter/amplitudeexporter/internal/event"
