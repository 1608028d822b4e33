// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudeexperimentprocessor // import "github.com/otelcol-amplitude/otelcol-amplitude/processor/amplitudeexperimentprocessor"

import (
	"fmt"
	"strings"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/amplitude"
)

// because puts into words what decided whether the user is in a variant.
func (r unassignedRule) because(of source, unassigned bool) string {
	list := sourceNames[of] + ".off_variants"
	switch {
	case r == ruleNone:
		return ""
	case r == ruleNoVariant:
		return "there is no variant"
	case r == ruleDefaultMarker:
		return fmt.Sprintf("the default marker, metadata.default, is %t", unassigned)
	case unassigned:
		return "no default marker, and the variant is in " + list
	default:
		return "no default marker, and the variant is not in " + list
	}
}

// rules tells the decisions about a record in the order in which they are made, as far as they got.
func (d *DryRun) rules(x *Explanation, o *original, g *gathered, s *scratch, f *facts, now int64) {
	if f.source == sourceEvaluation && !d.evaluationRules(x, g, f) {
		return
	}
	if f.outcome == outcomeSkipped {
		switch f.skip {
		case skipTrackExposure:
			x.rule("track_exposure", "skipped", "metadata.trackExposure is false: the application asks not to count this one")
			return
		case skipNoFlags:
			x.rule("flags", "skipped", "no attribute tells a flag")
			return
		}
	}
	if f.source == sourceEvaluation {
		d.variantRule(x, g, f)
	}
	d.unassignedRules(x, f)
	switch f.outcome {
	case outcomeSkipped:
		return
	case outcomeRejected:
		x.rule("rejected", rejectNames[f.reject], f.rejection())
		return
	}
	groupRule(x, s, f)
	clientRule(x, o, g, f)
	timeRule(x, o.record.Timestamp(), o.record.ObservedTimestamp(), f.time, now)
	d.propertyRule(x, f)
}

// rejection says in a few words why a record was rejected; the hint says what to do.
func (f *facts) rejection() string {
	switch f.reject {
	case rejectNoID:
		return "no attribute gives an id"
	case rejectNoFlagKey:
		return "no attribute gives a flag key"
	case rejectLongFlagKey:
		return fmt.Sprintf("a flag key may have %d characters", maxFlagKey)
	case rejectBadVariant:
		return "there is a variant, but it can be none"
	case rejectPropertyLimit:
		return "max_experiment_properties flags are known already"
	default:
		return "no attribute gives an id that Amplitude takes"
	}
}

// evaluationRules tells whether an evaluation counts, and false if it does not.
func (d *DryRun) evaluationRules(x *Explanation, g *gathered, f *facts) bool {
	skipped := f.outcome == outcomeSkipped
	switch {
	case skipped && f.skip == skipNoFlagKey:
		x.rule("flag_key", "skipped", "no attribute gives a flag key")
		return false
	case skipped && f.skip == skipErrorType:
		x.rule("error_type", "skipped", "error.type is set: the evaluation failed, the application used its default")
		return false
	case !g.found(fieldReason):
		x.rule("reason", "counts", "no reason is given")
		return true
	}
	reason := g.text(fieldReason)
	_, listed := d.aside.reasons.of(d.p.interpreter, reason)
	switch {
	case !listed:
		x.rule("reason", "counts", fmt.Sprintf("%q is not in evaluation.skip_reasons", reason))
	case g.isTrue(fieldInExperiment):
		x.rule("reason", "counts", fmt.Sprintf("%q is in evaluation.skip_reasons, but %s is true", reason, attrInExperiment))
	default:
		x.rule("reason", "skipped", fmt.Sprintf("%q is in evaluation.skip_reasons", reason))
		return false
	}
	return true
}

// variantRule tells what stands for the variant of an evaluation, if not the variant itself.
func (d *DryRun) variantRule(x *Explanation, g *gathered, f *facts) {
	switch {
	case f.outcome == outcomeSkipped && f.skip == skipNoVariant:
		x.rule("variant", "skipped", "no attribute gives a variant, and no value can stand for it")
	case f.value == "":
	case g.found(fieldVariant):
		x.rule("variant", shown(f.value), "the value, since evaluation.prefer_value is set")
	default:
		x.rule("variant", shown(f.value), "the value, since there is no variant")
	}
}

