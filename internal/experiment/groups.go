// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package experiment // import "github.com/otelcol-amplitude/otelcol-amplitude/internal/experiment"

import (
	"slices"
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/amplitude"
)

// Group is one group type of an event with its values, at least one, in the order given.
type Group struct {
	Type   string
	Values []string
}

// appendGroups appends the groups that v tells, within Amplitude's limits: types in sorted order, the first five, and
// ten values over all. types are the configured group types, sorted, as the fields are numbered.
func appendGroups(groups []Group, types []string, v *fieldValues) []Group {
	if v.answered&groupFields == 0 && len(v.flat) == 0 {
		return groups
	}
	start := len(groups)
	add := func(groupType string, value pcommon.Value) {
		groupType = limitedKey(groupType)
		if strings.TrimSpace(groupType) == "" || slices.ContainsFunc(groups[start:], func(one Group) bool { return one.Type == groupType }) {
			return
		}
		if values := groupValues(value); len(values) > 0 {
			groups = append(groups, Group{Type: groupType, Values: values})
		}
	}
	for i, groupType := range types {
		if of := fieldGroup + field(i); v.found(of) {
			add(groupType, v.answers[of].value)
		}
	}
	for _, entry := range v.flat {
		if entry.field == fieldFlatGroup {
			add(entry.name[len(amplitude.AttrGroupsPrefix):], entry.value)
		}
	}
	if v.found(fieldGroups) {
		for groupType, value := range v.answers[fieldGroups].value.Map().All() {
			add(groupType, value)
		}
	}
	if len(groups) == start {
		return groups
	}
	found := groups[start:]
	slices.SortFunc(found, func(a, b Group) int { return strings.Compare(a.Type, b.Type) })
	found = found[:min(len(found), amplitude.MaxGroupTypes)]
	left := amplitude.MaxGroupValues
	for i := range found {
		found[i].Values = found[i].Values[:min(len(found[i].Values), left)]
		if left -= len(found[i].Values); left == 0 {
			found = found[:i+1]
			break
		}
	}
	return groups[:start+len(found)]
}

// groupValues reads a group value, or a list of them; blank and repeated ones do not count.
func groupValues(value pcommon.Value) []string {
	var values []string
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
		return values
	}
	for _, v := range value.Slice().All() {
		if len(values) == amplitude.MaxGroupValues {
			break
		}
		add(v)
	}
	return values
}
