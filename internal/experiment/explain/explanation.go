// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package explain // import "github.com/otelcol-amplitude/otelcol-amplitude/internal/experiment/explain"

import "go.opentelemetry.io/collector/pdata/plog"

// Explanation tells what the processor does with one record, and why. Outcome, Reason and the reasons
// of refused ids and flags are the values that the processor's metrics count by.
type Explanation struct {
	// Record numbers the records of a [Recorder] from 1; Path is the place of this one in its batch.
	Record  int    `json:"record"`
	Path    string `json:"path"`
	Outcome string `json:"outcome"`
	// Reason says why there is no event, if the outcome is skipped or rejected; Hint, what to do about a rejection.
	Reason string `json:"reason,omitempty"`
	Hint   string `json:"hint,omitempty"`

	Recognized Recognized `json:"recognized"`
	// Facts are what the attributes tell, also about a record that becomes no event.
	Facts []Fact `json:"facts,omitempty"`
	// Flags are those of an assignment.
	Flags []FlagResult `json:"flags,omitempty"`
	// Rules are the decisions that were made, in order.
	Rules []Rule `json:"rules,omitempty"`
	// NotCarried are the attributes of the record that the event does not tell.
	NotCarried []NotCarried `json:"not_carried,omitempty"`
	// Events is what the record becomes: nothing if it is skipped or rejected, itself if it is passed on,
	// several events for a large assignment, or for a result that becomes exposures.
	Events []Event `json:"events,omitempty"`
}

// Recognized says what a record was taken for.
type Recognized struct {
	// As is exposure, evaluation, assignment, or "none" for a record of others.
	As string `json:"as"`
	// EventName was read From the field EventName or from an attribute.
	EventName string `json:"event_name,omitempty"`
	From      string `json:"from,omitempty"`
	// OtherNames are event names that the record has besides: such as nobody looks for, or after the one that counts.
	OtherNames []EventName `json:"other_names,omitempty"`
	// Shaped: the record is an event already, made by another Collector.
	Shaped bool `json:"shaped,omitempty"`
}

// EventName is an event name of a record, and where it stands.
type EventName struct {
	Name string `json:"name"`
	From string `json:"from"`
}

// Attribute is a place where a fact was looked for and something was found.
type Attribute struct {
	Name string `json:"name"`
	// Where is record, body, scope or resource.
	Where string `json:"where"`
	Value string `json:"value"`
	// Refused says why the value was not taken, if that is why.
	Refused string `json:"refused,omitempty"`
}

// Fact is one thing that attributes tell.
type Fact struct {
	// Name is the key of the configuration that lists the attributes, or the attribute itself where no key does.
	Name string `json:"name"`
	// Value is what was read, empty if nothing was.
	Value string `json:"value,omitempty"`
	// From is where it was read; Via is context_id if that stands for a user_id or device_id that nothing else gives.
	From *Attribute `json:"from,omitempty"`
	Via  string     `json:"via,omitempty"`
	// Others were there too: refused, or after the one that was taken.
	Others []Attribute `json:"others,omitempty"`
	// LookedFor are the attributes that would have been read, if none was usable.
	LookedFor []string `json:"looked_for,omitempty"`
}

// FlagResult is one flag of an assignment.
type FlagResult struct {
	Key     string `json:"key"`
	Variant string `json:"variant,omitempty"`
	// Unassigned: the user is in no variant, Because of this rule.
	Unassigned bool   `json:"unassigned"`
	Because    string `json:"because,omitempty"`
	Details    string `json:"details,omitempty"`
	// NoProperty: the flag has no user property.
	NoProperty bool `json:"no_property,omitempty"`
	// Untracked: the application asks not to count an exposure of the flag.
	Untracked bool `json:"untracked,omitempty"`
	// LeftOut says why the event does not tell this flag.
	LeftOut string `json:"left_out,omitempty"`
}

// Rule is one decision.
type Rule struct {
	About   string `json:"about"`
	Result  string `json:"result"`
	Because string `json:"because"`
}

// NotCarried is an attribute that stays behind.
type NotCarried struct {
	Name    string `json:"name"`
	Because string `json:"because"`
}

// What the de-duplication decided about an event.
const (
	VerdictSend   = "send"
	VerdictRepeat = "repeat"
	VerdictLate   = "late"
)

// Event is one event that a record becomes, or would become if it were no repeat.
type Event struct {
	// Of is the number of the record.
	Of int `json:"-"`
	// Verdict is send, repeat or late, Because of this; empty for a record that is passed on as it is.
	Verdict string `json:"verdict,omitempty"`
	Because string `json:"because,omitempty"`
	// SameAs is the record that this one repeats; ChangedFrom the last one of its subject, with another result.
	SameAs      int `json:"same_as,omitempty"`
	ChangedFrom int `json:"changed_from,omitempty"`
	// Property says what happens to the user properties beside the event, if anything does.
	Property string `json:"property,omitempty"`
	// Flags are the keys that this event tells, if the record became several.
	Flags    []string  `json:"flags,omitempty"`
	InsertID *InsertID `json:"insert_id,omitempty"`
	// Record is what the next component gets. It is the zero value for a repeat.
	Record plog.LogRecord `json:"-"`
	// Sent tells whether Record is set.
	Sent bool `json:"sent"`
	// Identify is the $identify that sets user properties right, behind the event or in its place; nil if there is none.
	Identify *plog.LogRecord `json:"-"`
}

// InsertID is the insert_id of an event and what it is made of.
type InsertID struct {
	Value string `json:"value"`
	// Format is strong or sdk, of an outcome "outcome_id" or "content", "kept" if the record brought it, or "identify".
	Format string `json:"format"`
	// Window is the number of the day, or of the configured window; Day the date of a day.
	Window int32  `json:"window"`
	Day    string `json:"day,omitempty"`
	// Hash is the hash of subject and result in the strong format.
	Hash string `json:"hash,omitempty"`
	// IDsHashed: the ids are too long for it, and a hash stands for both.
	IDsHashed bool `json:"ids_hashed,omitempty"`
	// SameAs is the record that was sent with this insert_id before: Amplitude drops what comes again within seven days.
	SameAs int `json:"same_as,omitempty"`
}

// AddRule notes a decision.
func (x *Explanation) AddRule(about, result, because string) {
	x.Rules = append(x.Rules, Rule{About: about, Result: result, Because: because})
}
