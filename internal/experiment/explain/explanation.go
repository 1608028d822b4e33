// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package explain // import "github.com/otelcol-amplitude/otelcol-amplitude/internal/experiment/explain"

import "go.opentelemetry.io/collector/pdata/plog"

// Explanation is what the processor does with one record, and why. Outcome, Reason and the reasons of refused ids and
// flags are the values that the processor's metrics use.
type Explanation struct {
	// Record is the number of the record in its [Recorder], from 1; Path is its place in its batch.
	Record  int    `json:"record"`
	Path    string `json:"path"`
	Outcome string `json:"outcome"`
	// Reason is why there is no event, if the outcome is skipped or rejected; Hint is what to do about a rejection.
	Reason string `json:"reason,omitempty"`
	Hint   string `json:"hint,omitempty"`

	Recognized Recognized `json:"recognized"`
	// Facts are what the attributes say, even of a record that becomes no event.
	Facts []Fact `json:"facts,omitempty"`
	// Flags are those of an assignment.
	Flags []FlagResult `json:"flags,omitempty"`
	// Rules are the decisions that were made, in order.
	Rules []Rule `json:"rules,omitempty"`
	// NotCarried are the attributes of the record that are not part of the event.
	NotCarried []NotCarried `json:"not_carried,omitempty"`
	// Events are what the record becomes: none if it is skipped or rejected, itself if it is passed on, several for a
	// large assignment or for a result that becomes exposures.
	Events []Event `json:"events,omitempty"`
}

// Recognized is what a record was recognized as.
type Recognized struct {
	// As is exposure, evaluation or assignment, or "none" for a foreign record.
	As string `json:"as"`
	// EventName was read From the field EventName or from an attribute.
	EventName string `json:"event_name,omitempty"`
	From      string `json:"from,omitempty"`
	// OtherNames are other event names of the record, which are not read or come after the one that counts.
	OtherNames []EventName `json:"other_names,omitempty"`
	// Shaped: the record is an event already, made by another Collector.
	Shaped bool `json:"shaped,omitempty"`
}

// EventName is an event name of a record, and where it was found.
type EventName struct {
	Name string `json:"name"`
	From string `json:"from"`
}

// Attribute is an attribute that was found while looking for a fact.
type Attribute struct {
	Name string `json:"name"`
	// Where is record, body, scope or resource.
	Where string `json:"where"`
	Value string `json:"value"`
	// Refused is why the value was not used, if it was refused.
	Refused string `json:"refused,omitempty"`
}

// Fact is one thing that attributes say.
type Fact struct {
	// Name is the key of the configuration that lists the attributes, or the attribute itself where no key does.
	Name string `json:"name"`
	// Value is what was read, empty if nothing was.
	Value string `json:"value,omitempty"`
	// From is where it was read; Via is context_id if that stands for a user_id or device_id that nothing else gives.
	From *Attribute `json:"from,omitempty"`
	Via  string     `json:"via,omitempty"`
	// Others are further attributes, which were refused or come after the one that was used.
	Others []Attribute `json:"others,omitempty"`
	// LookedFor are the attributes that would have been read, if none was usable.
	LookedFor []string `json:"looked_for,omitempty"`
}

// FlagResult is one flag of an assignment.
type FlagResult struct {
	Key     string `json:"key"`
	Variant string `json:"variant,omitempty"`
	// Unassigned: the user is not in a variant, Because of this rule.
	Unassigned bool   `json:"unassigned"`
	Because    string `json:"because,omitempty"`
	Details    string `json:"details,omitempty"`
	// NoProperty: the flag has no user property.
	NoProperty bool `json:"no_property,omitempty"`
	// Untracked: the application asks not to count an exposure of the flag.
	Untracked bool `json:"untracked,omitempty"`
	// LeftOut is why the flag is not part of the event.
	LeftOut string `json:"left_out,omitempty"`
}

// Rule is one decision.
type Rule struct {
	About   string `json:"about"`
	Result  string `json:"result"`
	Because string `json:"because"`
}

// NotCarried is an attribute that is not sent.
type NotCarried struct {
	Name    string `json:"name"`
	Because string `json:"because"`
}

// The decisions of de-duplication about an event.
const (
	VerdictSend   = "send"
	VerdictRepeat = "repeat"
	VerdictLate   = "late"
)

// Event is one event that a record becomes, or would become if it were not a repeat.
type Event struct {
	// Of is the number of the record.
	Of int `json:"-"`
	// Verdict is send, repeat or late, for the reason in Because; empty for a record that is passed on unchanged.
	Verdict string `json:"verdict,omitempty"`
	Because string `json:"because,omitempty"`
	// SameAs is the record that this one repeats; ChangedFrom is the previous record of its subject, with another
	// result.
	SameAs      int `json:"same_as,omitempty"`
	ChangedFrom int `json:"changed_from,omitempty"`
	// Property is what happens to the user properties in addition to the event, if anything.
	Property string `json:"property,omitempty"`
	// Flags are the flag keys of this event, if the record became several events.
	Flags    []string  `json:"flags,omitempty"`
	InsertID *InsertID `json:"insert_id,omitempty"`
	// Record is what the next component receives. It is the zero value for a repeat.
	Record plog.LogRecord `json:"-"`
	// Sent reports whether Record is set.
	Sent bool `json:"sent"`
	// Identify is the $identify that corrects user properties, after the event or instead of it; nil if there is none.
	Identify *plog.LogRecord `json:"-"`
}

// InsertID is the insert_id of an event and what it is made of.
type InsertID struct {
	Value string `json:"value"`
	// Format is strong or sdk; for an outcome "outcome_id" or "content"; "kept" if the record brought it; or
	// "identify".
	Format string `json:"format"`
	// Window is the number of the day, or of the configured window; Day the date of a day.
	Window int32  `json:"window"`
	Day    string `json:"day,omitempty"`
	// Hash is the hash of subject and result in the strong format.
	Hash string `json:"hash,omitempty"`
	// IDsHashed: the ids are too long, and one hash replaces both.
	IDsHashed bool `json:"ids_hashed,omitempty"`
	// SameAs is the record that was sent with this insert_id before: Amplitude drops further copies within seven days.
	SameAs int `json:"same_as,omitempty"`
}

// AddRule notes a decision.
func (x *Explanation) AddRule(about, result, because string) {
	x.Rules = append(x.Rules, Rule{About: about, Result: result, Because: because})
}
