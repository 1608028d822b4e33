// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package explain // import "github.com/otelcol-amplitude/otelcol-amplitude/internal/experiment/explain"

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/printable"
)

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

// Encoded is an event as an exporter sends it: its JSON and that of the $identify with it, or nil if there is none or
// it is not known. NotSent is why the exporter would not send it.
type Encoded struct {
	Event, Identify json.RawMessage
	NotSent         string
}

// AppendText appends an explanation in words: what was read, what was decided, and what it becomes, with each event as
// returned by encoded. place is where the record came from.
func AppendText(dst []byte, x *Explanation, place string, encoded func(i int) Encoded) []byte {
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
	l.add("place", "%s", place)
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
		l.event(&x.Events[i], encoded(i))
	}
	return append(l.text, '\n')
}

func (l *lines) recognized(r Recognized) {
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

func (l *lines) fact(f *Fact) {
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

func (l *lines) flag(f *FlagResult) {
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

func (l *lines) event(e *Event, as Encoded) {
	switch {
	case len(e.Flags) == 1:
		l.add("part", "flag %s", orQuotes(e.Flags[0]))
	case len(e.Flags) > 0:
		l.add("part", "%d flags, %s to %s", len(e.Flags), e.Flags[0], e.Flags[len(e.Flags)-1])
	}
	switch e.Verdict {
	case VerdictSend:
		l.add("repeat", "no: %s", e.Because)
	case VerdictLate:
		l.add("repeat", "no, but late: %s", e.Because)
	case VerdictRepeat:
		l.add("repeat", "yes: %s", e.Because)
	}
	if id := e.InsertID; id != nil {
		l.insertID(id)
	}
	if as.NotSent != "" {
		l.add("event", "the exporter does not send it: %s%s", as.NotSent, notSentHints[as.NotSent])
	}
	l.object("event", as.Event)
	if e.Property != "" {
		l.add("user property", "%s", e.Property)
	}
	l.object("$identify", as.Identify)
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
	l.text = fmt.Appendf(l.text, "%s%s\n%s%s\n", margin, label, margin, printable.JSON(indented.Bytes()))
}

func (l *lines) insertID(id *InsertID) {
	l.add("insert_id", "%s", orQuotes(printable.Escape(id.Value)))
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
	case "outcome_id":
		l.add("", "%s, hash of the event's name and the outcome's id", ids)
	case "content":
		l.add("", "%s, hash of the event's name and of all that the record says", ids)
	default:
		l.add("", "%s, hash of subject and result, %s", ids, window)
	}
	if id.SameAs > 0 {
		l.add("", "Amplitude drops it: record %d was sent with the same insert_id", id.SameAs)
	}
}

// notSentHints are for records that were never meant as events.
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
