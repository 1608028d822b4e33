// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package tap // import "github.com/otelcol-amplitude/otelcol-amplitude/internal/tap"

import (
	"net/url"
	"slices"
	"strings"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/experiment"
)

// Filter says what a watcher wants to be told of; what is empty leaves all through.
type Filter struct {
	Outcomes, Reasons []string
	// Service, Flag and User are compared exactly; User is a user or device id, or what masks one.
	Service, Flag, User string
}

// filterOf reads a filter from a query.
func filterOf(query url.Values) Filter {
	list := func(name string) (all []string) {
		for _, value := range query[name] {
			for one := range strings.SplitSeq(value, ",") {
				if one = strings.TrimSpace(one); one != "" {
					all = append(all, one)
				}
			}
		}
		return all
	}
	text := func(name string) string { return strings.TrimSpace(query.Get(name)) }
	return Filter{Outcomes: list("outcome"), Reasons: list("reason"), Service: text("service"), Flag: text("flag"), User: text("user")}
}

// String says it for the log, without the user.
func (f *Filter) String() string {
	query := url.Values{}
	for name, value := range map[string]string{
		"outcome": strings.Join(f.Outcomes, ","), "reason": strings.Join(f.Reasons, ","), "service": f.Service, "flag": f.Flag,
	} {
		if value != "" {
			query.Set(name, value)
		}
	}
	if f.User != "" {
		query.Set("user", "*")
	}
	return query.Encode()
}

// takes tells whether an outcome is wanted.
func (f *Filter) takes(outcome string) bool {
	return len(f.Outcomes) == 0 || slices.Contains(f.Outcomes, outcome)
}

// takesClass tells whether a record of this outcome and reason may be wanted. Any may still be refused by the next component.
// An outcome of "" is one that is not known.
func (f *Filter) takesClass(outcome, reason string) bool {
	return (outcome == "" || f.takes(outcome) || slices.Contains(f.Outcomes, OutcomeRefused)) &&
		(len(f.Reasons) == 0 || slices.Contains(f.Reasons, reason))
}

// looksCloser tells whether the class alone does not decide.
func (f *Filter) looksCloser() bool { return f.Service != "" || f.Flag != "" || f.User != "" }

// mayMatch tells whether a record of this class can match: others have neither a flag nor an id that was read.
func (f *Filter) mayMatch(class uint8) bool {
	return !experiment.ClassIsOthers(class) || (f.Flag == "" && f.User == "")
}

// matches compares the rest of a record as the processor decided about it.
func (f *Filter) matches(one *experiment.Decided) bool {
	switch {
	case f.Service != "" && f.Service != serviceOf(one):
		return false
	case f.Flag != "" && !slices.ContainsFunc(one.Flags, func(flag experiment.Flag) bool { return flag.Key == f.Flag }):
		return false
	}
	return f.User == "" || f.isUser(one.UserID) || f.isUser(one.DeviceID)
}

func (f *Filter) isUser(id string) bool {
	return id != "" && (id == f.User || (strings.HasPrefix(f.User, "id:") && Mask(id) == f.User))
}
