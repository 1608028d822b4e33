// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package sandbox // import "github.com/otelcol-amplitude/otelcol-amplitude/sandbox"

import (
	"strings"
	"time"
)

// Verdict is what became of an event.
type Verdict string

// Verdicts.
const (
	Stored    Verdict = "stored"
	Duplicate Verdict = "duplicate"
	Identify  Verdict = "identify"  // changed properties, is not an event
	Dropped   Verdict = "dropped"   // accepted, then discarded: a blocked or deleted event type
	Invalid   Verdict = "invalid"   // refused because of one of its fields
	Throttled Verdict = "throttled" // refused for the rate or quota of its user or device
	Silenced  Verdict = "silenced"  // refused because its device is silenced
	Refused   Verdict = "refused"   // valid, but refused with the rest of its request
)

// Verdicts lists every verdict.
var Verdicts = []Verdict{Stored, Duplicate, Identify, Dropped, Invalid, Throttled, Silenced, Refused}

// entry is one event with its verdict. It does not change once it is in the store.
type entry struct {
	seq        uint64
	project    *project
	request    uint64
	index      int
	receivedAt time.Time
	eventTime  int64 // ms
	verdict    Verdict
	reason     string // why it is not stored, in words
	problems   []Problem
	endpoint   string

	event  string // the event, as stored or as received
	before string // the event as received, when the stored one differs

	eventType, userID, deviceID, insertID string
	derived                               bool
	amplitudeID                           int64
	flags                                 []string
	variant                               string
	run                                   string // experiment key
	firstSeq                              uint64 // the first copy of a duplicate
	firstAt                               time.Time
	changes                               []Change
	warnings                              []string
}

func (e *entry) size() int64 {
	const overhead, listCost = 512, 16
	n := int64(len(e.event)+len(e.before)+len(e.variant)+len(e.run)) + overhead
	for _, flag := range e.flags {
		n += listCost + int64(len(flag))
	}
	for i := range e.changes {
		n += e.changes[i].size()
	}
	for _, text := range e.warnings {
		n += listCost + int64(len(text))
	}
	return n
}

// filter selects entries; empty members select everything.
type filter struct {
	userID, deviceID, eventType, flag, text string
	verdicts                                map[Verdict]bool // nil: all
	after, before                           uint64           // exclusive bounds of seq, 0: none
	request                                 uint64
}

func (f *filter) matches(e *entry) bool {
	switch {
	case f.verdicts != nil && !f.verdicts[e.verdict],
		e.seq <= f.after,
		f.before != 0 && e.seq >= f.before,
		f.request != 0 && e.request != f.request,
		f.userID != "" && e.userID != f.userID,
		f.deviceID != "" && e.deviceID != f.deviceID,
		f.eventType != "" && e.eventType != f.eventType,
		f.flag != "" && !contains(e.flags, f.flag):
		return false
	}
	return f.text == "" || containsFold(e.userID, f.text) || containsFold(e.deviceID, f.text) ||
		containsFold(e.eventType, f.text) || containsFold(e.event, f.text)
}

func contains(list []string, s string) bool {
	for _, x := range list {
		if x == s {
			return true
		}
	}
	return false
}

// containsFold reports whether s contains lower, ignoring case.
func containsFold(s, lower string) bool {
	return strings.Contains(s, lower) || strings.Contains(strings.ToLower(s), lower)
}
