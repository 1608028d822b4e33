// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package experiment // import "github.com/otelcol-amplitude/otelcol-amplitude/internal/experiment"

// evaluation reads a flag evaluation and decides whether it was an exposure: the convention produces a record for every
// evaluation, including those of disabled flags and those that failed.
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
	if v.isTrue(fieldDefaultMarker) {
		r.trace.rule("default_marker", "skipped", "an attribute of evaluation.default_marker is true: the application's default was served")
		return skipped(SkipDefault)
	}
	known := p.presets.of(v.text(fieldProvider))
	r.trace.preset(p.set, known, v.text(fieldProvider))
	if why, isSkipped := p.skipsReason(v, r, known); isSkipped {
		return skipped(why)
	}
	m := recordMetadata(v)
	if m.dontTrack {
		r.trace.dontTrack()
		return skipped(SkipTrackExposure)
	}
	if variant := v.text(fieldVariant); known.isVariation(variant) {
		flag.Variant = variant
	} else {
		r.trace.rule("variant", "not taken", known.word+" gives every user the variant "+variant)
	}
	if v.found(fieldValue) && (flag.Variant == "" || p.set.Evaluation.PreferValue) {
		if flag.Variant == "" && known.servesDefault(v) {
			r.trace.rule("variant", "skipped", "there is no variant, no reason, and "+known.word+" gives the application's own default like this")
			return skipped(SkipDefault)
		}
		r.trace.valueForVariant(v.text(fieldValue), flag.Variant != "")
		flag.Variant = v.text(fieldValue)
		r.value = flag.Variant
	}
	switch {
	case flag.Variant == "":
		r.trace.rule("variant", "skipped", "no attribute gives a variant, and no value can be used instead")
		return skipped(SkipNoVariant)
	case !fits:
		return rejected(RejectLongFlagKey)
	}
	if v.found(fieldDefaultMarker) && !m.hasDefault {
		m.hasDefault = true // and it is false
	}
	r.withoutReason = !v.found(fieldReason) && !v.found(fieldInExperiment)
	return p.finishExposure(v, r, flag, &m)
}

// skipsReason reports whether the reason of an evaluation means that the user was not assigned to a variant.
func (p *parser) skipsReason(v *fieldValues, r *parsedRecord, known *preset) (why SkipReason, skip bool) {
	reason := v.text(fieldReason)
	why, listed := p.reasons.of(p.skipReasons, reason)
	ofPreset := false
	if !listed && !p.set.OwnSkipReasons {
		why, listed = known.skips(reason)
		ofPreset = listed
	}
	inExperiment := v.isTrue(fieldInExperiment)
	if listed && !inExperiment && known.countsFalse(why, v) {
		r.trace.rule("reason", "counts", "the value is a boolean, of which "+known.word+" says disabled where it is false")
		return why, false
	}
	r.trace.reason(p.set, reason, listed, inExperiment, ofPreset)
	return why, listed && !inExperiment
}
