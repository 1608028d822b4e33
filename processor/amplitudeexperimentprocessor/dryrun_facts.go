// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudeexperimentprocessor // import "github.com/otelcol-amplitude/otelcol-amplitude/processor/amplitudeexperimentprocessor"

import (
	"cmp"
	"slices"
	"unicode/utf8"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/amplitude"
)

// maxShown is how many bytes of a value an explanation shows.
const maxShown = 120

// fieldNames are the keys of the configuration that list the attributes of a field, or what the attribute itself is called.
var fieldNames = [...]string{
	fieldFlagKey:               "flag_key",
	fieldVariant:               "variant",
	fieldValue:                 "value",
	fieldExperimentKey:         "experiment_key",
	fieldReason:                "reason",
	fieldErrorType:             "error.type",
	fieldInExperiment:          "in_experiment",
	fieldMetadata:              amplitude.RawMetadata,
	fieldMetadataDefault:       amplitude.RawMetadata + "." + metadataDefault,
	fieldMetadataTrack:         amplitude.RawMetadata + "." + metadataTrackExposure,
	fieldMetadataType:          amplitude.RawMetadata + "." + metadataFlagType,
	fieldMetadataExperimentKey: amplitude.RawMetadata + "." + metadataExperimentKey,
	fieldVariants:              "variants",
	fieldEnvironment:           "environment",
	fieldUserID:                "user_id",
	fieldDeviceID:              "device_id",
	fieldContextID:             "context_id",
	fieldSessionID:             "session_id",
	fieldGroups:                "groups",
	fieldClientAddress:         attrClientAddress,
}

func (in *interpreter) fieldName(f field) string {
	if f >= fieldGroup && int(f-fieldGroup) < len(in.groupTypes) {
		return "groups." + in.groupTypes[f-fieldGroup]
	}
	return fieldNames[f]
}

// isWanted tells whether a field is worth a word when nothing gives it.
func isWanted(f field, of source) bool {
	switch f {
	case fieldFlagKey, fieldVariant:
		return of != sourceAssignment
	case fieldVariants:
		return of == sourceAssignment
	case fieldUserID, fieldDeviceID:
		return true
	default:
		return false
	}
}

// recognised says by which name a record was recognised.
func (d *DryRun) recognised(x *Explanation, record plog.LogRecord) {
	of := d.p.interpreter.names.recognise(record)
	if of == sourceIdentify && !isShaped(of, record) {
		of = sourceNone
	}
	x.Recognised = Recognised{As: sourceNames[of], EventName: eventName(record)}
	if x.Recognised.EventName == "" {
		return
	}
	x.Recognised.From = "EventName"
	if record.EventName() == "" {
		x.Recognised.From = attrEventName
		if name, ok := record.Attributes().Get(attrOTelEventName); ok && name.AsString() == x.Recognised.EventName {
			x.Recognised.From = attrOTelEventName
		}
	}
}

var sourceNames = [numSources]string{
	sourceNone: "none", sourceExposure: "exposure", sourceEvaluation: "evaluation", sourceAssignment: "assignment",
	sourceIdentify: "identify",
}

// candidate is an attribute that could give a field.
type candidate struct {
	Attribute
	rank level
}

// gather reads a record as the processor did, and tells for each fact which attribute gave it and what
// became of the others.
func (d *DryRun) gather(x *Explanation, o *original, f *facts) *gathered {
	in := d.p.interpreter
	d.aside.reader.enterResource(o.resource)
	d.aside.reader.enterScope(o.scope)
	g := d.aside.reader.gather(f.source, o.record.Attributes(), o.record.Body())
	found := d.candidates(f.source, o)
	for of := range field(numFields) {
		if len(found[of]) == 0 && !isWanted(of, f.source) {
			continue
		}
		fact := Fact{Name: in.fieldName(of)}
		for _, c := range found[of] {
			if fact.From == nil && g.found(of) && c.rank == g.ranks[of] && c.Refused == "" {
				fact.From = &c.Attribute
				if fact.Value = g.slots[of].text; fact.Value == "" {
					fact.Value = c.Value
				}
				fact.Value = shown(fact.Value)
				continue
			}
			fact.Others = append(fact.Others, c.Attribute)
		}
		if fact.From == nil {
			fact.LookedFor = d.namesOf(f.source, of)
		}
		x.Facts = append(x.Facts, fact)
	}
	d.contextFact(x, g)
	return g
}

// contextFact says of the id that the flag context stands for that it gives it.
func (d *DryRun) contextFact(x *Explanation, g *gathered) {
	in := d.p.interpreter
	var who facts
	d.aside.groups = d.aside.groups[:0]
	if in.identify(d.aside, g, &who); !g.found(fieldContextID) {
		return
	}
	var stands field
	switch {
	case who.userID != "" && !g.found(fieldUserID):
		stands = fieldUserID
	case who.deviceID != "" && !g.found(fieldDeviceID):
		stands = fieldDeviceID
	default:
		return
	}
	at := func(of field) int {
		return slices.IndexFunc(x.Facts, func(one Fact) bool { return one.Name == fieldNames[of] })
	}
	id, context := &x.Facts[at(stands)], x.Facts[at(fieldContextID)]
	id.Value, id.From, id.Via, id.LookedFor = context.Value, context.From, context.Name, nil
	id.Others = append(id.Others, context.Others...)
	x.Facts = slices.Delete(x.Facts, at(fieldContextID), at(fieldContextID)+1)
}

