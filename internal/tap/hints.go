// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package tap // import "github.com/otelcol-amplitude/otelcol-amplitude/internal/tap"

import "strings"

// UndeliveredHints explain the exporter's reasons for not delivering an event, and what to do.
var UndeliveredHints = map[string]string{
	"not_an_event":        "it has no event name: other_records: drop in the processor keeps such records out of this pipeline",
	"not_allowed":         "no pattern of the exporter's events matches the event's name: add the name there to send it",
	"no_id":               "it has neither a user id nor a device id: a processor after amplitude_experiment removed it",
	"invalid_id":          "Amplitude accepts neither of its ids, given the exporter's min_id_length: use the same value as in the processor",
	"blank_event_type":    "its event name is blank: another processor or emitter wrote it",
	"reserved_event_type": "its event name is reserved by Amplitude: another processor or emitter wrote it",
	"unknown_field":       "an attribute under amplitude. is not a field of an event: another processor or emitter wrote it",
	"invalid_field":       "an attribute under amplitude. has a value that its field does not accept: another processor or emitter wrote it",
	"too_large":           "it is larger than a request, or the sending queue, may be: send fewer properties (event_properties.include)",
	"missing_field":       "Amplitude says that a field is missing: see its dead letter",
	"rejected_field":      "Amplitude does not accept the value of a field: its dead letter names it",
	"rejected_id":         "Amplitude does not accept its user id or device id: see its dead letter",
	"silenced":            "Amplitude has silenced the device for flooding: ask Amplitude to lift it",
	"refused":             "Amplitude accepts the other events of its request, but not this one, and does not say why: see its dead letter",
	"forbidden":           "something in front of Amplitude, such as a firewall, lets the other events through, but not this one: see its dead letter",
	"failing":             "it failed repeatedly on its own while others got through: see its dead letter",
	"retries_ended":       "it was retried for retry_on_failure::max_elapsed_time; 0 never gives up",
	"slow_lane_share":     "its user or device is throttled and has filled its share of the slow lane: is it a bot or a load test?",
	"shutdown":            "the Collector stopped before it got through, and nothing kept it: set sending_queue::storage",
}

// hint says what the state of an event means, and what to do, unless that is obvious.
func (e *Event) hint() string {
	switch {
	case e.State == StateNotDelivered:
		reason, _, _ := strings.Cut(e.Why, " ")
		return UndeliveredHints[reason]
	case e.State == StateTaken && e.Request != nil && e.Request.Status == "429":
		return "Amplitude throttles its user or device, or the project: it waits and is retried automatically"
	case e.State == StateTaken && e.Request != nil && e.Request.Status != "200":
		return "it is retried automatically, until it gets through or the reason is known"
	case e.State == StateUnfollowed && e.key == 0:
		return "it has no amplitude.insert_id, by which exporters report what became of an event"
	default:
		return ""
	}
}
