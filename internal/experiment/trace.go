// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package experiment // import "github.com/otelcol-amplitude/otelcol-amplitude/internal/experiment"

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/amplitude"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/experiment/explain"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/printable"
)

// Trace puts decisions about one record into words where they are made. A nil Trace records nothing: almost no record
// has one, so code that has to do work for the words first checks for nil.
type Trace struct {
	x       *explain.Explanation
	history *explain.History
	// attributes are the names of the record's own attributes, which are lost when its event is written.
	attributes []string
	// watched: it is for tap clients, and not shown completely.
	watched bool
}

// startTrace returns the trace of a record, or nil if it is not to be explained.
func startTrace(recorder *explain.Recorder, record plog.LogRecord, resource, scope, position int) *Trace {
	if recorder == nil {
		return nil
	}
	x := recorder.Begin(record)
	if x == nil {
		return nil
	}
	x.Path = fmt.Sprintf("resourceLogs[%d].scopeLogs[%d].logRecords[%d]", resource, scope, position)
	t := &Trace{x: x, history: recorder.History}
	for name := range record.Attributes().All() {
		t.attributes = append(t.attributes, strings.Clone(name))
	}
	return t
}

func (t *Trace) rule(about, result, because string) {
	if t != nil {
		t.x.AddRule(about, result, because)
	}
}

// recognized notes by which name a record was recognized.
func (t *Trace) recognized(names *recognizer, record plog.LogRecord, as recordKind) {
	if t == nil {
		return
	}
	t.x.Recognized = explain.Recognized{As: kindNames[as]}
	seen := names.namesOf(record)
	chosen := 0 // the first, for a foreign record
	for i := range seen {
		if as != kindNone && names.isOurs(seen[i].name) {
			chosen = i
			break
		}
	}
	for i, one := range seen {
		if i == chosen {
			t.x.Recognized.EventName, t.x.Recognized.From = printable.Cut(one.name), one.where
			continue
		}
		t.x.Recognized.OtherNames = append(t.x.Recognized.OtherNames, explain.EventName{Name: printable.Cut(one.name), From: one.where})
	}
}

var kindNames = [numKinds]string{
	kindNone: "none", kindExposure: "exposure", kindEvaluation: "evaluation", kindAssignment: "assignment",
	kindImpression: "impression", kindIdentify: "identify", kindOutcome: "outcome",
}

// claimed notes an attribute that was stripped.
func (t *Trace) claimed(name string) {
	if t != nil {
		t.x.NotCarried = append(t.x.NotCarried, explain.NotCarried{Name: printable.Text(name), Because: "accept_shaped is false: applications may not set it"})
	}
}

// foreign notes what becomes of a foreign record.
func (t *Trace) foreign(m *Mapper, record plog.LogRecord) {
	if t == nil {
		return
	}
	t.recognized(m.names, record, kindNone)
	t.rule("other_records", m.set.OtherRecords, m.whyForeign(m.names.firstName(record), record))
	if m.set.OtherRecords == OtherDrop {
		t.x.Outcome = Dropped.String()
		return
	}
	t.x.Outcome = Passed.String()
	t.x.Events = []explain.Event{{Sent: true, Record: t.copyForeign(record)}}
}

// whyForeign says why a record is not recognized, and what it is close to.
func (m *Mapper) whyForeign(name string, record plog.LogRecord) string {
	set := m.set
	switch {
	case name == amplitude.EventIdentify:
		return "a $identify is recognized only if an edge Collector made it from an un-exposure"
	case !set.Evaluation.Enabled && slices.Contains(set.Evaluation.EventNames, name):
		return "evaluation.enabled is false"
	}
	kind, near, isNear := m.nearMisses.look(record)
	switch {
	case isNear && kind == SimilarEventName:
		return fmt.Sprintf("its event name is not in any event_names; names are compared exactly: did you mean %q?", near.Meant)
	case isNear && near.Found == near.Meant:
		return "it has no event name; an event name as the body does not count"
	case isNear:
		return fmt.Sprintf("it has no event name, though it has %s: did you mean %q?", printable.Text(near.Found), near.Meant)
	case name == "":
		return "it has no event name: neither EventName, nor " + strings.Join(m.set.EventName, ", nor ") + ", as an attribute or in a body that is a map"
	case set.Outcomes.enabled():
		return "its event name is neither in any event_names nor in outcomes.events"
	default:
		return "its event name is not in any event_names"
	}
}

// decided notes the result of reading a record.
func (t *Trace) decided(r *parsedRecord, flags []Flag, leftOut []leftOutFlag) {
	if t == nil {
		return
	}
	t.x.Outcome = r.outcome.String()
	switch r.outcome {
	case Skipped:
		t.x.Reason = r.skip.String()
	case Rejected:
		t.x.Reason, t.x.Hint = r.reject.String(), r.reject.Hint()
		t.rule("rejected", r.reject.String(), rejection(r.reject))
	}
	if r.kind != kindAssignment {
		return
	}
	for i := range flags {
		one := &flags[i]
		t.x.Flags = append(t.x.Flags, explain.FlagResult{
			Key: printable.Text(one.Key), Variant: printable.Text(one.Variant), Unassigned: one.Unassigned,
			Because: one.rule.because(r.kind, one.Unassigned), Details: printable.Text(one.details), NoProperty: one.NoProperty,
			Untracked: one.dontTrack,
		})
	}
	for _, one := range leftOut {
		t.x.Flags = append(t.x.Flags, explain.FlagResult{Key: printable.Text(one.key), LeftOut: one.reason.String()})
	}
}