// candidates asks of each attribute on its own whether the processor would take it.
func (d *DryRun) candidates(of source, o *original) (found [numFields][]candidate) {
	table := d.p.interpreter.tables[of]
	look := func(at level, where string, attributes pcommon.Map) {
		for name, value := range attributes.All() {
			for _, to := range table.lookup(name) {
				if int(to.field) >= numFields || (to.bodyOnly && at != levelBody) {
					continue
				}
				alone := gathered{}
				d.aside.reader.offer(&alone, to, at, name, value)
				c := candidate{
					Attribute: Attribute{Name: name, Where: where, Value: shown(value.AsString())},
					rank:      at | level(to.place),
				}
				if !alone.found(to.field) {
					c.Refused = refusal(to.field, value, &alone)
				}
				found[to.field] = append(found[to.field], c)
			}
		}
	}
	look(levelRecord, "record", o.record.Attributes())
	if o.record.Body().Type() == pcommon.ValueTypeMap {
		look(levelBody, "body", o.record.Body().Map())
	}
	look(levelScope, "scope", o.scope)
	look(levelResource, "resource", o.resource)
	for i := range found {
		slices.SortStableFunc(found[i], func(a, b candidate) int { return cmp.Compare(a.rank, b.rank) })
	}
	return found
}

// refusal names what is wrong with a value that a field does not take.
func refusal(of field, value pcommon.Value, alone *gathered) string {
	if value.Type() == pcommon.ValueTypeEmpty {
		return "null"
	}
	switch of {
	case fieldUserID, fieldDeviceID, fieldContextID:
		return rejectNames[rejectReasonOfID(alone.idProblem)]
	case fieldVariant, fieldValue:
		if _, state := variantText(value, of == fieldValue); state == variantBad {
			return rejectNames[rejectBadVariant]
		}
		return "blank"
	case fieldInExperiment, fieldMetadataDefault, fieldMetadataTrack:
		return "not a boolean"
	case fieldMetadata, fieldVariants, fieldGroups:
		return "not a map"
	case fieldSessionID:
		return "not the milliseconds of a time"
	case fieldFlagKey, fieldExperimentKey, fieldMetadataExperimentKey, fieldEnvironment:
		return "blank, or neither text nor a whole number"
	default:
		return "blank, or no text, number or boolean"
	}
}

// namesOf returns the attributes that give a field, in order.
func (d *DryRun) namesOf(of source, f field) []string {
	type placed struct {
		name  string
		place uint8
	}
	var list []placed
	for name, refs := range d.p.interpreter.tables[of].refs {
		for _, to := range refs {
			if to.field == f {
				list = append(list, placed{name, to.place})
			}
		}
	}
	slices.SortFunc(list, func(a, b placed) int {
		return cmp.Or(cmp.Compare(a.place, b.place), cmp.Compare(a.name, b.name))
	})
	names := make([]string, len(list))
	for i := range list {
		names[i] = list[i].name
	}
	return names
}

// shapedFacts tells what an event that came shaped says.
func (*DryRun) shapedFacts(x *Explanation, f *facts) {
	for _, one := range []struct {
		of   field
		text string
	}{
		{fieldFlagKey, f.flagKey},
		{fieldVariant, f.variant},
		{fieldExperimentKey, f.experimentKey},
		{fieldUserID, f.userID},
		{fieldDeviceID, f.deviceID},
	} {
		if one.text != "" {
			x.Facts = append(x.Facts, Fact{Name: fieldNames[one.of], Value: shown(one.text)})
		}
	}
	x.rule("shaped", "kept", "it has "+amplitude.AttrInsertID+": another Collector made this event, and it stays as it is")
}

// flags tells each flag of an assignment.
func (*DryRun) flags(x *Explanation, s *scratch, f *facts, leftOut []FlagResult) {
	if f.source != sourceAssignment {
		return
	}
	for _, one := range s.flags[f.flags.start:f.flags.end] {
		x.Flags = append(x.Flags, FlagResult{
			Key: shown(one.key), Variant: shown(one.variant.text), Unassigned: one.unassigned,
			Because: one.rule.because(f.source, one.unassigned), Details: one.details, NoProperty: one.noProperty,
		})
	}
	for _, one := range leftOut {
		one.Key = shown(one.Key)
		x.Flags = append(x.Flags, one)
	}
}

// notCarried tells which attributes of a record its event does not tell.
func (d *DryRun) notCarried(x *Explanation, record plog.LogRecord) {
	if x.Recognised.Shaped || len(x.Events) == 0 || x.Events[0].Verdict == "" || !x.Events[0].Sent {
		return
	}
	table := d.p.interpreter.tables[d.p.interpreter.names.recognise(record)]
	for name := range record.Attributes().All() {
		if len(table.lookup(name)) > 0 || name == attrEventName || name == attrOTelEventName {
			continue
		}
		if _, told := x.Events[0].Record.Attributes().Get(name); told {
			continue
		}
		because := "a limit of Amplitude on event properties"
		switch include := d.p.shaper.include; {
		case !mayTravel(name):
			because = "attributes of this name never travel"
		case include == nil || !include.match(name):
			because = "not in event_properties.include"
		}
		x.NotCarried = append(x.NotCarried, NotCarried{Name: name, Because: because})
	}
}

// shown cuts a text for display.
func shown(text string) string {
	text = validText(text)
	if len(text) <= maxShown {
		return text
	}
	end := maxShown
	for !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end] + "…"
}
