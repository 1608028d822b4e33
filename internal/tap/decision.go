// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package tap // import "github.com/otelcol-amplitude/otelcol-amplitude/internal/tap"

import (
	"encoding/json"
	"slices"
	"strings"
	"time"

	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/amplitude"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/amplitude/receipts"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/experiment/explain"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/printable"
)

// Decision is what a processor decided about one record, and what has become of it so far.
type Decision struct {
	// Seq numbers the decisions that anybody was told of. One that is told again, because more is known, keeps its number.
	Seq uint64 `json:"seq"`
	// Time is when the record arrived.
	Time      time.Time `json:"time"`
	Processor string    `json:"processor"`
	Service   string    `json:"service,omitempty"`
	// Outcome and Reason are the words of the processor's metrics; Reason is "late" for an event that leaves the user property alone.
	Outcome string `json:"outcome"`
	Reason  string `json:"reason,omitempty"`
	// Why says it in words, and Hint what it means or what to do.
	Why  string `json:"why,omitempty"`
	Hint string `json:"hint,omitempty"`
	// EventName is that of the record.
	EventName string `json:"event_name,omitempty"`
	Flags     []Flag `json:"flags,omitempty"`
	User      *ID    `json:"user,omitempty"`
	Device    *ID    `json:"device,omitempty"`
	// LookedFor are the attributes in which an id was looked for and not found; of a record that has one it is empty.
	LookedFor []string `json:"looked_for,omitempty"`
	// Events are what the record becomes, and what became of each.
	Events []Event `json:"events,omitempty"`
	// Ended tells that nothing more will be told of it.
	Ended bool `json:"ended"`

	explanation *explain.Explanation
	// ids are the texts that are masked.
	ids []string
	// bytes is about what all this takes in memory.
	bytes int
}

// Flag is the result of one flag.
type Flag struct {
	Key     string `json:"key"`
	Variant string `json:"variant,omitempty"`
}

// ID is who it was, and which attribute said so.
type ID struct {
	Value string `json:"value"`
	From  string `json:"from,omitempty"`
}

// States of an event.
const (
	StateRepeat       = "repeat"        // it is not sent
	StateHandedOn     = "handed_on"     // the next component took it
	StateRefused      = "refused"       // the next component did not take it: the sender still has it
	StateTaken        = "taken"         // an exporter has it
	StateDelivered    = "delivered"     // Amplitude has it
	StateNotDelivered = "not_delivered" // Amplitude does not get it
	StateUnknown      = "unknown"       // Amplitude may have it: no answer came
	StateUnfollowed   = "unfollowed"    // it has no insert_id to be followed by, or too much was on its way
)

// Event is one event of a record.
type Event struct {
	Type     string `json:"type,omitempty"`
	InsertID string `json:"insert_id,omitempty"`
	// Properties are the operations on user properties.
	Properties []Property `json:"properties,omitempty"`
	State      string     `json:"state"`
	// Why says why it is a repeat, or what was wrong with it.
	Why string `json:"why,omitempty"`
	// Hint says what that means, or what to do, where it does not arrive as a matter of course.
	Hint string `json:"hint,omitempty"`
	// Request is the last one that it was in.
	Request *Request `json:"request,omitempty"`
	// JSON is what the exporter sent.
	JSON json.RawMessage `json:"event,omitempty"`

	key uint64
	// at is its place in the explanation, and identify tells that it is the $identify there.
	at       int
	identify bool
	// claims and settled count the exporters that have it, and those that are done with it; worst is what the worst of them told.
	claims, settled int
	worst           receipts.Outcome
}

// Property is an operation on a user property.
type Property struct {
	Operator string `json:"operator"`
	Name     string `json:"name"`
	Value    string `json:"value,omitempty"`
}

// Request is one request and its answer.
type Request struct {
	Exporter string `json:"exporter"`
	// Status is that of HTTP, or invalid_api_key, timeout or network_error.
	Status string `json:"status"`
	Text   string `json:"text,omitempty"`
	// Events and Bytes are its size, and TookMS how long it took in milliseconds.
	Events int     `json:"events"`
	Bytes  int     `json:"bytes"`
	TookMS float64 `json:"took_ms"`
	// Tries counts the requests of this event so far.
	Tries int `json:"tries"`
}

