// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package tap // import "github.com/otelcol-amplitude/otelcol-amplitude/internal/tap"

import (
	"net/url"
	"slices"
	"strings"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/experiment"
)

// Filter selects what a watcher wants; empty fields select everything.
type Filter struct {
	Outcomes, Reasons []string
	// Service, Flag and User must match exactly; User is a user or device id, or its masked form.
	Service, Flag, User string
}

// filterOf parses a filter from a query.
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

// String returns the filter for logs, without the user.
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

// takes reports whether an outcome is wanted.
func (f *Filter) takes(outcome string) bool {
	return len(f.Outcomes) == 0 || slices.Contains(f.Outcomes, outcome)
}

// takesClass reports whether a record with this outcome and reason may be wanted. The next component may still refuse
// any of them. An outcome of "" is not known.
func (f *Filter) takesClass(outcome, reason string) bool {
	return (outcome == "" || f.takes(outcome) || slices.Contains(f.Outcomes, OutcomeRefused)) &&
		(len(f.Reasons) == 0 || slices.Contains(f.Reasons, reason))
}

// looksCloser reports whether the class alone does not decide.
func (f *Filter) looksCloser() bool { return f.Service != "" || f.Flag != "" || f.User != "" }

// mayMatch reports whether a record of this class can match: no flag or id was read from foreign records.
func (f *Filter) mayMatch(class uint8) bool {
	return !experiment.ClassIsOthers(class) || (f.Flag == "" && f.User == "")
}

// matches compares the rest of a decided record.
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
