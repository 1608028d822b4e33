// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package tap // import "github.com/otelcol-amplitude/otelcol-amplitude/internal/tap"

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/experiment/explain"
)

// Shown is a decision as sent to a watcher.
type Shown struct {
	Decision
	// Became describes what has become of each event.
	Became []string `json:"became,omitempty"`
	// Text is the full explanation in words, and Explanation the same as data, if requested.
	Text        string               `json:"text,omitempty"`
	Explanation *explain.Explanation `json:"explanation,omitempty"`
}

// Details that a watcher may request.
const (
	detailText = "text"
	detailJSON = "json"
)

// show returns what a watcher may see of a decision.
func show(d *Decision, showIDs bool, detail string) Shown {
	flat := make([]json.RawMessage, len(d.explanation.Events))
	if detail == detailText && d.isOwn() {
		for i := range d.explanation.Events {
			if one := &d.explanation.Events[i]; one.Sent {
				flat[i] = flatJSON(one.Record)
			}
		}
	}
	shown := *d
	if !showIDs {
		m := newMasker(d)
		for i := range flat {
			flat[i] = m.json(d, flat[i])
		}
		shown = d.masked()
	}
	s := Shown{Decision: shown}
	for i := range s.Events {
		s.Events[i].Hint = s.Events[i].hint()
		s.Became = append(s.Became, s.Events[i].became())
	}
	switch detail {
	case detailText:
		s.Text = cut(s.text(flat))
		for i := range s.Events {
			if len(s.Events[i].JSON) > maxText {
				s.Events[i].JSON = nil
			}
		}
	case detailJSON:
		s.Explanation = s.explanation
	default:
		for i := range s.Events {
			s.Events[i].JSON = nil
		}
	}
	return s
}

// maxText bounds the explanation of one record, because a page keeps many.
const maxText = 64 << 10

func cut(text []byte) string {
	if len(text) <= maxText {
		return string(text)
	}
	whole := bytes.LastIndexByte(text[:maxText], '\n') + 1
	return fmt.Sprintf("%s… %d bytes more: otelcol-amplitude-explain shows all of it\n", text[:whole], len(text)-whole)
}

// flatJSON returns what the next component gets, as JSON.
func flatJSON(record plog.LogRecord) json.RawMessage {
	text, err := json.Marshal(map[string]any{"event_name": record.EventName(), "attributes": record.Attributes().AsRaw()})
	if err != nil {
		return nil // a number that JSON cannot represent
	}
	return text
}

// text returns what otelcol-amplitude-explain prints about the record, and what has become of its events.
func (s *Shown) text(flat []json.RawMessage) []byte {
	text := explain.AppendText(nil, s.explanation, "processor "+s.Processor+", "+s.explanation.Path, func(i int) (e explain.Encoded) {
		e.Event = flat[i]
		for j := range s.Events {
			switch one := &s.Events[j]; {
			case one.at != i || one.JSON == nil:
			case one.identify:
				e.Identify = one.JSON
			default:
				e.Event = one.JSON
			}
		}
		return e
	})
	if len(s.Became) == 0 {
		return text
	}
	text = append(text[:len(text)-1], "  became of it\n"...)
	for i, became := range s.Became {
		kind := s.Events[i].Type
		if kind == "" {
			kind = "event"
		}
		text = fmt.Appendf(text, "    %-20s  %s\n", kind, became)
		if hint := s.Events[i].Hint; hint != "" {
			text = fmt.Appendf(text, "    %-20s  %s\n", "", hint)
		}
	}
	return append(text, '\n')
}

// became describes what has become of an event.
func (e *Event) became() string {
	words := map[string]string{
		StateRepeat: "not sent", StateHandedOn: "handed on", StateRefused: "refused by the next component", StateTaken: "on its way",
		StateDelivered: "delivered", StateNotDelivered: "not delivered", StateUnknown: "unknown: no answer came", StateUnfollowed: "no longer tracked",
	}[e.State]
	if e.State == StateUnfollowed && e.key == 0 {
		words = "handed on, and not tracked"
	}
	if e.Why != "" && e.State == StateNotDelivered {
		words += ": " + e.Why
	}
	if r := e.Request; r != nil {
		words += "; " + r.words()
	}
	return words
}

func (r *Request) words() string {
	answer := r.Status
	if r.Text != "" {
		answer += " " + r.Text
	}
	events := "1 event"
	if r.Events != 1 {
		events = fmt.Sprintf("%d events", r.Events)
	}
	words := []string{answer, events, fmt.Sprintf("%.1f ms", r.TookMS)}
	if r.Tries > 1 {
		words = append(words, fmt.Sprintf("try %d", r.Tries))
	}
	return strings.Join(words, ", ")
}
