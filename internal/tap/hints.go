// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package tap // import "github.com/otelcol-amplitude/otelcol-amplitude/internal/tap"

import "strings"

// UndeliveredHints say what the exporter's reasons for not delivering an event mean, and what to do.
var UndeliveredHints = map[string]string{
	"not_an_event":        "it has no event name: other_records: drop in the processor keeps such records out of this pipeline",
	"not_allowed":         "no pattern of the exporter's events matches the event's name: add the name there if it is to leave",
	"no_id":               "it has neither a user id nor a device id: a processor behind amplitude_experiment took it away",
	"invalid_id":          "Amplitude takes neither of its ids, at the exporter's min_id_length: use the same number as in the processor",
	"blank_event_type":    "its event name is blank: another processor or emitter wrote it",
	"reserved_event_type": "its event name is one that Amplitude keeps for itself: another processor or emitter wrote it",
	"unknown_field":       "an attribute under amplitude. is no field of an event: another processor or emitter wrote it",
	"invalid_field":       "an attribute under amplitude. has a value that its field does not take: another processor or emitter wrote it",
	"too_large":           "it is larger than a request may be: let fewer properties travel (event_properties.include)",
	"missing_field":       "Amplitude says that a field is missing: see its dead letter",
	"rejected_field":      "Amplitude does not take the value of a field: its dead letter names it",
	"rejected_id":         "Amplitude does not take its user id or device id: see its dead letter",
	"silenced":            "Amplitude has silenced the device for flooding: ask Amplitude to lift it",
	"refused":             "Amplitude takes the others of its request, but not this event, and does not say why: see its dead letter",
	"forbidden":           "what stands before Amplitude, such as a firewall, lets the others through, but not this event: see its dead letter",
	"failing":             "it alone failed again and again while others got through: see its dead letter",
	"retries_ended":       "it was tried for as long as retry_on_failure::max_elapsed_time says; 0 never gives up",
	"slow_lane_share":     "its user or device is throttled and has filled its share of the slow lane: is it a bot or a load test?",
	"shutdown":            "the Collector stopped before it got through, and nothing kept it: sending_queue::storage does",
}

// hint says what the state of an event means, and what to do, where that is not plain.
func (e *Event) hint() string {
	switch {
	case e.State == StateNotDelivered:
		reason, _, _ := strings.Cut(e.Why, " ")
		return UndeliveredHints[reason]
	case e.State == StateTaken && e.Request != nil && e.Request.Status == "429":
		return "Amplitude throttles its user or device, or the project: it waits and is sent again by itself"
	case e.State == StateTaken && e.Request != nil && e.Request.Status != "200":
		return "it is sent again by itself, until it gets through or the reason is known"
	case e.State == StateUnfollowed && e.key == 0:
		return "it has no amplitude.insert_id, by which exporters tell what became of an event"
	default:
		return ""
	}
}
