// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package experiment // import "github.com/otelcol-amplitude/otelcol-amplitude/internal/experiment"

import (
	"slices"
	"strings"
)

// notAssigned are the reasons, in lower case, that say that the user was assigned to no variant: what
// evaluation.skip_reasons is by default, and the words that metrics count by. A reason that providers also give to users
// who are in an experiment is none of them.
var notAssigned = map[string]SkipReason{
	// OpenFeature and OpenTelemetry.
	"error": SkipError, "disabled": SkipDisabled, "default": SkipDefault, "static": SkipStatic,
	// LaunchDarkly.
	"off": SkipOff, "prerequisite_failed": SkipPrerequisiteFailed,
	// GO Feature Flag.
	"offline": SkipOffline,
	// GrowthBook.
	"defaultvalue": SkipDefaultvalue, "unknownfeature": SkipUnknownfeature, "cyclicprerequisite": SkipCyclicprerequisite,
}

// spellings are what some providers call these reasons. One is skipped as what it spells is, or if it is configured itself.
var spellings = map[string]string{
	// Flipt: the enum EvaluationReason of its protocol, which its OpenFeature providers pass on.
	"default_evaluation_reason": "default", "flag_disabled_evaluation_reason": "disabled",
	"flag_not_found_evaluation_reason": "error", "error_evaluation_reason": "error",
	// Microsoft.FeatureManagement: VariantAssignmentReason.
	"defaultwhenenabled": "default", "defaultwhendisabled": "disabled",
}

// DefaultReason are the attributes that may hold the reason of an evaluation: OpenTelemetry's, LaunchDarkly's plugins, and
// two providers whose own telemetry has names of its own.
func DefaultReason() []string {
	return []string{
		"feature_flag.result.reason", "feature_flag.evaluation.reason", "feature_flag.result.reason.kind",
		"flipt.result.reason", "VariantAssignmentReason",
	}
}

// skipReasonOf returns the metric's word for an evaluation reason; those of a user's own share one.
func skipReasonOf(reason string) SkipReason {
	if spelled, ok := spellings[reason]; ok {
		reason = spelled
	}
	if why, ok := notAssigned[reason]; ok {
		return why
	}
	return SkipOtherReason
}

// saysNothing tells whether a reason leaves open why an evaluation came out as it did.
func saysNothing(reason string) bool {
	return slices.Contains([]string{"", "unknown", "none", "null"}, strings.ToLower(strings.TrimSpace(reason)))
}

// reasonMemo remembers the last reason: neighbors mostly have the same.
type reasonMemo struct {
	reason string
	why    SkipReason
	skip   bool
}

func (m *reasonMemo) of(reasons map[string]SkipReason, reason string) (why SkipReason, skip bool) {
	if m.reason != reason {
		m.reason = strings.Clone(reason) // the record's own text would keep its whole request in memory
		word := strings.ToLower(strings.TrimSpace(reason))
		if m.why, m.skip = reasons[word]; !m.skip {
			m.why, m.skip = reasons[spellings[word]]
		}
	}
	return m.why, m.skip
}