// emits notes what the result of an evaluation becomes.
func (t *Trace) emits(set *Settings, exposures, flags int) {
	if t == nil {
		return
	}
	t.rule("assignment.emit", set.Assignment.Emit, fmt.Sprintf("%d of %d flags are exposed: the others are unassigned, or have metadata.trackExposure: false",
		exposures, flags))
}

// leftBehind notes which attributes of a record are not part of its event.
func (t *Trace) leftBehind(m *Mapper, kind recordKind, event plog.LogRecord) {
	sent := make(map[string]struct{}, event.Attributes().Len())
	for name := range event.Attributes().All() {
		sent[name] = struct{}{}
	}
	for _, name := range t.attributes {
		read := func(r ref) bool { return r.field != fieldProvider } // it only says how to read the others
		if slices.ContainsFunc(m.tables[kind].lookup(name), read) || slices.Contains(m.set.EventName, name) {
			continue
		}
		if _, same := sent[name]; same {
			continue
		}
		because := "a limit of Amplitude on event properties"
		switch {
		case !mayTravel(name):
			because = "attributes with this name are never sent"
		case kind == kindOutcome && !m.outcomeProperties.Match(name):
			because = "not in outcomes.properties"
		case kind != kindOutcome && !m.include.Match(name):
			because = "not in event_properties.include"
		}
		t.x.NotCarried = append(t.x.NotCarried, explain.NotCarried{Name: printable.Text(name), Because: because})
	}
}

// copyForeign copies a foreign record, which may be large: for tap clients, only its name and what is reported about
// it.
func (t *Trace) copyForeign(record plog.LogRecord) plog.LogRecord {
	if !t.watched {
		return copyRecord(record)
	}
	kept := plog.NewLogRecord()
	kept.SetEventName(record.EventName())
	record.Attributes().CopyTo(kept.Attributes())
	kept.Attributes().RemoveIf(func(name string, _ pcommon.Value) bool { return !strings.HasPrefix(name, amplitude.AttrPrefix) })
	return kept
}

func copyRecord(record plog.LogRecord) plog.LogRecord {
	kept := plog.NewLogRecord()
	record.CopyTo(kept)
	return kept
}

// because says what decided whether the user is in a variant.
func (r unassignedRule) because(kind recordKind, unassigned bool) string {
	section := kind
	if kind == kindImpression {
		section = kindExposure // which has the list
	}
	list := kindNames[section] + ".off_variants"
	switch {
	case r == ruleNone:
		return ""
	case r == ruleNoVariant:
		return "there is no variant"
	case r == ruleReshaped:
		return "the event that another Collector made says so"
	case r == ruleDefaultMarker:
		return fmt.Sprintf("the default marker, metadata.default, is %t", unassigned)
	case unassigned:
		return "no default marker, and the variant is in " + list
	default:
		return "no default marker, and the variant is not in " + list
	}
}

// rejection says briefly why a record was rejected; the hint says what to do.
func rejection(reason RejectReason) string {
	switch reason {
	case RejectNoID:
		return "no attribute gives an id"
	case RejectNoFlagKey:
		return "no attribute gives a flag key"
	case RejectLongFlagKey:
		return fmt.Sprintf("a flag key may have at most %d characters", maxFlagKey)
	case RejectBadVariant:
		return "the variant is not usable"
	case RejectBadMetadata, RejectBadVariants, RejectBadGroups:
		return "it is neither a map nor the text of a JSON object"
	case RejectPropertyLimit:
		return "max_experiment_properties flags are already known"
	case RejectFlagLimit:
		return "the assignment has more than limits.flags flags"
	case RejectSubjectLimit:
		return "the request has limits.subject_records records of the same user and flag before it"
	case RejectOutcomeLimit:
		return "outcomes.max_per_minute outcomes were already sent in this minute"
	case RejectInheritedLimit:
		return "the records of the request repeat more of their scopes and resources than limits.inherited_mib"
	default:
		return "no attribute gives an id that Amplitude accepts"
	}
}

// reason notes whether the reason of an evaluation lets it count.
func (t *Trace) reason(set *Settings, reason string, listed, inExperiment, ofPreset bool) {
	if t == nil {
		return
	}
	where := "evaluation.skip_reasons"
	if ofPreset {
		where = "the reasons that evaluation.preset " + set.Evaluation.Preset + " adds to it"
	}
	switch {
	case reason == "":
		t.rule("reason", "counts", "no reason is given")
	case !listed:
		t.rule("reason", "counts", fmt.Sprintf("%q is not in evaluation.skip_reasons", printable.Cut(reason)))
	case inExperiment:
		t.rule("reason", "counts", fmt.Sprintf("%q is in %s, but %s is true", printable.Cut(reason), where, attrInExperiment))
	default:
		t.rule("reason", "skipped", fmt.Sprintf("%q is in %s", printable.Cut(reason), where))
	}
}

