// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/otelcol-amplitude/otelcol-amplitude/exporter/amplitudeexporter"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/experiment/explain"
)

// explanation is the processor's explanation, with the place in the input and what the exporter makes of it.
type explanation struct {
	Input    string `json:"input"`
	Document int    `json:"document"`
	// Spans: the record was made from a span by the connector feature_flag_events, and Path is its place among those.
	Spans bool `json:"of_spans,omitempty"`
	*explain.Explanation
	Events []event `json:"events,omitempty"`
}

// event is an event with its JSON in the HTTP V2 API.
type event struct {
	explain.Event
	JSON json.RawMessage `json:"event,omitempty"`
	// Identify is the JSON of the $identify that corrects user properties, after the event or instead of it.
	Identify json.RawMessage `json:"identify,omitempty"`
	// NotSent is why the exporter would not send it.
	NotSent string `json:"not_sent,omitempty"`
}

// complete encodes the events of an explanation as the exporter does.
func complete(x *explain.Explanation, in document, cfg *amplitudeexporter.Config) explanation {
	whole := explanation{Input: in.input, Document: in.number, Spans: in.spans, Explanation: x}
	for _, one := range x.Events {
		e := event{Event: one}
		if one.Sent {
			encoded, err := amplitudeexporter.EncodeEvent(cfg, version, one.Record)
			if e.JSON = encoded; err != nil {
				e.NotSent = err.Error()
			}
		}
		if one.Identify != nil {
			encoded, err := amplitudeexporter.EncodeEvent(cfg, version, *one.Identify)
			if e.Identify = encoded; err != nil {
				e.NotSent = err.Error()
			}
		}
		whole.Events = append(whole.Events, e)
	}
	return whole
}

// place says where the record is in the input.
func (x *explanation) place() string {
	of := ""
	if x.Spans {
		of = " of what feature_flag_events makes of the spans"
	}
	return fmt.Sprintf("%s, document %d, %s%s", x.Input, x.Document, x.Path, of)
}

// printer writes explanations as text or JSON, and counts them.
type printer struct {
	w        io.Writer
	json     *json.Encoder
	outcome  string
	reason   string
	records  int
	outcomes map[string]int
	reasons  map[string]map[string]int
}

func newPrinter(w io.Writer, o *options) *printer {
	p := &printer{w: w, outcome: o.outcome, reason: o.reason, outcomes: map[string]int{}, reasons: map[string]map[string]int{}}
	if o.json {
		p.json = json.NewEncoder(w)
		p.json.SetEscapeHTML(false)
	}
	return p
}

func (p *printer) print(x explanation) error {
	p.records++
	p.outcomes[x.Outcome]++
	if x.Reason != "" {
		if p.reasons[x.Outcome] == nil {
			p.reasons[x.Outcome] = map[string]int{}
		}
		p.reasons[x.Outcome][x.Reason]++
	}
	if (p.outcome != "" && p.outcome != x.Outcome) || (p.reason != "" && p.reason != x.Reason) {
		return nil
	}
	if p.json != nil {
		return p.json.Encode(x)
	}
	_, err := p.w.Write(explain.AppendText(nil, x.Explanation, x.place(), func(i int) explain.Encoded {
		e := &x.Events[i]
		return explain.Encoded{Event: e.JSON, Identify: e.Identify, NotSent: e.NotSent}
	}))
	return err
}

// end writes the totals.
func (p *printer) end() error {
	if p.json != nil {
		return nil
	}
	text := fmt.Sprintf("%d %s", p.records, plural("record", p.records))
	if p.records > 0 {
		text += ": " + counts(p.outcomes, func(outcome string) string {
			if len(p.reasons[outcome]) == 0 {
				return ""
			}
			return " (" + counts(p.reasons[outcome], func(string) string { return "" }) + ")"
		})
	}
	_, err := fmt.Fprintln(p.w, text)
	return err
}

// counts lists names with their counts, the most frequent first.
func counts(of map[string]int, more func(string) string) string {
	words := make([]string, 0, len(of))
	for word := range of {
		words = append(words, word)
	}
	slices.SortFunc(words, func(a, b string) int {
		if of[a] != of[b] {
			return of[b] - of[a]
		}
		return strings.Compare(a, b)
	})
	for i, word := range words {
		words[i] = fmt.Sprintf("%d %s%s", of[word], word, more(word))
	}
	return strings.Join(words, ", ")
}

func plural(word string, n int) string {
	if n == 1 {
		return word
	}
	return word + "s"
}
