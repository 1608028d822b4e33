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

// indexRange is a range in a list that the records of a batch share.
type indexRange struct{ start, end int32 }

func (r indexRange) len() int { return int(r.end - r.start) }

// Flag is the result for one flag.
type Flag struct {
	Key string
	// Variant is the variant key; for an exposure it is empty if the user is not in a variant.
	Variant string
	// Unassigned: the user is not in a variant.
	Unassigned bool
	// NoProperty: the flag has no user property (a mutual exclusion group).
	NoProperty bool
	// LeftOut and Repair are set by the caller between Read and Write: the event does not carry the operation on the
	// user property; the $identify after it does.
	LeftOut, Repair bool

	// movable: the variant can be moved from variantValue instead of being copied.
	movable bool
	// noKey: there is no variant key, only a value that replaces it, or nothing.
	noKey bool
	// dontTrack: the application asks not to count an exposure of the flag.
	dontTrack bool
	// rule is what decided about Unassigned.
	rule unassignedRule
	// exposure is the number, from 1, of the exposure of a flag in the result of an evaluation; 0 if there is none.
	exposure int32

	names        *flagNames
	variantValue pcommon.Value
	details      string
}

// exposureFacts are what an exposure says in addition to its flag.
type exposureFacts struct {
	ExperimentKey string
	// customEvent is the event name from the flag's metadata, or "" for Amplitude's own.
	customEvent string
	// metadata is the evaluation metadata.
	metadata    pcommon.Value
	hasMetadata bool
}

// parsedRecord is what a record says, and what it becomes.
type parsedRecord struct {
	// trace records what is decided; nil unless an explanation was requested.
	trace *Trace
	// position is the place of the record in its batch.
	position int
	kind     recordKind
	shaped   bool
	// reshaped: the record looks shaped and is shaped again. propertyClaimed: it contributes only the properties that
	// it claims.
	reshaped, propertyClaimed bool
	// older: an evaluation with the older of the conventional event names. withoutReason: one without a reason.
	older, withoutReason bool
	// skipsProperties: the record itself asks to leave the user's properties alone.
	skipsProperties bool
	decision

	Identity
	exposureFacts
	// Time is the time of the event in milliseconds since the Unix epoch.
	Time int64

	// outcomeFacts are those of an outcome.
	outcomeFacts

	// value is the variant, if it is the flag's value.
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
	// leftOut are the flags of assignments that cannot be sent.
	leftOut []leftOutFlag
	// exposures are those of the flags of assignments.
	exposures []flagExposure
	claims    Claims
	stripped  []stripped

	// maxFlags is the length that flags may reach with the current record. exposes: its flags become exposures.
	maxFlags int
	exposes  bool
	// inherited is how many inherited bytes the records copied, charged to the budget of the batch.
	inherited     int
	groupsLeftOut int
	suspects      [NumIDSuspects]int
	// places and given are scratch memory for sorting.
	places []flagPlace
	given  []Flag
}

// leftOutFlag is a flag of an assignment that cannot be sent, with the reason.
type leftOutFlag struct {
	key    string
	reason RejectReason
}

// parse reads one recognized record, with its body, into r, whose trace, position and recognition are set. now is the
// arrival time in milliseconds.
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

// interpret reads what a record says, decides whether it makes an event, and then identifies the person.
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
			// Anyone who may write the record may ask to leave its user's properties alone.
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

// suspect counts an id that looks different from the one used to evaluate the flag.
func (p *parser) suspect(r *parsedRecord, field, id string) {
	if id == "" {
		return
	}
	if kind := suspectID(id); kind != notSuspect {
		p.suspects[kind]++
		r.trace.rule(field, kind.String(), kind.Hint())
	}
}

// claimNames looks up the names of a record's flags, which end the list, and leaves out flags beyond the limit on
// properties. It reports whether any flag is left.
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
			return false // the flag key is an example of what is rejected
		}
	}
	clear(p.flags[len(kept):])
	p.flags = kept
	return len(kept) > first
}

// needsProperty reports whether anything that a flag becomes sets or unsets its user property.
func (p *parser) needsProperty(kind recordKind, flag *Flag) bool {
	sets := p.set.setsProperties(kind)
	if p.exposes {
		sets = (sets && p.set.Assignment.Emit == EmitBoth) || (flag.exposure > 0 && p.set.setsProperties(kindExposure))
	}
	return sets && !flag.NoProperty
}

// leaveOut notes a flag of an assignment that cannot be sent.
func (p *parser) leaveOut(reason RejectReason, flag string) {
	p.leftOut = append(p.leftOut, leftOutFlag{flag, reason})
}

// readFlagKey reads the key of the flag, and reports whether there is one and whether it fits into a property name.
func readFlagKey(v *fieldValues, flag *Flag) (found, fits bool) {
	flag.Key = v.text(fieldFlagKey)
	return flag.Key != "", !tooLong(flag.Key, maxFlagKey)
}

// maxFlagKey keeps the name of the user property, prefix included, within Amplitude's limit.
const maxFlagKey = amplitude.MaxStringLength - len(amplitude.ExperimentPrefix)

// unassignedRule is what decided whether the user is unassigned.
type unassignedRule uint8

const (
	ruleNone unassignedRule = iota
	ruleNoVariant
	ruleDefaultMarker
	ruleOffVariants
	// ruleReshaped: the event from another Collector says so.
	ruleReshaped
)

// isUnassigned decides whether the user is unassigned: a default marker decides either way, else a reserved name, else
// the lack of a variant.
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
