// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

// Package event handles one outgoing event: the flat log record that it comes from, written as the JSON of Amplitude's
// HTTP V2 API, the user and device whose order it has to keep, and why it cannot be delivered.
//
// An [Encoder] looks only at the record. It does not depend on requests, answers or queues.
package event // import "github.com/otelcol-amplitude/otelcol-amplitude/exporter/amplitudeexporter/internal/event"