// ended tells whether nothing more becomes of the event.
func (e *Event) ended() bool {
	switch e.State {
	case StateHandedOn, StateTaken:
		return false
	default:
		return true
	}
}

// fill takes over what the explanation says, once it is complete.
func (d *Decision) fill() {
	x := d.explanation
	d.EventName = printable.Text(x.Recognized.EventName)
	if d.Hint == "" {
		d.Hint = x.Hint
	}
	d.Why = x.Why()
	for i := range x.Facts {
		d.fact(&x.Facts[i])
	}
	if d.User != nil || d.Device != nil {
		d.LookedFor = nil
	}
	d.completeFlags()
	for i := range x.Events {
		one := &x.Events[i]
		if !one.Sent {
			d.Events = append(d.Events, Event{State: StateRepeat, Why: one.Because, at: i})
		} else {
			d.addEvent(one.Record, i, false)
		}
		if one.Identify != nil {
			d.addEvent(*one.Identify, i, true)
		}
	}
	d.collectIDs()
	d.weigh()
}

// weigh estimates what the decision takes in memory: pdata and the words about them are several times their size on the wire.
func (d *Decision) weigh() {
	const ofOne, ofWords, timesWire = 4 << 10, 256, 8
	x, wire := d.explanation, &plog.ProtoMarshaler{}
	d.bytes = ofOne + ofWords*(len(x.Facts)+len(x.Rules)+len(x.Events)+len(x.NotCarried))
	for i := range x.Events {
		if x.Events[i].Sent {
			d.bytes += timesWire * wire.LogRecordSize(x.Events[i].Record)
		}
	}
}

func (d *Decision) fact(f *explain.Fact) {
	switch f.Name {
	case amplitude.FieldUserID:
		d.User = idOf(f, d.User)
	case amplitude.FieldDeviceID:
		d.Device = idOf(f, d.Device)
	default:
		return
	}
	d.LookedFor = append(d.LookedFor, f.LookedFor...)
}

// completeFlags adds what was read of a flag that makes no event.
func (d *Decision) completeFlags() {
	for i := range d.explanation.Facts {
		switch f := &d.explanation.Facts[i]; {
		case f.Name == "flag_key" && len(d.Flags) == 0 && f.Value != "":
			d.Flags = append(d.Flags, Flag{Key: f.Value})
		case f.Name == "variant" && len(d.Flags) == 1 && d.Flags[0].Variant == "":
			d.Flags[0].Variant = f.Value
		}
	}
}

func idOf(f *explain.Fact, otherwise *ID) *ID {
	if f.Value == "" {
		return otherwise
	}
	id := &ID{Value: f.Value}
	if f.From != nil {
		id.From = f.From.Name
	}
	return id
}

// addEvent adds what is handed on as a record.
func (d *Decision) addEvent(record plog.LogRecord, at int, identify bool) {
	e := Event{Type: printable.Text(record.EventName()), State: StateHandedOn, at: at, identify: identify}
	for name, value := range record.Attributes().All() {
		switch {
		case name == amplitude.AttrInsertID:
			e.InsertID = value.AsString()
			e.key = receipts.Key(e.InsertID)
		case strings.HasPrefix(name, amplitude.AttrUserPropertiesPrefix):
			operator, property, _ := strings.Cut(name[len(amplitude.AttrUserPropertiesPrefix):], ".")
			if !strings.HasPrefix(property, amplitude.ExperimentPrefix) {
				continue // what a shaped event sets besides is not read here
			}
			one := Property{Operator: operator, Name: printable.Text(property)}
			if operator != amplitude.OpUnset {
				one.Value = printable.Text(value.AsString())
			}
			e.Properties = append(e.Properties, one)
		}
	}
	if e.key == 0 {
		e.State = StateUnfollowed // nothing tells it from others
	}
	d.Events = append(d.Events, e)
}

// isOwn tells whether all that its events say was read of the record as the configuration has it. What passes as it is
// may say anything else.
func (d *Decision) isOwn() bool {
	return len(d.explanation.Facts) > 0 && !d.explanation.Recognized.Shaped
}

// settleState says whether anything is still to be told.
func (d *Decision) settleState() {
	d.Ended = !slices.ContainsFunc(d.Events, func(e Event) bool { return !e.ended() })
}
