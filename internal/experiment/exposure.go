// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package experiment // import "github.com/otelcol-amplitude/otelcol-amplitude/internal/experiment"

// exposure reads a record that explicitly says that a user was exposed to a variant.
func (p *parser) exposure(v *fieldValues, r *parsedRecord, flag *Flag) decision {
	found, fits := readFlagKey(v, flag)
	switch {
	case !found:
		return rejected(RejectNoFlagKey)
	case !fits:
		return rejected(RejectLongFlagKey)
	}
	m := recordMetadata(v)
	if m.dontTrack {
		r.trace.dontTrack()
		return skipped(SkipTrackExposure)
	}
	p.chooseEvent(r, &m)
	flag.Variant = v.text(fieldVariant)
	if flag.Variant == "" && v.badVariant {
		// Treating it as no variant would remove the user from the experiment.
		return rejected(RejectBadVariant)
	}
	if v.inRecord(fieldMetadata) {
		r.metadata, r.hasMetadata = v.answers[fieldMetadata].value, true
	}
	return p.finishExposure(v, r, flag, &m)
}

// finishExposure handles what explicit exposures and evaluations have in common.
func (p *parser) finishExposure(v *fieldValues, r *parsedRecord, flag *Flag, m *flagMetadata) decision {
	flag.NoProperty = m.noProperty || r.kind == kindImpression
	r.ExperimentKey = v.text(fieldExperimentKey)
	if r.ExperimentKey == "" {
		r.ExperimentKey = m.experimentKey
	}
	flag.Unassigned, flag.rule = p.isUnassigned(r.kind, flag.Variant, m)
	if r.reshaped {
		own := claimedProperties(v.claims)
		flag.reshape(own)
		if _, claimed := own[flag.Key]; r.propertyClaimed && !claimed {
			flag.NoProperty = true
		}
	}
	return p.decideExposure(r, flag)
}

// decideExposure decides what an exposure or un-exposure becomes.
func (p *parser) decideExposure(r *parsedRecord, flag *Flag) decision {
	decided := decision{outcome: Exposure}
	if r.kind == kindImpression {
		decided.outcome = Impression
	}
	if flag.Unassigned {
		flag.Variant = ""
		if r.kind != kindImpression {
			decided.outcome = Unexposure
		}
		switch {
		case p.set.Exposure.Unassigned == UnassignedDrop:
			decided = skipped(SkipUnassigned)
		case p.set.Exposure.Unassigned == UnassignedIdentify && (flag.NoProperty || !p.set.setsProperties(r.kind)):
			decided = skipped(SkipNothingToSet)
		}
	}
	r.trace.unassigned(p.set, r.kind, flag, decided)
	return decided
}
