// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package experiment // import "github.com/otelcol-amplitude/otelcol-amplitude/internal/experiment"

import "strings"

// evaluation reads a flag evaluation and decides whether it was an exposure: the convention asks
// for a record per evaluation, also of flags that are off, and of evaluations that failed.
func (p *parser) evaluation(v *fieldValues, r *parsedRecord, flag *Flag) decision {
	found, fits := readFlagKey(v, flag)
	if !found {
		r.trace.rule("flag_key", "skipped", "no attribute gives a flag key")
		return skipped(SkipNoFlagKey)
	}
	if v.found(fieldErrorType) {
		r.trace.rule("error_type", "skipped", "error.type is set: the evaluation failed, the application used its default")
		return skipped(SkipErrorType)
	}
	reason := v.text(fieldReason)
	why, listed := p.reasons.of(p.skipReasons, reason)
	r.trace.reason(reason, listed, v.isTrue(fieldInExperiment))
	if listed && !v.isTrue(fieldInExperiment) {
		return skipped(why)
	}
	m := recordMetadata(v)
	if m.dontTrack {
		r.trace.dontTrack()
		return skipped(SkipTrackExposure)
	}
	flag.Variant = v.text(fieldVariant)
	if v.found(fieldValue) && (flag.Variant == "" || p.set.Evaluation.PreferValue) {
		r.trace.valueForVariant(v.text(fieldValue), flag.Variant != "")
		flag.Variant = v.text(fieldValue)
		r.value = flag.Variant
	}
	switch {
	case flag.Variant == "":
		r.trace.rule("variant", "skipped", "no attribute gives a variant, and no value can stand for it")
		return skipped(SkipNoVariant)
	case !fits:
		return rejected(RejectLongFlagKey)
	default:
		return p.finishExposure(v, r, flag, &m)
	}
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
		m.why, m.skip = reasons[strings.ToLower(strings.TrimSpace(reason))]
	}
	return m.why, m.skip
}
