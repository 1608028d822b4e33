// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package experiment // import "github.com/otelcol-amplitude/otelcol-amplitude/internal/experiment"

import (
	"slices"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/amplitude"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/steps"
)

// indexRange is a range of indexes of a list that the records of a batch share.
type indexRange struct{ start, end int32 }

func (r indexRange) len() int { return int(r.end - r.start) }

// Flag is what came out for one flag.
type Flag struct {
	Key string
	// Variant is the variant key; of an exposure it is empty if the user is in none.
	Variant string
	// Unassigned: the user is in no variant.
	Unassigned bool
	// NoProperty: the flag has no user property (a mutual exclusion group).
	NoProperty bool
	// LeftOut and Repair are given by the caller between Read and Write: the event does not carry the operation on the
	// user property, and the $identify behind it does.
	LeftOut, Repair bool

	// movable: the variant can be moved from variantValue, where it stands, instead of being copied.
	movable bool
	// noKey: there is no variant key, but a value that stands for it, or nothing.
	noKey bool
	// dontTrack: the application asks not to count an exposure of the flag.
	dontTrack bool
	// rule is what decided about Unassigned.
	rule unassignedRule
	// exposure numbers, from 1, the exposure of a flag of an evaluation's result; 0 if there is none.
	exposure int32

	names        *flagNames
	variantValue pcommon.Value
	details      string
}

// exposureFacts are what an exposure says beside its flag.
type exposureFacts struct {
	ExperimentKey string
	// customEvent is the name that the flag's metadata gives the event, "" for Amplitude's own.
	customEvent string
	// metadata is the evaluation metadata.
	metadata    pcommon.Value
	hasMetadata bool
}

// parsedRecord is what a record says, and what is to become of it.
type parsedRecord struct {
	// trace is told what is decided; nil unless somebody asked.
	trace *Trace
	// position is the place of the record in its batch.
	position int
	kind     recordKind
	shaped   bool
	// reshaped: the record looks shaped, and is shaped anew. propertyClaimed: only the properties that it claims are its own.
	reshaped, propertyClaimed bool
	// older: an evaluation under the older of the conventions' names. withoutReason: one that tells no reason.
	older, withoutReason bool
	// skipsProperties: the record says itself that it must not touch the user's properties.
	skipsProperties bool
	decision

	Identity
	exposureFacts
	// Time is the time of the event in milliseconds since the Unix epoch.
	Time int64

	// outcomeFacts are those of an outcome.
	outcomeFacts

	// value is the variant if the flag's value stands for it.
	value       string
	environment string
	ip          string
	session     int64
	client      *clientFields

	// Ranges of the lists of the batch. An exposure has one flag; the result of an evaluation may have an exposure for each.
	flags     indexRange
	groups    indexRange
	exposures indexRange
	events    indexRange
}

// parser reads the records of a batch.
type parser struct {
	*Mapper
	reader  reader
	clients clientCache
	names   knownNames
	reasons reasonMemo
	presets presetFinder
	shapedProperties

	// Of all records; each has its ranges.
	flags  []Flag
	groups []Group
	// leftOut are the flags of assignments that cannot be told.
	leftOut []leftOutFlag
	// exposures are those of the flags of assignments.
	exposures []flagExposure
	claims    Claims
	stripped  []stripped

	// maxFlags is how long flags may get with the record in hand. exposes: its flags become exposures.
	maxFlags int
	exposes  bool
	// inherited is how much the records copied of what they inherit, in bytes, against the budget of the batch.
	inherited     int
	groupsLeftOut int
	suspects      [NumIDSuspects]int
	// places and given are what sorting works in.
	places []flagPlace
	given  []Flag
}

// leftOutFlag is a flag of an assignment that cannot be told, with the reason.
type leftOutFlag struct {
	key    string
	reason RejectReason
}

// parse reads one recognized record, with its body, into r, of which trace, position and what it was recognized as are set.
// now is the time of arrival in milliseconds.
func (p *parser) parse(r *parsedRecord, record plog.LogRecord, body pcommon.Value, now int64) {
	firstFlag, firstGroup, firstExposure := len(p.flags), len(p.groups), len(p.exposures)
	r.trace.recognized(p.Mapper.names, record, r.kind)
	r.Time = eventMillis(record.Timestamp(), record.ObservedTimestamp(), now)
	if r.shaped {
		r.decision = p.readShaped(r, record, now)
	} else {
		r.decision = p.interpret(r, record, body, now)
	}
	r.flags = indexRange{int32(firstFlag), int32(len(p.flags))}
	r.groups = indexRange{int32(firstGroup), int32(len(p.groups))}
	r.exposures = indexRange{int32(firstExposure), int32(len(p.exposures))}
}

