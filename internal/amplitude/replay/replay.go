// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

// Package replay defines how otelcol-amplitude-replay and the processor amplitude_experiment communicate about dead
// letters that are sent again.
//
// OTLP answers a request with success or an error, and an error has a text, in which the processor reports what became
// of each letter of the request. So no configuration and no port is needed, and everything between the receiver and the
// processor passes it back.
package replay // import "github.com/otelcol-amplitude/otelcol-amplitude/internal/amplitude/replay"

import (
	"bytes"
	"encoding/json"
	"strings"
)

const (
	// AttributePrefix begins the resource attributes that the exporter adds to a dead letter.
	AttributePrefix = "dead_letter."
	// AttributeID is the resource attribute that requests an answer about the letters of the resource, and identifies
	// them in it.
	AttributeID = AttributePrefix + "replay"

	marker = "what became of the dead letters: "
)

// Outcome is what became of a letter.
type Outcome string

// The outcomes, the best first.
const (
	Delivered Outcome = "delivered"
	// Repeat: Amplitude already has the event, or it is in flight.
	Repeat Outcome = "repeat"
	// Waiting: in flight in the exporter.
	Waiting Outcome = "waiting"
	// NotDelivered: the exporter gave up on it again.
	NotDelivered Outcome = "not delivered"
	// Rejected: the processor does not make an event from it.
	Rejected Outcome = "rejected"
	// Untrusted: the processor would strip essential parts of the letter, and did nothing.
	Untrusted Outcome = "untrusted"
)

// Handled reports whether a letter need not be sent again.
func (o Outcome) Handled() bool { return o == Delivered || o == Repeat }

var order = []Outcome{Delivered, Repeat, Waiting, NotDelivered, Rejected, Untrusted}

// Letter is what became of one letter.
type Letter struct {
	ID      string  `json:"id"`
	Outcome Outcome `json:"outcome"`
	Why     string  `json:"why,omitempty"`
}

// Report is the answer to one request. It is returned as an error even if all letters were delivered.
type Report struct {
	Letters []Letter `json:"letters"`
}

// Error returns everything that Parse reads.
func (r *Report) Error() string {
	var text strings.Builder
	text.WriteString(marker)
	_ = json.NewEncoder(&text).Encode(r)
	return text.String()
}

// Parse finds the reports in an error text with arbitrary text around them, and returns what became of each letter: the
// worst outcome, if several processors report about it. ok is false if there is no report.
func Parse(text []byte) (letters map[string]Letter, ok bool) {
	letters = map[string]Letter{}
	for {
		_, rest, found := bytes.Cut(text, []byte(marker))
		if !found {
			return letters, ok
		}
		text = rest
		var r Report
		if json.NewDecoder(bytes.NewReader(rest)).Decode(&r) != nil {
			continue
		}
		ok = true
		for _, letter := range r.Letters {
			if known, twice := letters[letter.ID]; !twice || worse(letter.Outcome, known.Outcome) {
				letters[letter.ID] = letter
			}
		}
	}
}

func worse(a, b Outcome) bool { return rank(a) > rank(b) }

func rank(o Outcome) int {
	for i, one := range order {
		if one == o {
			return i
		}
	}
	return len(order)
}
