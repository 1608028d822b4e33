// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudeexperimentprocessor // import "github.com/otelcol-amplitude/otelcol-amplitude/processor/amplitudeexperimentprocessor"

// exposure reads a record that says outright that a user met a variant.
func (in *interpreter) exposure(g *gathered, f *facts) {
	f.outcome = outcomeExposure
	found, fits := readFlagKey(g, f)
	switch {
	case !found:
		f.rejected(rejectNoFlagKey)
		return
	case !fits:
		f.rejected(rejectLongFlagKey)
		return
	}
	m := recordMetadata(g)
	if m.dontTrack {
		f.skipped(skipTrackExposure)
		f.trace.dontTrack()
		return
	}
	f.variant = g.text(fieldVariant)
	if f.variant == "" && g.badVariant {
		// To take it for no variant would take the user out of the experiment.
		f.rejected(rejectBadVariant)
		return
	}
	if g.inRecord(fieldMetadata) {
		f.metadata, f.hasMetadata = g.slots[fieldMetadata].value, true
	}
	in.finishExposure(g, f, &m)
}

// finishExposure does what explicit exposures and evaluations have in common.
func (in *interpreter) finishExposure(g *gathered, f *facts, m *flagMetadata) {
	f.noProperty = m.noProperty
	f.experimentKey = g.text(fieldExperimentKey)
	if f.experimentKey == "" {
		f.experimentKey = m.experimentKey
	}
	if f.unassigned, f.rule = in.isUnassigned(f.source, f.variant, m); f.unassigned {
		f.variant = ""
		f.outcome = outcomeUnexposure
		switch {
		case in.cfg.Exposure.Unassigned == unassignedDrop:
			f.skipped(skipUnassigned)
		case in.cfg.Exposure.Unassigned == unassignedIdentify && (f.noProperty || !in.cfg.SetUserProperties):
			f.skipped(skipNothingToSet)
		}
	}
	f.trace.unassigned(in.cfg, f)
}
