// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudeexperimentprocessor // import "github.com/otelcol-amplitude/otelcol-amplitude/processor/amplitudeexperimentprocessor"

import "strings"

// evaluation reads a flag evaluation and decides whether it was an exposure: the convention asks
// for a record per evaluation, also of flags that are off, and of evaluations that failed.
func (in *interpreter) evaluation(s *scratch, g *gathered, f *facts) {
	f.outcome = outcomeExposure
	found, fits := readFlagKey(g, f)
	if !found {
		f.skipped(skipNoFlagKey)
		f.trace.rule("flag_key", "skipped", "no attribute gives a flag key")
		return
	}
	if g.found(fieldErrorType) {
		f.skipped(skipErrorType)
		f.trace.rule("error_type", "skipped", "error.type is set: the evaluation failed, the application used its default")
		return
	}
	reason := g.text(fieldReason)
	why, listed := s.reasons.of(in, reason)
	f.trace.reason(reason, listed, g.isTrue(fieldInExperiment))
	if listed && !g.isTrue(fieldInExperiment) {
		f.skipped(why)
		return
	}
	m := recordMetadata(g)
	if m.dontTrack {
		f.skipped(skipTrackExposure)
		f.trace.dontTrack()
		return
	}
	f.variant = g.text(fieldVariant)
	if g.found(fieldValue) && (f.variant == "" || in.cfg.Evaluation.PreferValue) {
		f.trace.valueForVariant(g.text(fieldValue), f.variant != "")
		f.variant = g.text(fieldValue)
		f.value = f.variant
	}
	switch {
	case f.variant == "":
		f.skipped(skipNoVariant)
		f.trace.rule("variant", "skipped", "no attribute gives a variant, and no value can stand for it")
	case !fits:
		f.rejected(rejectLongFlagKey)
	default:
		in.finishExposure(g, f, &m)
	}
}

// reasonMemo remembers the last reason: neighbours mostly have the same.
type reasonMemo struct {
	reason string
	why    skipReason
	skip   bool
}

func (m *reasonMemo) of(in *interpreter, reason string) (why skipReason, skip bool) {
	if m.reason != reason {
		m.reason = strings.Clone(reason) // the record's own text would keep its whole request in memory
		m.why, m.skip = in.skipReasons[strings.ToLower(strings.TrimSpace(reason))]
	}
	return m.why, m.skip
}
