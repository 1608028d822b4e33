// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudeexperimentprocessor // import "github.com/otelcol-amplitude/otelcol-amplitude/processor/amplitudeexperimentprocessor"

import (
	"slices"
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/amplitude"
)

// textRef is a text of the event, and the value it came from if that can be moved instead of copied.
type textRef struct {
	text    string
	value   pcommon.Value
	movable bool
}

// flagResult is what came out for one flag of an assignment.
type flagResult struct {
	key   string
	names *flagNames
	// variant is the variant key; variantValue is where it stands.
	variant    textRef
	details    string
	unassigned bool
	// noProperty: the flag has no user property (a mutual exclusion group).
	noProperty bool
	// rule is what decided about unassigned.
	rule unassignedRule
}

// span is a range of a slice.
type span struct{ start, end int32 }

func (s span) len() int { return int(s.end - s.start) }

// facts is what one record of ours says, and what is to become of it.
type facts struct {
	// trace is told what is decided; nil unless somebody asked.
	trace   *trace
	outcome outcome
	skip    skipReason
	reject  rejectReason
	source  source
	shaped  bool
	// unassigned: the user is in no variant. For assignments, each flag says so itself.
	unassigned bool
	noProperty bool
	// rule is what decided about unassigned.
	rule unassignedRule
	// names belong to the flag of an exposure.
	names *flagNames

	flagKey       string
	variant       string
	experimentKey string
	identity
	// value is the variant if the flag's value stands for it.
	value string
	// metadata is the evaluation metadata of an exposure, or the zero Value.
	metadata    pcommon.Value
	hasMetadata bool
	environment string
	ip          string
	session     int64
	// time is the event time in milliseconds since the Unix epoch.
	time   int64
	client *clientFields

	flags  span
	groups span
	parts  span
}

// interpreter reads records: what they say, whether they become events, and why not.
// It may be used concurrently, each use with its own scratch.
type interpreter struct {
	cfg         *Config
	registry    *flagRegistry
	names       recogniser
	tables      [numSources]*table
	groupTypes  []string
	skipReasons map[string]skipReason
	offVariants [numSources][]string
	nearMisses  *nearMissFinder
}

func newInterpreter(cfg *Config, registry *flagRegistry) *interpreter {
	in := &interpreter{
		cfg:         cfg,
		registry:    registry,
		names:       newRecogniser(cfg),
		groupTypes:  sortedKeys(cfg.Identity.Groups),
		skipReasons: make(map[string]skipReason, len(cfg.Evaluation.SkipReasons)),
	}
	in.nearMisses = newNearMissFinder(cfg, in.names)
	for _, of := range []source{sourceExposure, sourceEvaluation, sourceAssignment} {
		in.tables[of] = newTable(cfg, of)
	}
	in.offVariants[sourceExposure] = cfg.Exposure.OffVariants
	in.offVariants[sourceEvaluation] = cfg.Evaluation.OffVariants
	in.offVariants[sourceAssignment] = cfg.Assignment.OffVariants
	for _, reason := range cfg.Evaluation.SkipReasons {
		in.skipReasons[reason] = skipReasonOf(reason)
	}
	return in
}

// interpret reads one record of ours into f, which must be empty. now is the time of arrival in milliseconds.
func (in *interpreter) interpret(s *scratch, f *facts, of source, record plog.LogRecord, now int64) {
	f.source, f.time = of, eventMillis(record.Timestamp(), record.ObservedTimestamp(), now)
	f.trace.recognized(record, of)
	if isShaped(of, record) {
		in.readShaped(s, f, record)
		f.trace.shapedFields(f)
	} else {
		in.interpretRaw(s, f, of, record, now)
	}
	f.trace.decided(s, f)
}

// interpretRaw reads a record that is not an event yet.
func (in *interpreter) interpretRaw(s *scratch, f *facts, of source, record plog.LogRecord, now int64) {
	g := s.reader.gather(of, record.Attributes(), record.Body())
	f.trace.fields(in, s, of, record, g)
	switch of {
	case sourceEvaluation:
		in.evaluation(s, g, f)
	case sourceExposure:
		in.exposure(g, f)
	case sourceAssignment:
		in.assignment(s, g, f)
	}
	if !f.outcome.leaves() || !in.identify(g, f) || !in.claimNames(s, f) {
		return
	}
	start := len(s.groups)
	s.groups = s.groupReader.read(g, s.groups)
	f.groups = span{int32(start), int32(len(s.groups))}
	f.trace.groups(s.groups[start:])
	f.client = s.clients.of(s.reader.resource)
	clientOfRecord(g, f)
	f.trace.client(s.reader.resource, g, f)
	f.trace.time(record.Timestamp(), record.ObservedTimestamp(), f.time, now)
	f.trace.property(in.cfg, f)
}

// claimNames looks up the names of the flags, and refuses flags beyond the limit of properties. It tells
// whether any flag is left.
func (in *interpreter) claimNames(s *scratch, f *facts) bool {
	if f.source != sourceAssignment {
		names, ok := s.names.of(in.registry, f.flagKey, in.cfg.SetUserProperties && !f.noProperty)
		if f.names = names; !ok {
			f.rejected(rejectPropertyLimit)
		}
		return ok
	}
	kept := s.flags[f.flags.start:f.flags.start]
	for _, one := range s.flags[f.flags.start:f.flags.end] {
		names, ok := s.names.of(in.registry, one.key, in.cfg.SetUserProperties && !one.noProperty)
		if !ok {
			s.leaveOut(f, rejectPropertyLimit, one.key)
			continue
		}
		one.names = names
		kept = append(kept, one)
	}
	s.flags = s.flags[:int(f.flags.start)+len(kept)]
	if f.flags.end = int32(len(s.flags)); len(kept) == 0 {
		f.rejected(rejectPropertyLimit)
	}
	return len(kept) > 0
}

