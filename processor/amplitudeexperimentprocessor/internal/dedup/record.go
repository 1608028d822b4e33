// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package dedup // import "github.com/otelcol-amplitude/otelcol-amplitude/processor/amplitudeexperimentprocessor/internal/dedup"

// Key identifies a subject: a 128-bit hash made by the caller from an unambiguous encoding.
type Key [16]byte

// Record is one experiment result to decide about.
type Record struct {
	// Subject says who was evaluated for what.
	Subject Key
	// Result is a hash of what came out: the variant with its unassigned marker, or the whole result of an assignment.
	Result uint64
	// Bucket numbers the window of the event's own time, by default the UTC day.
	Bucket int32
	// Time is the event's own time in milliseconds since the Unix epoch.
	Time int64
}

// Outcome is what to do with a record.
type Outcome uint8

const (
	// Send says that it is a new state of its subject. The event goes out.
	Send Outcome = iota
	// Repeat says that the state is known and was delivered. The record is dropped.
	Repeat
	// Late says that it is older than the newest of its subject and another state. The event goes out
	// for the history, and must not touch the user's properties.
	Late
)

// Verdict is the answer to one Record.
type Verdict struct {
	Outcome Outcome
	// Transition numbers the change of result within the bucket, from 0. It is wide enough never to
	// wrap within a bucket: two changes of one subject never share a number.
	Transition uint32
	// Changed reports that the subject's last known result, in whatever bucket, was another one.
	Changed bool
}
