// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudeexperimentprocessor // import "github.com/otelcol-amplitude/otelcol-amplitude/processor/amplitudeexperimentprocessor"

import (
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/amplitude"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/experiment/explain"
)

// trace puts into words what is decided about one record, where it is decided. A nil trace is told nothing: almost no
// record has one, so a decision that costs something to put into words asks first whether there is one.
type trace struct {
	x       *explain.Explanation
	history *explain.History
	// attributes are the names of the record's own, which it loses when its event is written.
	attributes []string
	leftOut    []explain.FlagResult
}

// startTrace returns the trace of a record, or nil if it is not to be explained.
func startTrace(recorder *explain.Recorder, record plog.LogRecord, resource, scope, position int) *trace {
	if recorder == nil {
		return nil
	}
	x := recorder.Begin(record)
	if x == nil {
		return nil
	}
	x.Path = fmt.Sprintf("resourceLogs[%d].scopeLogs[%d].logRecords[%d]", resource, scope, position)
	t := &trace{x: x, history: recorder.History}
	for name := range record.Attributes().All() {
		t.attributes = append(t.attributes, strings.Clone(name))
	}
	return t
}

func (t *trace) rule(about, result, because string) {
	if t != nil {
		t.x.AddRule(about, result, because)
	}
}

// recognized says by which name a record was recognized.
func (t *trace) recognized(record plog.LogRecord, as source) {
	if t == nil {
		return
	}
	t.x.Recognized = explain.Recognized{As: sourceNames[as], EventName: strings.Clone(eventName(record))}
	if t.x.Recognized.EventName == "" {
		return
	}
	t.x.Recognized.From = "EventName"
	if record.EventName() == "" {
		t.x.Recognized.From = attrEventName
		if name, ok := record.Attributes().Get(attrOTelEventName); ok && name.AsString() == t.x.Recognized.EventName {
			t.x.Recognized.From = attrOTelEventName
		}
	}
}

var sourceNames = [numSources]string{
	sourceNone: "none", sourceExposure: "exposure", sourceEvaluation: "evaluation", sourceAssignment: "assignment",
	sourceIdentify: "identify",
}

// foreign tells what becomes of a record of others.
func (t *trace) foreign(in *interpreter, record plog.LogRecord) {
	if t == nil {
		return
	}
	t.recognized(record, sourceNone)
	t.rule("other_records", in.cfg.OtherRecords, in.whyForeign(t.x.Recognized.EventName, record))
	if in.cfg.OtherRecords == otherDrop {
		t.x.Outcome = outcomeNames[outcomeDropped]
		return
	}
	t.x.Outcome = outcomeNames[outcomePassed]
	t.x.Events = []explain.Event{{Sent: true, Record: copyRecord(record)}}
}

// whyForeign says why a record is none of ours, and what is nearly so.
func (in *interpreter) whyForeign(name string, record plog.LogRecord) string {
	cfg := &in.cfg.Evaluation
	switch {
	case name == amplitude.EventIdentify:
		return "an $identify is ours only if an edge Collector made it of an un-exposure"
	case !cfg.Enabled && slices.Contains(cfg.EventNames, name):
		return "evaluation.enabled is false"
	}
	kind, near, isNear := in.nearMisses.look(record)
	switch {
	case isNear && kind == nearSimilarName:
		return fmt.Sprintf("its event name is none of ours; names are compared exactly: did you mean %q?", near.meant)
	case isNear && near.found == near.meant:
		return "it has no event name; a name in the body does not count"
	case isNear:
		return fmt.Sprintf("it has no event name, though it has %s: did you mean %q?", near.found, near.meant)
	case name == "":
		return "it has no event name"
	default:
		return "its event name is none of ours"
	}
}

// decided tells how the reading of a record ended.
func (t *trace) decided(s *scratch, f *facts) {
	if t == nil {
		return
	}
	t.x.Outcome = outcomeNames[f.outcome]
	switch f.outcome {
	case outcomeSkipped:
		t.x.Reason = skipNames[f.skip]
	case outcomeRejected:
		t.x.Reason, t.x.Hint = rejectNames[f.reject], rejectHints[f.reject]
		t.rule("rejected", rejectNames[f.reject], f.rejection())
	}
	if f.source == sourceAssignment {
		for _, one := range s.flags[f.flags.start:f.flags.end] {
			t.x.Flags = append(t.x.Flags, explain.FlagResult{
				Key: shown(one.key), Variant: shown(one.variant.text), Unassigned: one.unassigned,
				Because: one.rule.because(f.source, one.unassigned), Details: strings.Clone(one.details), NoProperty: one.noProperty,
			})
		}
		t.x.Flags = append(t.x.Flags, t.leftOut...)
	}
}

// flagLeftOut tells of a flag of an assignment that the event does not tell.
func (t *trace) flagLeftOut(reason rejectReason, flag string) {
	if t != nil {
		t.leftOut = append(t.leftOut, explain.FlagResult{Key: shown(flag), LeftOut: rejectNames[reason]})
	}
}

// wrote tells which attributes of a record its event does not tell.
func (t *trace) wrote(sh *shaper, of source, event plog.LogRecord) {
	known := sh.tables[of]
	for _, name := range t.attributes {
		if len(known.lookup(name)) > 0 || name == attrEventName || name == attrOTelEventName {
			continue
		}
		if _, told := event.Attributes().Get(name); told {
			continue
		}
		because := "a limit of Amplitude on event properties"
		switch {
		case !mayTravel(name):
			because = "attributes of this name never travel"
		case !sh.include.Match(name):
			because = "not in event_properties.include"
		}
		t.x.NotCarried = append(t.x.NotCarried, explain.NotCarried{Name: name, Because: because})
	}
}

