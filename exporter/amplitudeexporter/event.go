// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudeexporter // import "github.com/otelcol-amplitude/otelcol-amplitude/exporter/amplitudeexporter"

import (
	"slices"

	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/otelcol-amplitude/otelcol-amplitude/exporter/amplitudeexporter/internal/chunk"
	"github.com/otelcol-amplitude/otelcol-amplitude/exporter/amplitudeexporter/internal/records"
)

// NotSentError is why the exporter sends no event for a record, with the reasons of its metrics and dead letters.
type NotSentError struct {
	Reason string
	// Field is the invalid field of the event, if it is known.
	Field string
}

func (e *NotSentError) Error() string {
	if e.Field == "" {
		return e.Reason
	}
	return e.Reason + ": " + e.Field
}

// EncodeEvent returns the JSON of the event that an exporter with this configuration, in a Collector of this version,
// sends for a record; or a [*NotSentError].
func EncodeEvent(cfg *Config, version string, record plog.LogRecord) ([]byte, error) {
	one := slices.Values([]records.Ref{{Record: record}})
	var encoded []byte
	var failed error
	for _, part := range chunk.Whole(newEncoder(cfg, version).Encode(one)) {
		for why := range part.Rejected() {
			failed = &NotSentError{Reason: why.Reason.String(), Field: why.Field}
		}
		for _, encoded = range part.Events() {
		}
	}
	return encoded, failed
}

// EventsURL returns the URL that events are posted to.
func (c *Config) EventsURL() string { return c.url() }
