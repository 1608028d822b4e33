// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package dedup // import "github.com/otelcol-amplitude/otelcol-amplitude/processor/amplitudeexperimentprocessor/internal/dedup"

// Record is one experiment result to decide about.
type Record struct {
	// User and Device are the ids that the record names itself; at least one is present.
	User, Device ID
	// Event is the hash of subject and result. Together with the day it is the FACT: an event is sent once per FACT.
	// The zero ID means that the record is not an event and only sets user properties, like a $identify.
	Event ID
	// Day numbers the window of the event's own time, by default the UTC day.
	Day int32
	// Time is the event's own time in milliseconds since the Unix epoch.
	Time int64
	// From and To are the range of the record's flags in the flags of the batch. It is empty for a record whose
	// properties the ledger does not manage.
	From, To int32
}

// Flag is the user property that a record sets for one flag.
type Flag struct {
	// Key is a hash of the flag key.
	Key uint64
	// Value is a hash of the variant, or 0 if the property is unset.
	Value uint64
}

// Decision is what becomes of one flag of a record.
type Decision uint8

const (
	// Operate means that the event of the record carries the operation of this flag.
	Operate Decision = 1 << iota
	// Repair means that the $identify of the record carries the operation of this flag.
	Repair
	// Late means that the flag is older than what is known, and is left out of all operations.
	Late
	// Changed means that the property had another value before.
	Changed
	// Flapping means that the property changes too often, and is left unchanged.
	Flapping
)

// Verdict is the answer to one Record. A record that becomes neither an event nor a $identify is a repeat.
type Verdict struct {
	// Event and Identify are what is sent, as the number of the copy in the Reservation, counted from 1; 0 for none.
	// The $identify directly follows the event.
	Event, Identify int32
	// Late: the record moves no property because all of its flags are late.
	Late bool
}

// Repeat reports whether nothing is sent.
func (v Verdict) Repeat() bool { return v.Event == 0 && v.Identify == 0 }

// Known is what makes a record a repeat. The zero value means nothing.
type Known struct {
	State KnownState
	// At is a time in milliseconds since the Unix epoch: for a delivered event, when it was last reported, with a
	// precision of one second; for one on its way, its own time.
	At int64
}

// KnownState is where an event is.
type KnownState uint8

const (
	// Unknown means that nothing is known about it.
	Unknown KnownState = iota
	// Delivered means that Amplitude has it.
	Delivered
	// OnItsWay means that the next component, or an exporter, has it.
	OnItsWay
	// SameBatch means that an earlier record of the same batch reports it.
	SameBatch
)
