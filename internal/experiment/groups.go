// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package experiment // import "github.com/otelcol-amplitude/otelcol-amplitude/internal/experiment"

import (
	"slices"
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/amplitude"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/steps"
)

// Group is one group type of an event with its values, at least one, in the order given.
type Group struct {
	Type   string
	Values []string
}

// appendGroups appends the groups in v, within Amplitude's limits: the first five types in sorted order, and ten values
// in total. types are the configured group types, sorted, as the fields are numbered. It returns how many groups and
// values were left out.
func appendGroups(groups []Group, types []string, v *fieldValues) (all []Group, leftOut int) {
	if v.answered&groupFields == 0 && len(v.flat) == 0 {
		return groups, 0
	}
	set := groupSet{list: groups, start: len(groups)}
	for i, groupType := range types {
		if of := fieldGroup + field(i); v.found(of) {
			set.add(groupType, func() ([]string, int) { return v.answers[of].values, v.answers[of].leftOut })
		}
	}
	steps.Add(len(v.flat))
	for _, entry := range v.flat {
		if entry.field == fieldFlatGroup {
			set.add(entry.name[len(amplitude.AttrGroupsPrefix):], func() ([]string, int) { return groupValues(entry.value) })
		}
	}
	if v.found(fieldGroups) {
		for _, one := range v.groups {
			set.add(one.Type, func() ([]string, int) { return one.Values, 0 })
		}
		set.leftOut += v.answers[fieldGroups].leftOut
	}
	return set.end()
}

// readGroups reads a map of groups: the first types in sorted order, as many as an event may have, and how many were
// left out.
func readGroups(m pcommon.Map) (groups []Group, leftOut int) {
	var set groupSet
	steps.Add(m.Len())
	for groupType, value := range m.All() {
		set.add(groupType, func() ([]string, int) { return groupValues(value) })
	}
	return set.list, set.leftOut
}

// groupSet collects the groups of one event at the end of a list, sorted by type. The first value of a duplicate type
// wins. If there are more types than Amplitude accepts, the first in sorted order are kept.
type groupSet struct {
	list    []Group
	start   int
	leftOut int
}

// add adds a group; its values are read only if its type is kept.
func (s *groupSet) add(groupType string, read func() (values []string, leftOut int)) {
	groupType = limitedKey(groupType)
	if strings.TrimSpace(groupType) == "" {
		return
	}
	own := s.list[s.start:]
	at, twice := slices.BinarySearchFunc(own, groupType, func(one Group, other string) int {
		steps.Add(1)
		return strings.Compare(one.Type, other)
	})
	switch {
	case twice:
		return
	case at == amplitude.MaxGroupTypes:
		s.leftOut++
		return
	}
	values, leftOut := read()
	if s.leftOut += leftOut; len(values) == 0 {
		return
	}
	if len(own) == amplitude.MaxGroupTypes {
		s.list = s.list[:len(s.list)-1]
		s.leftOut++
	}
	s.list = slices.Insert(s.list, s.start+at, Group{Type: groupType, Values: values})
}

// end cuts the values to as many as an event may have over all its groups.
func (s *groupSet) end() (groups []Group, leftOut int) {
	left := amplitude.MaxGroupValues
	found := s.list[s.start:]
	for i := range found {
		kept := min(len(found[i].Values), left)
		s.leftOut += len(found[i].Values) - kept
		if left -= kept; kept == 0 {
			clear(found[i:])
			return s.list[:s.start+i], s.leftOut
		}
		found[i].Values = found[i].Values[:kept]
	}
	return s.list, s.leftOut
}

// groupValues reads a group value, or a list of them, and returns how many were left out; blank and duplicate ones do
// not count.
func groupValues(value pcommon.Value) (values []string, leftOut int) {
	add := func(one pcommon.Value) {
		text, ok := scalarText(one)
		if !ok || strings.TrimSpace(text) == "" {
			return
		}
		if text = amplitude.Truncate(text, amplitude.MaxStringLength); !slices.Contains(values, text) {
			values = append(values, text)
		}
	}
	if value.Type() != pcommon.ValueTypeSlice {
		add(value)
		return values, 0
	}
	list := value.Slice()
	steps.Add(list.Len())
	for i, v := range list.All() {
		if len(values) == amplitude.MaxGroupValues {
			return values, list.Len() - i
		}
		add(v)
	}
	return values, 0
}
