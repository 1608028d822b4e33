// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package experiment // import "github.com/otelcol-amplitude/otelcol-amplitude/internal/experiment"

import (
	"cmp"
	"slices"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/amplitude"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/experiment/explain"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/printable"
)

// fieldNames are the configuration keys that list the attributes of a field, or the name of the attribute itself.
var fieldNames = [...]string{
	fieldFlagKey:               "flag_key",
	fieldVariant:               "variant",
	fieldValue:                 "value",
	fieldExperimentKey:         "experiment_key",
	fieldReason:                "reason",
	fieldProvider:              "provider",
	fieldDefaultMarker:         "default_marker",
	fieldErrorType:             "error.type",
	fieldInExperiment:          "in_experiment",
	fieldMetadata:              amplitude.RawMetadata,
	fieldMetadataDefault:       amplitude.RawMetadata + "." + metadataDefault,
	fieldMetadataTrack:         amplitude.RawMetadata + "." + metadataTrackExposure,
	fieldMetadataType:          amplitude.RawMetadata + "." + metadataFlagType,
	fieldMetadataEvent:         amplitude.RawMetadata + "." + metadataExposureEvent,
	fieldMetadataDelivery:      amplitude.RawMetadata + "." + metadataDeliveryMethod,
	fieldMetadataExperimentKey: amplitude.RawMetadata + "." + metadataExperimentKey,
	fieldVariants:              "variants",
	fieldEnvironment:           "environment",
	fieldUserID:                "user_id",
	fieldDeviceID:              "device_id",
	fieldContextID:             "context_id",
	fieldSessionID:             "session_id",
	fieldGroups:                "groups",
	fieldClientAddress:         attrClientAddress,
	fieldTracked:               "tracking.name",
	fieldOutcomeID:             "insert_id",
	fieldRevenue:               "revenue",
	fieldPrice:                 "price",
	fieldQuantity:              "quantity",
	fieldCurrency:              "currency",
}

func (m *Mapper) fieldName(f field) string {
	if f >= fieldGroup && int(f-fieldGroup) < len(m.groupTypes) {
		return "groups." + m.groupTypes[f-fieldGroup]
	}
	return fieldNames[f]
}

// isWanted reports whether the absence of a field is worth mentioning.
func isWanted(f field, kind recordKind) bool {
	switch f {
	case fieldFlagKey, fieldVariant:
		return kind == kindExposure || kind == kindEvaluation || kind == kindImpression
	case fieldVariants:
		return kind == kindAssignment
	case fieldUserID, fieldDeviceID:
		return true
	default:
		return false
	}
}

// candidate is an attribute that could give a field.
type candidate struct {
	explain.Attribute
	rank level
}

// fields notes which attribute gave each field, and what became of the others.
func (t *Trace) fields(p *parser, kind recordKind, record plog.LogRecord, body pcommon.Value, v *fieldValues) {
	if t == nil {
		return
	}
	found := candidates(&p.reader, kind, record, body)
	for f := range field(numFields) {
		if len(found[f]) == 0 && !isWanted(f, kind) {
			continue
		}
		fact := explain.Fact{Name: p.fieldName(f)}
		for _, c := range found[f] {
			if fact.From == nil && v.found(f) && c.rank == v.ranks[f] && c.Refused == "" {
				fact.From = &c.Attribute
				if fact.Value = v.answers[f].text; fact.Value == "" {
					fact.Value = c.Value
				}
				fact.Value = printable.Text(fact.Value)
				continue
			}
			fact.Others = append(fact.Others, c.Attribute)
		}
		if fact.From == nil {
			fact.LookedFor = p.tables[kind].namesOf(f)
		}
		t.x.Facts = append(t.x.Facts, fact)
	}
	t.contextField(v, readIdentity(&p.set.Identity, v))
}

// contextField notes that the flag context gave the id.
func (t *Trace) contextField(v *fieldValues, who Identity) {
	var stands field
	switch {
	case !v.found(fieldContextID):
		return
	case who.UserID != "" && !v.found(fieldUserID):
		stands = fieldUserID
	case who.DeviceID != "" && !v.found(fieldDeviceID):
		stands = fieldDeviceID
	default:
		return
	}
	at := func(f field) int {
		return slices.IndexFunc(t.x.Facts, func(one explain.Fact) bool { return one.Name == fieldNames[f] })
	}
	id, context := &t.x.Facts[at(stands)], t.x.Facts[at(fieldContextID)]
	id.Value, id.From, id.Via, id.LookedFor = context.Value, context.From, context.Name, nil
	id.Others = append(id.Others, context.Others...)
	t.x.Facts = slices.Delete(t.x.Facts, at(fieldContextID), at(fieldContextID)+1)
}

