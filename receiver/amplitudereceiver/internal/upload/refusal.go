// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package upload // import "github.com/otelcol-amplitude/otelcol-amplitude/receiver/amplitudereceiver/internal/upload"

import (
	"net/http"
)

// Reason is why a request, or some of its events, were refused.
type Reason uint8

// Reasons, in the order in which a request is checked.
const (
	ReasonNoBody Reason = iota
	ReasonInvalidJSON
	ReasonInvalidEvent
	ReasonMissingMember
	ReasonInvalidKey
	ReasonTooLarge
	ReasonMissingField
	ReasonInvalidID
	ReasonIDLength
	ReasonInvalidField
	ReasonInvalidPath
	ReasonUnauthenticated
	// NumReasons is the number of them.
	NumReasons
)

// ReasonNames are the reasons in metrics.
var ReasonNames = [NumReasons]string{
	"no_body", "invalid_json", "invalid_event", "missing_member", "invalid_api_key", "too_large",
	"missing_field", "invalid_id", "id_length", "invalid_field", "invalid_path", "unauthenticated",
}

// Texts of the "error" member of Amplitude's answers, as documented or seen.
var texts = [NumReasons]string{
	ReasonNoBody:        "Missing request body",
	ReasonInvalidJSON:   "Invalid JSON request body",
	ReasonInvalidEvent:  "Invalid event JSON",
	ReasonMissingMember: "Request missing required field",
	ReasonInvalidKey:    "Invalid API key",
	ReasonTooLarge:      "Payload too large",
	ReasonMissingField:  "Request missing required field",
	ReasonInvalidID:     "Invalid field values on some events",
	ReasonIDLength:      "Invalid id length for user_id or device_id",
	ReasonInvalidField:  "Invalid field values on some events",
	ReasonInvalidPath:   "Invalid request path",
	// Amplitude requires only the API key, and has no text for this.
	ReasonUnauthenticated: http.StatusText(http.StatusUnauthorized),
}

// Refusal is why a request is refused, with all of its events.
type Refusal struct {
	Reason Reason
	// Status is that of the answer.
	Status int
	// Text is the error in the answer. It may hold what the client sent: it is not for logs.
	Text string
	// MissingMember is the member of the request that is missing.
	MissingMember string
	// Fields holds, by field, the indexes of the events in which it is wrong.
	Fields map[string][]int
	// Events is how many events are listed.
	Events int
}

func refuse(reason Reason) *Refusal {
	status := http.StatusBadRequest
	switch reason {
	case ReasonTooLarge:
		status = http.StatusRequestEntityTooLarge
	case ReasonUnauthenticated:
		status = http.StatusUnauthorized
	}
	return &Refusal{Reason: reason, Status: status, Text: texts[reason]}
}

// TooLarge returns the refusal of an oversized body.
func TooLarge() *Refusal { return refuse(ReasonTooLarge) }

// InvalidJSON returns the refusal of a body that cannot be read.
func InvalidJSON() *Refusal { return refuse(ReasonInvalidJSON) }

// InvalidPath returns the refusal of an unknown path or method.
func InvalidPath() *Refusal { return refuse(ReasonInvalidPath) }

// Unauthenticated returns the refusal of an unauthenticated sender.
func Unauthenticated() *Refusal { return refuse(ReasonUnauthenticated) }

func missing(member string) *Refusal {
	r := refuse(ReasonMissingMember)
	r.MissingMember = member
	return r
}

func invalidKey(key string) *Refusal {
	r := refuse(ReasonInvalidKey)
	r.Text += ": " + key
	return r
}

// problems are what is wrong with events, by reason and field. Amplitude reports one reason at a time.
type problems struct {
	lists [NumReasons]map[string][]int
}

// add notes that a field of an event is wrong.
func (p *problems) add(reason Reason, field string, index int) {
	if p.lists[reason] == nil {
		p.lists[reason] = map[string][]int{}
	}
	list := p.lists[reason][field]
	if len(list) > 0 && list[len(list)-1] == index {
		return
	}
	p.lists[reason][field] = append(list, index)
}

// refusal returns the refusal for the first reason that applies.
func (p *problems) refusal() *Refusal {
	for _, reason := range [...]Reason{ReasonMissingField, ReasonInvalidID, ReasonIDLength, ReasonInvalidField} {
		fields := p.lists[reason]
		if fields == nil {
			continue
		}
		r := refuse(reason)
		r.Fields = fields
		listed := map[int]struct{}{}
		for _, list := range fields {
			for _, index := range list {
				listed[index] = struct{}{}
			}
		}
		r.Events = len(listed)
		return r
	}
	return nil
}