// unassignedRules tells whether the user is in a variant, and what becomes of it if not.
func (d *DryRun) unassignedRules(x *Explanation, f *facts) {
	if f.rule == ruleNone {
		return // not asked, or asked of each flag
	}
	x.rule("unassigned", yesNo(f.unassigned), f.rule.because(f.source, f.unassigned))
	if !f.unassigned {
		return
	}
	const about = "exposure.unassigned"
	chosen := d.p.cfg.Exposure.Unassigned
	switch {
	case f.outcome == outcomeSkipped && f.skip == skipUnassigned:
		x.rule(about, "skipped", "it is "+chosen)
	case f.outcome == outcomeSkipped && f.skip == skipNothingToSet:
		x.rule(about, "skipped", "it is "+chosen+", and there is no user property to unset")
	case chosen == unassignedIdentify:
		x.rule(about, amplitude.EventIdentify, "it is "+chosen)
	}
}

// groupRule tells the groups of the event.
func groupRule(x *Explanation, s *scratch, f *facts) {
	if f.groups.len() == 0 {
		return
	}
	var groups []string
	for _, one := range s.groups[f.groups.start:f.groups.end] {
		groups = append(groups, one.kind+"="+shown(strings.Join(one.values, ",")))
	}
	x.rule("groups", strings.Join(groups, " "), fmt.Sprintf("%d types and %d values at most", amplitude.MaxGroupTypes, amplitude.MaxGroupValues))
}

// clientRule tells whose resource it is, and why an address of the user is not taken.
func clientRule(x *Explanation, o *original, g *gathered, f *facts) {
	if g.found(fieldClientAddress) && f.ip == "" {
		because := "client.address is no IP address"
		if !g.inRecord(fieldClientAddress) && f.client == nil {
			because = "client.address stands on the resource of a server"
		}
		x.rule("ip", "none", because)
	}
	if f.client != nil {
		x.rule("client", "device and place", "the resource is that of a browser or device")
	} else if o.resource.Len() > 0 {
		x.rule("client", "none", "the resource is no browser's or device's: it describes a server")
	}
}

// timeRule tells which of its times an event has.
func timeRule(x *Explanation, timestamp, observed pcommon.Timestamp, chosen, now int64) {
	result := formatMillis(chosen)
	var why []string
	for _, one := range []struct {
		name string
		time pcommon.Timestamp
	}{{"Timestamp", timestamp}, {"ObservedTimestamp", observed}} {
		ms, ok := believedMillis(one.time, now)
		switch {
		case ok:
			x.rule("time", result, strings.Join(append(why, one.name), "; "))
			return
		case one.time == 0:
			why = append(why, "no "+one.name)
		case ms < earliestTime:
			why = append(why, one.name+" is before the year 2000")
		default:
			why = append(why, one.name+" is more than a day ahead")
		}
	}
	x.rule("time", result, strings.Join(append(why, "so the time of arrival"), "; "))
}

// propertyRule tells what becomes of the user property of an exposure.
func (d *DryRun) propertyRule(x *Explanation, f *facts) {
	const about = "user_property"
	switch {
	case !d.p.cfg.SetUserProperties:
		x.rule(about, "left alone", "set_user_properties is false")
	case f.source == sourceAssignment:
	case f.noProperty:
		x.rule(about, "left alone", "metadata.flagType is "+flagTypeMutualExcluded)
	case d.p.cfg.Exposure.Wire == wireRaw && (!f.unassigned || d.p.cfg.Exposure.Unassigned != unassignedIdentify):
		x.rule(about, "left to Amplitude", "exposure.wire is raw: Amplitude makes it of $exposure")
	}
}

func yesNo(yes bool) string {
	if yes {
		return "yes"
	}
	return "no"
}

func formatMillis(ms int64) string {
	return time.UnixMilli(ms).UTC().Format("2006-01-02T15:04:05.000Z")
}