// preset notes what is known about the provider beyond the conventions.
func (t *Trace) preset(set *Settings, known *preset, provider string) {
	switch {
	case t == nil || known == nil:
	case set.Evaluation.Preset == PresetAuto:
		t.rule("preset", known.word, fmt.Sprintf("evaluation.preset is auto, and the provider is %q", printable.Cut(provider)))
	default:
		t.rule("preset", known.word, "it is evaluation.preset")
	}
}

// superseded notes that another record reports the same evaluation.
func (t *Trace) superseded() {
	if t == nil {
		return
	}
	t.x.Outcome, t.x.Reason, t.x.Hint = Skipped.String(), SkipSuperseded.String(), ""
	t.rule("superseded", "skipped", "the same evaluation also came with the newer name "+EventEvaluation+", which decides")
}

// dontTrack notes that the application asks not to count an exposure.
func (t *Trace) dontTrack() {
	t.rule("track_exposure", "skipped", "metadata.trackExposure is false: the application asks not to count this one")
}

// valueForVariant notes that the value of a flag is used as its variant.
func (t *Trace) valueForVariant(value string, hasVariant bool) {
	switch {
	case t == nil:
	case hasVariant:
		t.rule("variant", printable.Text(value), "the value, since evaluation.prefer_value is set")
	default:
		t.rule("variant", printable.Text(value), "the value, since there is no variant")
	}
}

// unassigned notes whether the user of an exposure is in a variant, and what becomes of it if not.
func (t *Trace) unassigned(set *Settings, kind recordKind, flag *Flag, decided decision) {
	if t == nil {
		return
	}
	const about = "exposure.unassigned"
	chosen := set.Exposure.Unassigned
	if !flag.Unassigned {
		t.rule("unassigned", "no", flag.rule.because(kind, false))
		return
	}
	t.rule("unassigned", "yes", flag.rule.because(kind, true))
	switch {
	case decided == skipped(SkipUnassigned):
		t.rule(about, "skipped", "it is "+chosen)
	case decided == skipped(SkipNothingToSet):
		t.rule(about, "skipped", "it is "+chosen+", and there is no user property to unset")
	case chosen == UnassignedIdentify:
		t.rule(about, amplitude.EventIdentify, "it is "+chosen)
	}
}

// surroundings notes what an event says in addition to its flags.
func (t *Trace) surroundings(p *parser, r *parsedRecord, v *fieldValues, groups []Group, flags []Flag, record plog.LogRecord, now int64) {
	if t == nil {
		return
	}
	t.groups(groups)
	t.client(p.reader.resource, v, r)
	t.time(record.Timestamp(), record.ObservedTimestamp(), r.Time, now)
	if r.kind == kindOutcome {
		t.rule("user_property", "left alone", "an outcome sets none")
		return
	}
	t.property(p.set, r.kind, &flags[0])
}

// groups notes the groups of the event.
func (t *Trace) groups(groups []Group) {
	if len(groups) == 0 {
		return
	}
	var words []string
	for _, one := range groups {
		words = append(words, printable.Text(one.Type)+"="+printable.Text(strings.Join(one.Values, ",")))
	}
	t.rule("groups", strings.Join(words, " "), fmt.Sprintf("%d types and %d values at most", amplitude.MaxGroupTypes, amplitude.MaxGroupValues))
}

// client notes whose resource it is, and why the user's address is not used.
func (t *Trace) client(resource pcommon.Map, v *fieldValues, r *parsedRecord) {
	if v.found(fieldClientAddress) && r.ip == "" {
		because := "client.address is not an IP address"
		if !v.inRecord(fieldClientAddress) && r.client == nil {
			because = "client.address is on the resource of a server"
		}
		t.rule("ip", "none", because)
	}
	if r.client != nil {
		t.rule("client", "device and place", "the resource is that of a browser or device")
	} else if resource.Len() > 0 {
		t.rule("client", "none", "the resource is not a browser's or device's: it describes a server")
	}
}

// time notes which of its times an event has.
func (t *Trace) time(timestamp, observed pcommon.Timestamp, chosen, now int64) {
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

// property notes what becomes of the user property of an exposure.
func (t *Trace) property(set *Settings, kind recordKind, flag *Flag) {
	const about = "user_property"
	switch {
	case kind == kindImpression:
		t.rule(about, "left alone", "an impression sets none")
	case !set.setsProperties(kind):
		t.rule(about, "left alone", "set_user_properties is false")
	case kind == kindAssignment:
	case flag.NoProperty:
		t.rule(about, "left alone", "metadata.flagType is "+flagTypeMutualExcluded)
	case set.Exposure.Wire == WireRaw && (!flag.Unassigned || set.Exposure.Unassigned != UnassignedIdentify):
		t.rule(about, "left to Amplitude", "exposure.wire is raw: Amplitude sets it from $exposure")
	}
}
