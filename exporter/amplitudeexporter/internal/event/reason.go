// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package event // import "github.com/otelcol-amplitude/otelcol-amplitude/exporter/amplitudeexporter/internal/event"

// Reason is why an event cannot be delivered, or why a record is not an event. The set is closed.
type Reason uint8

// The reasons, in the order of processing.
const (
	// Detected before sending; the first two are foreign records, not failures.
	ReasonNotAnEvent Reason = iota + 1
	ReasonNotAllowed
	ReasonNoID
	ReasonInvalidID
	ReasonBlankEventType
	ReasonReservedEventType
	ReasonUnknownField
	ReasonInvalidField
	ReasonTooLarge
	// Answers of Amplitude about single events.
	ReasonMissingField
	ReasonRejectedField
	ReasonRejectedID
	ReasonSilenced
	ReasonRefused
	ReasonForbidden
	// It failed repeatedly on its own while others got through.
	ReasonFailing
	// It was retried for retry_on_failure::max_elapsed_time.
	ReasonRetriesEnded
	// Its user or device has filled its share of the slow lane.
	ReasonSlowLaneShare
	// The Collector stopped, and the slow lane has no storage.
	ReasonShutdown
	ReasonCount
)

// ReasonNames are the reasons in metrics and dead letters.
var ReasonNames = [ReasonCount]string{
	ReasonNotAnEvent:        "not_an_event",
	ReasonNotAllowed:        "not_allowed",
	ReasonNoID:              "no_id",
	ReasonInvalidID:         "invalid_id",
	ReasonBlankEventType:    "blank_event_type",
	ReasonReservedEventType: "reserved_event_type",
	ReasonUnknownField:      "unknown_field",
	ReasonInvalidField:      "invalid_field",
	ReasonTooLarge:          "too_large",
	ReasonMissingField:      "missing_field",
	ReasonRejectedField:     "rejected_field",
	ReasonRejectedID:        "rejected_id",
	ReasonSilenced:          "silenced",
	ReasonRefused:           "refused",
	ReasonForbidden:         "forbidden",
	ReasonFailing:           "failing",
	ReasonRetriesEnded:      "retries_ended",
	ReasonSlowLaneShare:     "slow_lane_share",
	ReasonShutdown:          "shutdown",
}

// String returns the reason as in metrics and dead letters.
func (r Reason) String() string {
	return ReasonNames[r]
}

// MeantAsEvent reports whether a record with this problem was meant to reach Amplitude.
func (r Reason) MeantAsEvent() bool {
	return r != ReasonNotAnEvent && r != ReasonNotAllowed
}

// Failure is why and where an event failed.
type Failure struct {
	Reason Reason
	// Field is the invalid field of the event, if it is known.
	Field string
	// Status is the HTTP status of the answer, or 0 if the event was never sent.
	Status int
}