// candidates checks for each attribute separately whether it would be used.
func candidates(r *reader, kind recordKind, record plog.LogRecord, body pcommon.Value) (found [numFields][]candidate) {
	var where string
	var look func(at level, name string, value pcommon.Value)
	look = func(at level, name string, value pcommon.Value) {
		for _, to := range r.tables[kind].lookup(name) {
			if to.field == fieldInside || to.field == fieldEvent {
				if value.Type() == pcommon.ValueTypeMap && isOpen(to.field, at) {
					eachInside(to.field, at, name, value.Map(), look)
				}
				continue
			}
			if int(to.field) >= numFields || (to.bodyOnly && at != levelBody) {
				continue
			}
			if at&levelInEvent != 0 {
				name = fieldEventProperties + "." + name
			}
			var alone answer
			found[to.field] = append(found[to.field], candidate{
				Attribute: explain.Attribute{
					Name: printable.Text(name), Where: where, Value: printable.Text(value.AsString()),
					Refused: refusalNames[alone.read(to.field, value, r.ids)],
				},
				rank: at.place(to.place),
			})
		}
	}
	all := func(at level, of string, attributes pcommon.Map) {
		where = of
		for name, value := range attributes.All() {
			look(at, name, value)
		}
	}
	all(levelRecord, "record", record.Attributes())
	if body.Type() == pcommon.ValueTypeMap {
		all(levelBody, "body", body.Map())
	}
	all(levelScope, "scope", r.scope)
	all(levelResource, "resource", r.resource)
	for i := range found {
		slices.SortStableFunc(found[i], func(a, b candidate) int { return cmp.Compare(a.rank, b.rank) })
	}
	return found
}

// refusalNames say what is wrong with a refused value.
var refusalNames = [numRefusals]string{
	refusedNull:        "null",
	refusedBlank:       "blank",
	refusedNotBoolean:  "not a boolean",
	refusedNotMap:      "neither a map nor the text of a JSON object",
	refusedNotTime:     "not the milliseconds of a time",
	refusedNotName:     "blank, or neither text nor a whole number",
	refusedNotScalar:   "blank, or not a string, number or boolean",
	refusedNotNumber:   "not a number",
	refusedNotCurrency: "not a three-letter code",
	refusedNoOutcomeID: "a word for no id",
	refusedBadVariant:  rejectNames[RejectBadVariant],
	refusedEmptyID:     rejectNames[RejectEmptyID],
	refusedPlaceholder: rejectNames[RejectPlaceholderID],
	refusedShortID:     rejectNames[RejectShortID],
	refusedLongID:      rejectNames[RejectLongID],
	refusedNotAnID:     rejectNames[RejectNotAnID],
}

// namesOf returns the attributes that give a field, in order.
func (t *fieldTable) namesOf(f field) []string {
	type placed struct {
		name  string
		place uint8
	}
	var list []placed
	for name, refs := range t.refs {
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

// flagKey notes which attribute of a $identify names the flag.
func (t *Trace) flagKey(key, attribute string) {
	if t == nil {
		return
	}
	from := explain.Attribute{Name: printable.Text(attribute), Where: "record", Value: amplitude.UnsetValue}
	t.x.Facts = append(t.x.Facts, explain.Fact{Name: fieldNames[fieldFlagKey], Value: printable.Text(key), From: &from})
}

// shaped notes what an already shaped event says.
func (t *Trace) shaped(r *parsedRecord, flag *Flag) {
	if t == nil {
		return
	}
	t.x.Recognized.Shaped = true
	for _, one := range []struct {
		of   field
		text string
	}{
		{fieldFlagKey, flag.Key},
		{fieldVariant, flag.Variant},
		{fieldExperimentKey, r.ExperimentKey},
		{fieldUserID, r.UserID},
		{fieldDeviceID, r.DeviceID},
	} {
		if one.text != "" {
			t.x.Facts = append(t.x.Facts, explain.Fact{Name: fieldNames[one.of], Value: printable.Text(one.text)})
		}
	}
	t.rule("shaped", "kept", "it has "+amplitude.AttrInsertID+": another Collector made this event, and it is not changed")
}
