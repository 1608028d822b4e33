// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package dedup // import "github.com/otelcol-amplitude/otelcol-amplitude/processor/amplitudeexperimentprocessor/internal/dedup"

// Record is one experiment result to decide about.
type Record struct {
	// User and Device are the ids that the record names itself; at least one is present.
	User, Device ID
	// Event is the hash of subject and result. With the day it is the FACT: an event goes out once per FACT. The zero
	// ID says that the record is no event and only sets user properties, as a $identify does.
	Event ID
	// Day numbers the window of the event's own time, by default the UTC day.
	Day int32
	// Time is the event's own time in milliseconds since the Unix epoch.
	Time int64
	// From and To are the range of the record's flags in the flags of the batch. A record for whose properties the
	// ledger does not speak has none.
	From, To int32
}

// Flag is the user property that a record sets for one flag.
type Flag struct {
	// Key is a hash of the flag key.
	Key uint64
	// Value is a hash of the variant, or 0 if the property is unset.
	Value uint64
}

// Decision says what becomes of one flag of a record.
type Decision uint8

const (
	// Operate says that the event of the record carries the operation of this flag.
	Operate Decision = 1 << iota
	// Repair says that the $identify of the record carries the operation of this flag.
	Repair
	// Late says that the flag is older than what is known, and is left out of all operations.
	Late
	// Changed says that the property had another value before.
	Changed
	// Flapping says that the property changes too often, and is left as it is.
	Flapping
)

// Verdict is the answer to one Record. A record that becomes neither an event nor a $identify is a repeat.
type Verdict struct {
	// Event and Identify are what goes out, as the number of the copy in the Reservation counted from 1, 0 for none.
	// The $identify comes right behind the event.
	Event, Identify int32
	// Late says that none of the record's flags moves a property, because all of them are late.
	Late bool
}

// Repeat tells that nothing goes out.
func (v Verdict) Repeat() bool { return v.Event == 0 && v.Identify == 0 }

// Known is what makes a record a repeat. The zero value is nothing.
type Known struct {
	State KnownState
	// At is, in milliseconds since the Unix epoch, when an event that was delivered was last told, to the second; of one on
	// its way it is the event's own time.
	At int64
}

// KnownState says where an event is.
type KnownState uint8

const (
	// Unknown says that nothing of it is known.
	Unknown KnownState = iota
	// Delivered says that Amplitude has it.
	Delivered
	// OnItsWay says that the next component, or an exporter, has it.
	OnItsWay
	// SameBatch says that a record before it in the same batch tells it.
	SameBatch
)
