// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package explain // import "github.com/otelcol-amplitude/otelcol-amplitude/internal/experiment/explain"

import (
	"slices"
	"strings"
)

// Why says why a record became what it is: the rule that decided, or what de-duplication knew; "" for an ordinary
// event.
func (x *Explanation) Why() string {
	var why []string
	for _, rule := range x.Rules {
		switch {
		case rule.About == "other_records", rule.About == "rejected", rule.Result == "skipped":
			why = append(why, rule.Because)
		}
	}
	if len(why) == 0 && x.Outcome == "skipped" {
		why = append(why, x.missing()...)
	}
	if x.Outcome == "rejected" {
		why = append(why, x.refused()...)
	}
	for i := range x.Events {
		switch e := &x.Events[i]; e.Verdict {
		case VerdictRepeat, VerdictLate:
			if because := e.Because; !slices.Contains(why, because) {
				why = append(why, because)
			}
		}
	}
	return strings.Join(why, "; ")
}

// missing lists the facts that were not found.
func (x *Explanation) missing() (all []string) {
	for i := range x.Facts {
		switch f := &x.Facts[i]; f.Name {
		case "flag_key", "variant", "variants":
			if f.From == nil && f.Value == "" {
				all = append(all, "no "+f.Name+": looked for "+strings.Join(f.LookedFor, ", "))
			}
		case "error.type":
			all = append(all, "error.type is "+f.Value)
		}
	}
	return all
}

// refused lists the values that were found but could not be used.
func (x *Explanation) refused() (all []string) {
	for i := range x.Facts {
		f := &x.Facts[i]
		if f.From != nil {
			continue
		}
		for _, other := range f.Others {
			if other.Refused != "" {
				all = append(all, f.Name+" "+orQuotes(other.Value)+" from "+other.Name+" is refused: "+other.Refused)
			}
		}
	}
	return all
}