func copyRecord(record plog.LogRecord) plog.LogRecord {
	kept := plog.NewLogRecord()
	record.CopyTo(kept)
	return kept
}

// maxShown is how many bytes of a value an explanation shows.
const maxShown = 120

// shown cuts a text for display. What it returns keeps no request in memory.
func shown(text string) string {
	text = validText(text)
	if len(text) <= maxShown {
		return strings.Clone(text)
	}
	end := maxShown
	for !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end] + "…"
}

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

// reason tells whether the reason of an evaluation lets it count.
func (t *trace) reason(reason string, listed, inExperiment bool) {
	if t == nil {
		return
	}
	switch {
	case reason == "":
		t.rule("reason", "counts", "no reason is given")
	case !listed:
		t.rule("reason", "counts", fmt.Sprintf("%q is not in evaluation.skip_reasons", reason))
	case inExperiment:
		t.rule("reason", "counts", fmt.Sprintf("%q is in evaluation.skip_reasons, but %s is true", reason, attrInExperiment))
	default:
		t.rule("reason", "skipped", fmt.Sprintf("%q is in evaluation.skip_reasons", reason))
	}
}

// dontTrack tells that the application asks not to count an exposure.
func (t *trace) dontTrack() {
	t.rule("track_exposure", "skipped", "metadata.trackExposure is false: the application asks not to count this one")
}

// valueForVariant tells that the value of a flag stands for its variant.
func (t *trace) valueForVariant(value string, hasVariant bool) {
	switch {
	case t == nil:
	case hasVariant:
		t.rule("variant", shown(value), "the value, since evaluation.prefer_value is set")
	default:
		t.rule("variant", shown(value), "the value, since there is no variant")
	}
}

// unassigned tells whether the user is in a variant, and what becomes of it if not.
func (t *trace) unassigned(cfg *Config, f *facts) {
	if t == nil {
		return
	}
	const about = "exposure.unassigned"
	chosen := cfg.Exposure.Unassigned
	if !f.unassigned {
		t.rule("unassigned", "no", f.rule.because(f.source, false))
		return
	}
	t.rule("unassigned", "yes", f.rule.because(f.source, true))
	switch {
	case f.outcome == outcomeSkipped && f.skip == skipUnassigned:
		t.rule(about, "skipped", "it is "+chosen)
	case f.outcome == outcomeSkipped && f.skip == skipNothingToSet:
		t.rule(about, "skipped", "it is "+chosen+", and there is no user property to unset")
	case chosen == unassignedIdentify:
		t.rule(about, amplitude.EventIdentify, "it is "+chosen)
	}
}

// groups tells the groups of the event.
func (t *trace) groups(groups []group) {
	if t == nil || len(groups) == 0 {
		return
	}
	var told []string
	for _, one := range groups {
		told = append(told, one.kind+"="+shown(strings.Join(one.values, ",")))
	}
	t.rule("groups", strings.Join(told, " "), fmt.Sprintf("%d types and %d values at most", amplitude.MaxGroupTypes, amplitude.MaxGroupValues))
}

// client tells whose resource it is, and why an address of the user is not taken.
func (t *trace) client(resource pcommon.Map, g *gathered, f *facts) {
	if t == nil {
		return
	}
	if g.found(fieldClientAddress) && f.ip == "" {
		because := "client.address is no IP address"
		if !g.inRecord(fieldClientAddress) && f.client == nil {
			because = "client.address stands on the resource of a server"
		}
		t.rule("ip", "none", because)
	}
	if f.client != nil {
		t.rule("client", "device and place", "the resource is that of a browser or device")
	} else if resource.Len() > 0 {
		t.rule("client", "none", "the resource is no browser's or device's: it describes a server")
	}
}

// time tells which of its times an event has.
func (t *trace) time(timestamp, observed pcommon.Timestamp, chosen, now int64) {
	if t == nil {
		return
	}
	result := time.UnixMilli(chosen).UTC().Format("2006-01-02T15:04:05.000Z")
	var why []string
	for _, one := range []struct {
		name string
		time pcommon.Timestamp
	}{{"Timestamp", timestamp}, {"ObservedTimestamp", observed}} {
		ms, ok := believedMillis(one.time, now)
		switch {
		case ok:
			t.rule("time", result, strings.Join(append(why, one.name), "; "))
			return
		case one.time == 0:
			why = append(why, "no "+one.name)
		case ms < earliestTime:
			why = append(why, one.name+" is before the year 2000")
		default:
			why = append(why, one.name+" is more than a day ahead")
		}
	}
	t.rule("time", result, strings.Join(append(why, "so the time of arrival"), "; "))
}

// property tells what becomes of the user property of an exposure.
func (t *trace) property(cfg *Config, f *facts) {
	const about = "user_property"
	switch {
	case t == nil:
	case !cfg.SetUserProperties:
		t.rule(about, "left alone", "set_user_properties is false")
	case f.source == sourceAssignment:
	case f.noProperty:
		t.rule(about, "left alone", "metadata.flagType is "+flagTypeMutualExcluded)
	case cfg.Exposure.Wire == wireRaw && (!f.unassigned || cfg.Exposure.Unassigned != unassignedIdentify):
		t.rule(about, "left to Amplitude", "exposure.wire is raw: Amplitude makes it of $exposure")
	}
}