func (f *facts) skipped(reason skipReason) {
	f.outcome, f.skip = outcomeSkipped, reason
}

func (f *facts) rejected(reason rejectReason) {
	f.outcome, f.reject = outcomeRejected, reason
}

// identity is who it was.
type identity struct {
	userID   string
	deviceID string
	// contextID is the id if the flag's context gave it.
	contextID string
}

func (in *interpreter) readIdentity(g *gathered) identity {
	who := identity{userID: g.text(fieldUserID), deviceID: g.text(fieldDeviceID)}
	switch {
	case in.cfg.Identity.ContextIDAs == asUserID && who.userID == "":
		who.userID = g.text(fieldContextID)
		who.contextID = who.userID
	case in.cfg.Identity.ContextIDAs == asDeviceID && who.deviceID == "":
		who.deviceID = g.text(fieldContextID)
		who.contextID = who.deviceID
	}
	return who
}

// identify fills in who it was, and says whether anybody was.
func (in *interpreter) identify(g *gathered, f *facts) bool {
	f.identity = in.readIdentity(g)
	if f.userID == "" && f.deviceID == "" {
		f.rejected(rejectReasonOfID(g.idProblem))
		return false
	}
	if g.found(fieldSessionID) {
		f.session = g.slots[fieldSessionID].number
	}
	return true
}

// readFlagKey reads the key of the flag: whether there is one, and whether it fits a property name.
func readFlagKey(g *gathered, f *facts) (found, fits bool) {
	f.flagKey = g.text(fieldFlagKey)
	return f.flagKey != "", !tooLong(f.flagKey, maxFlagKey)
}

// maxFlagKey keeps the name of the user property, prefix included, within Amplitude's limit.
const maxFlagKey = amplitude.MaxStringLength - len(amplitude.ExperimentPrefix)

// flagMetadata is what the evaluation metadata of a flag says.
type flagMetadata struct {
	// isDefault is the default marker, if there is one.
	isDefault     bool
	hasDefault    bool
	dontTrack     bool
	noProperty    bool
	experimentKey string
	details       string
}

// readMetadata reads the map that Amplitude's SDKs attach to a variant.
func readMetadata(m pcommon.Map) flagMetadata {
	var found flagMetadata
	var version, segment string
	for name, value := range m.All() {
		switch name {
		case metadataDefault:
			if value.Type() == pcommon.ValueTypeBool && !found.hasDefault {
				found.hasDefault, found.isDefault = true, value.Bool()
			}
		case metadataTrackExposure:
			found.dontTrack = found.dontTrack || (value.Type() == pcommon.ValueTypeBool && !value.Bool())
		case metadataFlagType:
			found.noProperty = value.Type() == pcommon.ValueTypeStr && value.Str() == flagTypeMutualExcluded
		case metadataExperimentKey:
			if text, ok := keyText(value); ok {
				found.experimentKey = amplitude.Truncate(text, amplitude.MaxStringLength)
			}
		case metadataFlagVersion:
			if text, ok := keyText(value); ok {
				version = text
			}
		case metadataSegmentName:
			if text, ok := keyText(value); ok {
				segment = text
			}
		}
	}
	if version != "" && segment != "" {
		found.details = amplitude.Truncate("v"+version+" rule:"+segment, amplitude.MaxStringLength)
	}
	return found
}

// recordMetadata reads the metadata of an exposure or evaluation: the map, else flat attributes.
func recordMetadata(g *gathered) (found flagMetadata) {
	if g.answered&metadataFields == 0 {
		return found
	}
	if g.found(fieldMetadata) {
		found = readMetadata(g.slots[fieldMetadata].value.Map())
	}
	if g.found(fieldMetadataDefault) && !found.hasDefault {
		found.hasDefault, found.isDefault = true, g.isTrue(fieldMetadataDefault)
	}
	if g.found(fieldMetadataTrack) && !g.isTrue(fieldMetadataTrack) {
		found.dontTrack = true
	}
	if g.text(fieldMetadataType) == flagTypeMutualExcluded {
		found.noProperty = true
	}
	if found.experimentKey == "" {
		found.experimentKey = g.text(fieldMetadataExperimentKey)
	}
	return found
}

// unassignedRule is what decided whether a result puts the user in no variant.
type unassignedRule uint8

const (
	ruleNone unassignedRule = iota
	ruleNoVariant
	ruleDefaultMarker
	ruleOffVariants
)

// isUnassigned decides whether a result puts the user in no variant: the default marker decides in
// both directions, else a reserved name, else that there is no variant.
func (in *interpreter) isUnassigned(of source, variant string, m *flagMetadata) (bool, unassignedRule) {
	switch {
	case variant == "":
		return true, ruleNoVariant
	case m.hasDefault:
		return m.isDefault, ruleDefaultMarker
	default:
		return slices.Contains(in.offVariants[of], variant), ruleOffVariants
	}
}

func sortedKeys(m map[string]string) []string {
	keys := make([]string, 0, len(m))
	for key := range m {
		keys = append(keys, key)
	}
	slices.SortFunc(keys, strings.Compare)
	return keys
}
