// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/otelcol-amplitude/otelcol-amplitude/exporter/amplitudeexporter"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/experiment/explain"
)

// explanation is what the processor says, with the place in the input and what the exporter makes of it.
type explanation struct {
	Input    string `json:"input"`
	Document int    `json:"document"`
	// Spans: the record was made of a span by the connector feature_flag_events, and Path is its place among those.
	Spans bool `json:"of_spans,omitempty"`
	*explain.Explanation
	Events []event `json:"events,omitempty"`
}

// event is an event with its JSON in the HTTP V2 API.
type event struct {
	explain.Event
	JSON json.RawMessage `json:"event,omitempty"`
	// Identify is the JSON of the $identify that sets user properties right, behind the event or in its place.
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
	_, err := p.w.Write(appendText(nil, &x))
	return err
}

// end writes the sum.
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

// counts lists words with their numbers, the most frequent first.
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

// lines writes labeled lines in two columns, under headings.
type lines struct{ text []byte }

const (
	margin = "    "
	column = 20
)

func (l *lines) heading(text string) {
	l.text = fmt.Appendf(l.text, "  %s\n", text)
}

// add writes a line under a label; an empty label continues the one before.
func (l *lines) add(label, format string, args ...any) {
	l.text = fmt.Appendf(l.text, "%s%-*s  %s\n", margin, column, label, fmt.Sprintf(format, args...))
}

func appendText(dst []byte, x *explanation) []byte {
	l := &lines{text: dst}
	headline := x.Outcome
	if x.Reason != "" {
		headline += " (" + x.Reason + ")"
	}
	l.text = fmt.Appendf(l.text, "record %d: %s\n", x.Record, headline)
	if x.Hint != "" {
		l.heading(x.Hint)
	}
	l.heading("read")
	of := ""
	if x.Spans {
		of = " of what feature_flag_events makes of the spans"
	}
	l.add("place", "%s, document %d, %s%s", x.Input, x.Document, x.Path, of)
	l.recognized(x.Recognized)
	for i := range x.Facts {
		l.fact(&x.Facts[i])
	}
	if len(x.Rules)+len(x.Flags) > 0 {
		l.heading("decided")
	}
	for i := range x.Flags {
		l.flag(&x.Flags[i])
	}
	for _, rule := range x.Rules {
		l.add(rule.About, "%s: %s", rule.Result, rule.Because)
	}
	for i, one := range x.NotCarried {
		label := ""
		if i == 0 {
			label = "left behind"
		}
		l.add(label, "%s: %s", orQuotes(one.Name), one.Because)
	}
	if len(x.Events) > 0 {
		l.heading("becomes")
	}
	for i := range x.Events {
		l.event(&x.Events[i])
	}
	return append(l.text, '\n')
}

func (l *lines) recognized(r explain.Recognized) {
	if r.EventName == "" {
		l.add("event name", "none")
	} else {
		l.add("event name", "%q  from %s", r.EventName, r.From)
	}
	for _, other := range r.OtherNames {
		l.add("", "also %q  from %s", other.Name, other.From)
	}
	l.add("recognized as", "%s", r.As)
}

func (l *lines) fact(f *explain.Fact) {
	switch {
	case f.From != nil && f.Via != "":
		l.add(f.Name, "%s  from %s (%s), a %s: nothing else gives it", f.Value, f.From.Name, f.From.Where, f.Via)
	case f.From != nil:
		l.add(f.Name, "%s  from %s (%s)", f.Value, f.From.Name, f.From.Where)
	case f.Value != "":
		l.add(f.Name, "%s", f.Value)
	default:
		l.add(f.Name, "none; looked for %s", strings.Join(f.LookedFor, ", "))
	}
	for _, other := range f.Others {
		if other.Refused != "" {
			l.add("", "refused %s from %s (%s): %s", orQuotes(other.Value), other.Name, other.Where, other.Refused)
		} else {
			l.add("", "not needed %s from %s (%s)", orQuotes(other.Value), other.Name, other.Where)
		}
	}
}

func (l *lines) flag(f *explain.FlagResult) {
	key := "flag " + orQuotes(f.Key)
	switch {
	case f.LeftOut != "":
		l.add(key, "left out: %s", f.LeftOut)
	case f.Because == "":
		l.add(key, "%s", f.Variant)
	case f.Unassigned:
		l.add(key, "%s, unassigned: %s", f.Variant, f.Because)
	default:
		l.add(key, "%s, assigned: %s", f.Variant, f.Because)
	}
	if f.NoProperty {
		l.add("", "no user property: it is a mutual exclusion group")
	}
	if f.Untracked {
		l.add("", "no exposure: metadata.trackExposure is false")
	}
	if f.Details != "" {
		l.add("", "details %s", f.Details)
	}
}

func (l *lines) event(e *event) {
	switch {
	case len(e.Flags) == 1:
		l.add("part", "flag %s", orQuotes(e.Flags[0]))
	case len(e.Flags) > 0:
		l.add("part", "%d flags, %s to %s", len(e.Flags), e.Flags[0], e.Flags[len(e.Flags)-1])
	}
	switch e.Verdict {
	case explain.VerdictSend:
		l.add("repeat", "no: %s", e.Because)
	case explain.VerdictLate:
		l.add("repeat", "no, but late: %s", e.Because)
	case explain.VerdictRepeat:
		l.add("repeat", "yes: %s", e.Because)
	}
	if id := e.InsertID; id != nil {
		l.insertID(id)
	}
	if e.NotSent != "" {
		l.add("event", "the exporter does not send it: %s%s", e.NotSent, notSentHints[e.NotSent])
	}
	l.object("event", e.JSON)
	if e.Property != "" {
		l.add("user property", "%s", e.Property)
	}
	l.object("$identify", e.Identify)
}

// object writes JSON, if there is any.
func (l *lines) object(label string, of json.RawMessage) {
	if of == nil {
		return
	}
	var indented bytes.Buffer
	if err := json.Indent(&indented, of, margin, "  "); err != nil {
		l.add(label, "%s", of)
		return
	}
	l.text = fmt.Appendf(l.text, "%s%s\n%s%s\n", margin, label, margin, indented.Bytes())
}

func (l *lines) insertID(id *explain.InsertID) {
	l.add("insert_id", "%s", orQuotes(id.Value))
	window := fmt.Sprintf("window %d", id.Window)
	if id.Day != "" {
		window = fmt.Sprintf("day %d (%s)", id.Window, id.Day)
	}
	ids := "user_id, device_id"
	if id.IDsHashed {
		ids = "one hash of user_id and device_id, which are too long"
	}
	switch id.Format {
	case "kept":
		l.add("", "kept as it came")
	case "sdk":
		l.add("", "%s, the hash of Amplitude's SDK, %s", ids, window)
	case "identify":
		l.add("", "%s, and a number of its own: setting a property again is harmless", ids)
	default:
		l.add("", "%s, hash of subject and result, %s", ids, window)
	}
	if id.SameAs > 0 {
		l.add("", "Amplitude drops it: record %d was sent with the same insert_id", id.SameAs)
	}
}

// notSentHints are for the reasons of records that nobody meant as events.
var notSentHints = map[string]string{
	"not_an_event": ", it has no event name",
	"not_allowed":  ", no pattern of its key `events` matches the event name",
}

// orQuotes makes a blank text visible.
func orQuotes(text string) string {
	if strings.TrimSpace(text) != text || text == "" {
		return strconv.Quote(text)
	}
	return text
}
