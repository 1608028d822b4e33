// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudeexperimentprocessor // import "github.com/otelcol-amplitude/otelcol-amplitude/processor/amplitudeexperimentprocessor"

import "strings"

// evaluation reads a flag evaluation and decides whether it was an exposure: the convention asks
// for a record per evaluation, also of flags that are off, and of evaluations that failed.
func (in *interpreter) evaluation(_ *scratch, g *gathered, f *facts) {
	f.outcome = outcomeExposure
	found, fits := readFlagKey(g, f)
	if !found {
		f.skipped(skipNoFlagKey)
		return
	}
	if g.slots[fieldErrorType].found() {
		f.skipped(skipErrorType)
		return
	}
	inExperiment := g.slots[fieldInExperiment].found() && g.slots[fieldInExperiment].number == 1
	if reason := &g.slots[fieldReason]; reason.found() && !inExperiment {
		if why, skip := in.skipReasons[strings.ToLower(strings.TrimSpace(reason.text))]; skip {
			f.skipped(why)
			return
		}
	}
	m := recordMetadata(g)
	if m.dontTrack {
		f.skipped(skipTrackExposure)
		return
	}
	f.variant = g.slots[fieldVariant].ref()
	if value := &g.slots[fieldValue]; value.found() && (f.variant.text == "" || in.cfg.Evaluation.PreferValue) {
		f.variant = value.ref()
	}
	switch {
	case f.variant.text == "":
		f.skipped(skipNoVariant)
	case !fits:
		f.rejected(rejectLongFlagKey)
	default:
		in.finishExposure(g, f, &m)
	}
}
