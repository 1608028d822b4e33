// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package experiment // import "github.com/otelcol-amplitude/otelcol-amplitude/internal/experiment"

import (
	"strings"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/steps"
)

// Unless shaped events are accepted, a record that looks like an event from another Collector is read like any other.
// Only what it says about its own flags' properties, set or unset, decides whether the user is in the variant, so that
// the event is the same if the record really is what it looks like. Nothing else that it claims is trusted.

// identify reads the $identify that another Collector made from an un-exposure.
func (p *parser) identify(v *fieldValues, r *parsedRecord, flag *Flag) decision {
	for _, name := range v.claims {
		if key, ok := strings.CutPrefix(name, unsetExperiment); ok && key != "" {
			flag.Key = key
			r.trace.flagKey(key, name)
			break
		}
	}
	switch {
	case flag.Key == "":
		return rejected(RejectNoFlagKey)
	case tooLong(flag.Key, maxFlagKey):
		return rejected(RejectLongFlagKey)
	}
	r.ExperimentKey = v.text(fieldExperimentKey)
	flag.Unassigned, flag.rule = true, ruleReshaped
	return p.decideExposure(r, flag)
}

// claimedProperties returns the flags whose properties a record claims to unset (true) or set (false). The first claim
// for a flag wins.
func claimedProperties(claims []string) map[string]bool {
	own := make(map[string]bool, len(claims))
	steps.Add(len(claims))
	for _, name := range claims {
		key, unset := strings.CutPrefix(name, unsetExperiment)
		if !unset {
			var set bool
			if key, set = strings.CutPrefix(name, setExperiment); !set {
				continue
			}
		}
		if _, twice := own[key]; !twice {
			own[key] = unset
		}
	}
	return own
}

// reshape decides from a record's claim about a flag's property whether the user is in the variant, if there is such a
// claim.
func (f *Flag) reshape(own map[string]bool) {
	unset, known := own[f.Key]
	if known && f.rule != ruleDefaultMarker && (unset || f.Variant != "") {
		f.Unassigned, f.rule = unset, ruleReshaped
	}
}

// reshapeAll does so for the flags of an assignment. If some have a claimed property, the others have none; with
// onlyClaimed, a flag without a claim has no property at all.
func reshapeAll(flags []Flag, own map[string]bool, onlyClaimed bool) {
	for i := range flags {
		flags[i].reshape(own)
		if _, known := own[flags[i].Key]; !known && (onlyClaimed || len(own) > 0) {
			flags[i].NoProperty = true
		}
	}
}
