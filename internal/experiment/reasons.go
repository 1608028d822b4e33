// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package experiment // import "github.com/otelcol-amplitude/otelcol-amplitude/internal/experiment"

import (
	"slices"
	"strings"
)

// DefaultSkipReasons returns the reasons, in lower case, which mean that the user was not assigned to a variant: the
// default of evaluation.skip_reasons, and the values in metrics. Reasons that providers also give to users in an
// experiment do not belong here.
//
// Sources: error, disabled, default and static of OpenFeature and OpenTelemetry; off and prerequisite_failed of
// LaunchDarkly; offline of GO Feature Flag; defaultvalue, unknownfeature and cyclicprerequisite of GrowthBook.
func DefaultSkipReasons() []string {
	return slices.Clone(skipNames[SkipError : SkipPrerequisiteFailed+1])
}

// notAssigned are these reasons, each with itself in metrics.
var notAssigned = func() map[string]SkipReason {
	reasons := map[string]SkipReason{}
	for reason := SkipError; reason <= SkipPrerequisiteFailed; reason++ {
		reasons[reason.String()] = reason
	}
	return reasons
}()

// spellings are other providers' spellings of these reasons. They are skipped like the reason they spell, or if
// configured themselves.
var spellings = map[string]string{
	// Flipt: the enum EvaluationReason of its protocol, which its OpenFeature providers pass on.
	"default_evaluation_reason": "default", "flag_disabled_evaluation_reason": "disabled",
	"flag_not_found_evaluation_reason": "error", "error_evaluation_reason": "error",
	// Microsoft.FeatureManagement: VariantAssignmentReason.
	"defaultwhenenabled": "default", "defaultwhendisabled": "disabled",
}

// DefaultReason returns the attributes that may hold the reason of an evaluation: OpenTelemetry's, those of
// LaunchDarkly's plugins, and of two providers whose telemetry has its own names.
func DefaultReason() []string {
	return []string{
		"feature_flag.result.reason", "feature_flag.evaluation.reason", "feature_flag.result.reason.kind",
		"flipt.result.reason", "VariantAssignmentReason",
	}
}

// skipReasonOf returns the reason in metrics for an evaluation reason; configured ones share one.
func skipReasonOf(reason string) SkipReason {
	if spelled, ok := spellings[reason]; ok {
		reason = spelled
	}
	if why, ok := notAssigned[reason]; ok {
		return why
	}
	return SkipOtherReason
}

// saysNothing reports whether a reason does not explain the result of an evaluation.
func saysNothing(reason string) bool {
	return slices.Contains([]string{"", "unknown", "none", "null"}, strings.ToLower(strings.TrimSpace(reason)))
}

// reasonMemo caches the last reason, because neighbors usually have the same.
type reasonMemo struct {
	reason string
	why    SkipReason
	skip   bool
}

func (m *reasonMemo) of(reasons map[string]SkipReason, reason string) (why SkipReason, skip bool) {
	if m.reason != reason {
		m.reason = strings.Clone(reason) // the record's own string would keep its whole request in memory
		word := strings.ToLower(strings.TrimSpace(reason))
		if m.why, m.skip = reasons[word]; !m.skip {
			m.why, m.skip = reasons[spellings[word]]
		}
	}
	return m.why, m.skip
}