// interpret reads what a record says, decides whether that makes an event, and then who it was.
func (p *parser) interpret(r *parsedRecord, record plog.LogRecord, body pcommon.Value, now int64) decision {
	p.exposes = r.kind == kindAssignment && !r.reshaped && p.set.Assignment.Emit != EmitAssignment
	v := p.reader.gather(r.kind, record.Attributes(), body)
	r.trace.fields(p, r.kind, record, body, v)
	firstFlag := len(p.flags)
	var decided decision
	switch r.kind {
	case kindAssignment:
		decided = p.assignment(v, r)
	case kindEvaluation:
		p.flags = extend(p.flags)
		decided = p.evaluation(v, r, &p.flags[firstFlag])
	case kindOutcome:
		decided = p.outcome(v, r, record)
	case kindIdentify:
		p.flags = extend(p.flags)
		decided = p.identify(v, r, &p.flags[firstFlag])
	default:
		p.flags = extend(p.flags)
		decided = p.exposure(v, r, &p.flags[firstFlag])
	}
	if r.reshaped {
		p.claims.Shaped++
	}
	for _, name := range v.claims {
		if name == amplitude.AttrSkipUserPropertiesSync {
			// Whoever may write the record may say that it must not touch its user's properties.
			value, _ := steps.Get(record.Attributes(), name)
			r.skipsProperties = value.Type() == pcommon.ValueTypeBool && value.Bool()
			continue
		}
		claim, _ := claimOf(name)
		p.claims.add(claim, name)
		r.trace.claimed(name)
	}
	r.Identity = readIdentity(&p.set.Identity, v)
	switch {
	case !decided.leaves():
		return decided
	case v.misses(fieldMetadata):
		return rejected(RejectBadMetadata) // a default marker in it would decide
	case v.misses(fieldGroups):
		return rejected(RejectBadGroups)
	case r.UserID == "" && r.DeviceID == "":
		return rejected(v.idProblem)
	}
	p.suspect(r, amplitude.FieldUserID, r.UserID)
	p.suspect(r, amplitude.FieldDeviceID, r.DeviceID)
	if v.found(fieldSessionID) {
		r.session = v.answers[fieldSessionID].number
	}
	if r.client = p.clients.of(p.reader.resource); !p.inherits(v.weight + r.client.size()) {
		return rejected(RejectInheritedLimit)
	}
	if r.kind != kindOutcome && !p.claimNames(r.kind, firstFlag, now) {
		return rejected(RejectPropertyLimit)
	}
	firstGroup := len(p.groups)
	var leftOut int
	p.groups, leftOut = appendGroups(p.groups, p.groupTypes, v)
	p.groupsLeftOut += leftOut
	if p.exposes {
		if decided = p.expose(r, decided, p.flags[firstFlag:], p.groups[firstGroup:]); !decided.leaves() {
			return decided
		}
	}
	r.ip = userIP(v, r.client)
	r.trace.surroundings(p, r, v, p.groups[firstGroup:], p.flags[firstFlag:], record, now)
	return decided
}

// suspect counts an id that looks as if it were not written as the flag's evaluation has it.
func (p *parser) suspect(r *parsedRecord, field, id string) {
	if id == "" {
		return
	}
	if kind := suspectID(id); kind != notSuspect {
		p.suspects[kind]++
		r.trace.rule(field, kind.String(), kind.Hint())
	}
}

// claimNames looks up the names of the flags of a record, the last of the list, and leaves out flags beyond the limit
// of properties. It tells whether any flag is left.
func (p *parser) claimNames(kind recordKind, first int, now int64) bool {
	kept := p.flags[:first]
	for i := range p.flags[first:] {
		one := &p.flags[first+i]
		names, ok := p.names.of(p.registry, one.Key, p.needsProperty(kind, one), now)
		switch {
		case ok:
			one.names = names
			if len(kept) == first+i {
				kept = p.flags[:first+i+1]
			} else {
				kept = append(kept, *one)
			}
		case kind == kindAssignment:
			p.leaveOut(RejectPropertyLimit, one.Key)
		default:
			return false // the key of the flag is an example of what is rejected
		}
	}
	clear(p.flags[len(kept):])
	p.flags = kept
	return len(kept) > first
}

// needsProperty tells whether anything that a flag becomes sets or unsets its user property.
func (p *parser) needsProperty(kind recordKind, flag *Flag) bool {
	sets := p.set.setsProperties(kind)
	if p.exposes {
		sets = (sets && p.set.Assignment.Emit == EmitBoth) || (flag.exposure > 0 && p.set.setsProperties(kindExposure))
	}
	return sets && !flag.NoProperty
}

// leaveOut notes a flag of an assignment that cannot be told.
func (p *parser) leaveOut(reason RejectReason, flag string) {
	p.leftOut = append(p.leftOut, leftOutFlag{flag, reason})
}

// readFlagKey reads the key of the flag: whether there is one, and whether it fits a property name.
func readFlagKey(v *fieldValues, flag *Flag) (found, fits bool) {
	flag.Key = v.text(fieldFlagKey)
	return flag.Key != "", !tooLong(flag.Key, maxFlagKey)
}

// maxFlagKey keeps the name of the user property, prefix included, within Amplitude's limit.
const maxFlagKey = amplitude.MaxStringLength - len(amplitude.ExperimentPrefix)

// unassignedRule is what decided whether a result puts the user in no variant.
type unassignedRule uint8

const (
	ruleNone unassignedRule = iota
	ruleNoVariant
	ruleDefaultMarker
	ruleOffVariants
	// ruleReshaped: the event that another Collector made says so.
	ruleReshaped
)

// isUnassigned decides whether a result puts the user in no variant: the default marker decides in
// both directions, else a reserved name, else that there is no variant.
func (p *parser) isUnassigned(kind recordKind, variant string, m *flagMetadata) (bool, unassignedRule) {
	switch {
	case variant == "":
		return true, ruleNoVariant
	case m.hasDefault:
		return m.isDefault, ruleDefaultMarker
	default:
		return slices.Contains(p.offVariants[kind], variant), ruleOffVariants
	}
}
