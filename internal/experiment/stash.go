// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package experiment // import "github.com/otelcol-amplitude/otelcol-amplitude/internal/experiment"

import (
	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/steps"
)

// The values that are set aside while a record is rewritten.
const (
	stashFlagKey = iota
	stashVariant
	stashExperimentKey
	stashUserID
	stashDeviceID
	stashMetadata
	stashCurrency
	// stashAmount is the first of amountFields.
	stashAmount
	numStash = stashAmount + len(amountFields)
)

// stash sets aside the strings of an event whose attributes are about to be removed, so that they can be moved to their
// new names instead of being copied.
type stash struct {
	values [numStash]pcommon.Value
	full   [numStash]bool
	event  *Event
	// flag is the flag of an exposure; it is empty for an assignment.
	flag    *Flag
	nothing pcommon.Value
}

var noFlag = &Flag{}

func newStash() stash {
	s := stash{nothing: pcommon.NewValueEmpty()}
	for i := range s.values {
		s.values[i] = pcommon.NewValueEmpty()
	}
	return s
}

// begin starts an event. Its metadata is stashed at once.
func (s *stash) begin(e *Event) {
	s.full = [numStash]bool{}
	s.event, s.flag = e, noFlag
	if e.kind != kindAssignment && e.kind != kindOutcome {
		s.flag = &e.Flags[0]
	}
	if e.hasMetadata {
		e.metadata.MoveTo(s.values[stashMetadata])
	}
}

// take stashes the value of an attribute to be removed, if it is a string of the event.
func (s *stash) take(value pcommon.Value) {
	if value.Type() != pcommon.ValueTypeStr {
		s.takeAmount(value)
		return
	}
	var place int
	switch text := value.Str(); {
	case text == "":
		return
	case text == s.event.UserID && !s.full[stashUserID]:
		place = stashUserID
	case text == s.flag.Key && !s.full[stashFlagKey]:
		place = stashFlagKey
	case text == s.flag.Variant && !s.full[stashVariant]:
		place = stashVariant
	case text == s.event.DeviceID && !s.full[stashDeviceID]:
		place = stashDeviceID
	case text == s.event.ExperimentKey && !s.full[stashExperimentKey]:
		place = stashExperimentKey
	case text == s.event.currency && !s.full[stashCurrency]:
		place = stashCurrency
	default:
		return
	}
	value.MoveTo(s.values[place])
	s.full[place] = true
}

// takeAmount stashes a number that is one of an outcome's, in the type that the event has it in.
func (s *stash) takeAmount(value pcommon.Value) {
	for i, one := range amountFields {
		if s.event.given&(1<<i) == 0 || s.full[stashAmount+i] {
			continue
		}
		if one.whole && value.Type() == pcommon.ValueTypeInt && value.Int() == int64(s.event.amounts[i]) ||
			!one.whole && value.Type() == pcommon.ValueTypeDouble && value.Double() == s.event.amounts[i] {
			value.MoveTo(s.values[stashAmount+i])
			s.full[stashAmount+i] = true
			return
		}
	}
}

// putAmount moves a stashed number to an attribute of the event, or writes it there.
func (s *stash) putAmount(i int, to pcommon.Value) {
	switch place := stashAmount + i; {
	case s.full[place]:
		s.values[place].MoveTo(to)
		s.full[place] = false
	case amountFields[i].whole:
		to.SetInt(int64(s.event.amounts[i]))
	default:
		to.SetDouble(s.event.amounts[i])
	}
}

// takeAll empties the attributes of a record.
func (s *stash) takeAll(attributes pcommon.Map) {
	steps.Add(attributes.Len())
	attributes.RemoveIf(func(_ string, value pcommon.Value) bool {
		s.take(value)
		return true
	})
}

// put moves a stashed string to an attribute of the event, or writes it there.
func (s *stash) put(place int, text string, to pcommon.Value) {
	if s.full[place] {
		s.values[place].MoveTo(to)
		s.full[place] = false
		return
	}
	to.SetStr(text)
}

// empty drops the event and its strings.
func (s *stash) empty() {
	s.event, s.flag = nil, nil
	for i := range s.values {
		s.nothing.MoveTo(s.values[i])
	}
}
