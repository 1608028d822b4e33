// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudeexperimentprocessor // import "github.com/otelcol-amplitude/otelcol-amplitude/processor/amplitudeexperimentprocessor"

import (
	"math"
	"slices"
	"strconv"
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/amplitude"
)

// idProblem says why an id was treated as absent.
type idProblem uint8

const (
	idOK idProblem = iota
	idEmpty
	idPlaceholder
	idShort
	idLong
	idNotAnID
	numIDProblems
)

var idProblemOf = [...]idProblem{
	amplitude.IDOK:          idOK,
	amplitude.IDEmpty:       idEmpty,
	amplitude.IDPlaceholder: idPlaceholder,
	amplitude.IDTooShort:    idShort,
	amplitude.IDTooLong:     idLong,
}

// readID returns an id that Amplitude takes: trimmed text, or the digits of a whole number.
func readID(value pcommon.Value, minLength int) (string, idProblem) {
	var text string
	switch value.Type() {
	case pcommon.ValueTypeStr:
		text = validText(value.Str())
	case pcommon.ValueTypeInt, pcommon.ValueTypeDouble:
		digits, ok := wholeNumber(value)
		if !ok {
			return "", idNotAnID
		}
		text = digits
	default:
		return "", idNotAnID
	}
	id, problem := amplitude.CheckID(text, minLength)
	if problem != amplitude.IDOK {
		return "", idProblemOf[problem]
	}
	return id, idOK
}

// A session id is the start of the session in milliseconds; anything outside this range is in
// another unit, or no time at all (September 2001 to December 2099).
const (
	minSessionMillis = 1_000_000_000_000
	maxSessionMillis = 4_100_000_000_000
	sessionDigits    = 13
)

// sessionMillis reads a session id given as a whole number, or as its digits.
func sessionMillis(value pcommon.Value) (int64, bool) {
	var ms int64
	switch value.Type() {
	case pcommon.ValueTypeInt:
		ms = value.Int()
	case pcommon.ValueTypeDouble:
		number := value.Double()
		if number != math.Trunc(number) || number < minSessionMillis || number > maxSessionMillis {
			return 0, false
		}
		ms = int64(number)
	case pcommon.ValueTypeStr:
		digits := strings.TrimSpace(value.Str())
		if len(digits) != sessionDigits {
			return 0, false // most session ids are no numbers; a failed parse allocates its error
		}
		parsed, err := strconv.ParseInt(digits, 10, 64)
		if err != nil {
			return 0, false
		}
		ms = parsed
	default:
		return 0, false
	}
	return ms, ms >= minSessionMillis && ms <= maxSessionMillis
}

// group is one group type of an event with its values, at least one, in the order given.
type group struct {
	kind   string
	values []string
}

// groupReader collects the groups of a record within Amplitude's limits: types in sorted order,
// the first five, and ten values over all.
type groupReader struct {
	// types are the configured group types, sorted, as the fields are numbered.
	types []string
}

// read appends the groups that g tells to groups.
func (r *groupReader) read(g *gathered, groups []group) []group {
	if g.answered&groupFields == 0 && len(g.flat) == 0 {
		return groups
	}
	start := len(groups)
	add := func(kind string, value pcommon.Value) {
		kind = limitedKey(kind)
		if strings.TrimSpace(kind) == "" || slices.ContainsFunc(groups[start:], func(one group) bool { return one.kind == kind }) {
			return
		}
		if values := groupValues(value); len(values) > 0 {
			groups = append(groups, group{kind: kind, values: values})
		}
	}
	for i, kind := range r.types {
		if of := fieldGroup + field(i); g.found(of) {
			add(kind, g.slots[of].value)
		}
	}
	for _, entry := range g.flat {
		if entry.field == fieldFlatGroup {
			add(entry.name[len(amplitude.AttrGroupsPrefix):], entry.value)
		}
	}
	if g.found(fieldGroups) {
		for kind, value := range g.slots[fieldGroups].value.Map().All() {
			add(kind, value)
		}
	}
	if len(groups) == start {
		return groups
	}
	found := groups[start:]
	slices.SortFunc(found, func(a, b group) int { return strings.Compare(a.kind, b.kind) })
	found = found[:min(len(found), amplitude.MaxGroupTypes)]
	left := amplitude.MaxGroupValues
	for i := range found {
		found[i].values = found[i].values[:min(len(found[i].values), left)]
		if left -= len(found[i].values); left == 0 {
			found = found[:i+1]
			break
		}
	}
	return groups[:start+len(found)]
}

// groupValues reads a group value, or a list of them; blank and repeated ones do not count.
func groupValues(value pcommon.Value) []string {
	var values []string
	add := func(v pcommon.Value) {
		text, ok := scalarText(v)
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
