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
	// Seq numbers the decisions sent to any watcher. An updated decision keeps its number.
	Seq uint64 `json:"seq"`
	// Time is when the record arrived.
	Time      time.Time `json:"time"`
	Processor string    `json:"processor"`
	Service   string    `json:"service,omitempty"`
	// Outcome and Reason are as in the processor's metrics; Reason is "late" for an event that leaves the user property
	// alone.
	Outcome string `json:"outcome"`
	Reason  string `json:"reason,omitempty"`
	// Why is the reason in words, Hint what it means or what to do.
	Why  string `json:"why,omitempty"`
	Hint string `json:"hint,omitempty"`
	// EventName is the event name of the record.
	EventName string `json:"event_name,omitempty"`
	Flags     []Flag `json:"flags,omitempty"`
	User      *ID    `json:"user,omitempty"`
	Device    *ID    `json:"device,omitempty"`
	// LookedFor are the attributes in which no id was found; empty if the record has one.
	LookedFor []string `json:"looked_for,omitempty"`
	// Events are what the record becomes, and what became of each.
	Events []Event `json:"events,omitempty"`
	// Ended: the decision will not change anymore.
	Ended bool `json:"ended"`

	explanation *explain.Explanation
	// ids are the strings to mask.
	ids []string
	// bytes is the approximate size in memory.
	bytes int
}

// Flag is the result of one flag.
type Flag struct {
	Key     string `json:"key"`
	Variant string `json:"variant,omitempty"`
}

// ID is an id, and the attribute that it came from.
type ID struct {
	Value string `json:"value"`
	From  string `json:"from,omitempty"`
}

// States of an event.
const (
	StateRepeat       = "repeat"        // it is not sent
	StateHandedOn     = "handed_on"     // the next component took it
	StateRefused      = "refused"       // the next component refused it: the sender still has it
	StateTaken        = "taken"         // an exporter has it
	StateDelivered    = "delivered"     // Amplitude has it
	StateNotDelivered = "not_delivered" // Amplitude will not get it
	StateUnknown      = "unknown"       // Amplitude may have it: no answer came
	StateUnfollowed   = "unfollowed"    // it has no insert_id to track it by, or too much was in flight
)

// Event is one event of a record.
type Event struct {
	Type     string `json:"type,omitempty"`
	InsertID string `json:"insert_id,omitempty"`
	// Properties are the operations on user properties.
	Properties []Property `json:"properties,omitempty"`
	State      string     `json:"state"`
	// Why is why it is a repeat, or what was wrong with it.
	Why string `json:"why,omitempty"`
	// Hint says what that means, or what to do, unless it is simply delivered.
	Hint string `json:"hint,omitempty"`
	// Request is the last request that contained it.
	Request *Request `json:"request,omitempty"`
	// JSON is what the exporter sent.
	JSON json.RawMessage `json:"event,omitempty"`

	key uint64
	// at is its index in the explanation; identify: it is the $identify there.
	at       int
	identify bool
	// claims and settled count the exporters that have it, and those that are done with it; worst is their worst
	// outcome.
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
	// Status is the HTTP status, or invalid_api_key, timeout or network_error.
	Status string `json:"status"`
	Text   string `json:"text,omitempty"`
	// Events and Bytes are its size, and TookMS how long it took in milliseconds.
	Events int     `json:"events"`
	Bytes  int     `json:"bytes"`
	TookMS float64 `json:"took_ms"`
	// Tries counts the requests of this event so far.
	Tries int `json:"tries"`
}

// ended reports whether the state of the event is final.
func (e *Event) ended() bool {
	switch e.State {
	case StateHandedOn, StateTaken:
		return false
	default:
		return true
	}
}

// fill copies from the explanation, once it is complete.
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

// weigh estimates the size of the decision in memory: pdata and explanations are several times their size on the wire.
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

// completeFlags adds what was read about a flag that makes no event.
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

// addEvent adds a record that is handed on.
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
				continue // other properties of a shaped event are not read here
			}
			one := Property{Operator: operator, Name: printable.Text(property)}
			if operator != amplitude.OpUnset {
				one.Value = printable.Text(value.AsString())
			}
			e.Properties = append(e.Properties, one)
		}
	}
	if e.key == 0 {
		e.State = StateUnfollowed // nothing identifies it
	}
	d.Events = append(d.Events, e)
}

// isOwn reports whether everything in its events was read from the record as configured. What passes unchanged may
// contain anything else.
func (d *Decision) isOwn() bool {
	return len(d.explanation.Facts) > 0 && !d.explanation.Recognized.Shaped
}

// settleState sets whether more updates are expected.
func (d *Decision) settleState() {
	d.Ended = !slices.ContainsFunc(d.Events, func(e Event) bool { return !e.ended() })
}
