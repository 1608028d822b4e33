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
		return
	}
	if g.found(fieldErrorType) {
		f.skipped(skipErrorType)
		return
	}
	if reason := g.text(fieldReason); reason != "" && !g.isTrue(fieldInExperiment) {
		if why, skip := s.reasons.of(in, reason); skip {
			f.skipped(why)
			return
		}
	}
	m := recordMetadata(g)
	if m.dontTrack {
		f.skipped(skipTrackExposure)
		return
	}
	f.variant = g.text(fieldVariant)
	if g.found(fieldValue) && (f.variant == "" || in.cfg.Evaluation.PreferValue) {
		f.variant = g.text(fieldValue)
		f.value = f.variant
	}
	switch {
	case f.variant == "":
		f.skipped(skipNoVariant)
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
