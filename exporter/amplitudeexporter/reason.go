// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudeexporter // import "github.com/otelcol-amplitude/otelcol-amplitude/exporter/amplitudeexporter"

// reason is why an event cannot be delivered, or why a record is not an event. The list is closed.
type reason uint8

const (
	// Found before sending; the first two are records of others, not failures.
	reasonNotAnEvent reason = iota + 1
	reasonNotAllowed
	reasonNoID
	reasonInvalidID
	reasonBlankEventType
	reasonReservedEventType
	reasonUnknownField
	reasonInvalidField
	reasonTooLarge
	// Answers of Amplitude about single events.
	reasonMissingField
	reasonRejectedField
	reasonRejectedID
	reasonSilenced
	reasonRefused
	reasonForbidden
	// Answers about the whole request.
	reasonInvalidAPIKey
	reasonBadRequest
	// The Collector stops and the slow lane has no storage.
	reasonShutdown
	reasonCount
)

var reasonNames = [reasonCount]string{
	reasonNotAnEvent:        "not_an_event",
	reasonNotAllowed:        "not_allowed",
	reasonNoID:              "no_id",
	reasonInvalidID:         "invalid_id",
	reasonBlankEventType:    "blank_event_type",
	reasonReservedEventType: "reserved_event_type",
	reasonUnknownField:      "unknown_field",
	reasonInvalidField:      "invalid_field",
	reasonTooLarge:          "too_large",
	reasonMissingField:      "missing_field",
	reasonRejectedField:     "rejected_field",
	reasonRejectedID:        "rejected_id",
	reasonSilenced:          "silenced",
	reasonRefused:           "refused",
	reasonForbidden:         "forbidden",
	reasonInvalidAPIKey:     "invalid_api_key",
	reasonBadRequest:        "bad_request",
	reasonShutdown:          "shutdown",
}

// String returns the reason as written in metrics and dead letters.
func (r reason) String() string {
	return reasonNames[r]
}

// meantAsEvent tells whether a record with this problem was meant to reach Amplitude.
func (r reason) meantAsEvent() bool {
	return r != reasonNotAnEvent && r != reasonNotAllowed
}

// verdict is why and where an event failed.
type verdict struct {
	reason reason
	// field is the event's field at fault, if one is known.
	field string
	// status is the HTTP status of the answer, 0 when the event was never sent.
	status int
}
