// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudeexperimentprocessor // import "github.com/otelcol-amplitude/otelcol-amplitude/processor/amplitudeexperimentprocessor"

import (
	"maps"
	"math/bits"
	"slices"
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/amplitude"
)

// field names a fact that attributes can tell.
type field uint8

const (
	fieldFlagKey field = iota
	fieldVariant
	fieldValue
	fieldExperimentKey
	fieldReason
	fieldErrorType
	fieldInExperiment
	fieldMetadata
	fieldMetadataDefault
	fieldMetadataTrack
	fieldMetadataType
	fieldMetadataExperimentKey
	fieldVariants
	fieldEnvironment
	fieldUserID
	fieldDeviceID
	fieldContextID
	fieldSessionID
	fieldGroups
	fieldClientAddress
	// fieldGroup is the first of the configured groups.
	fieldGroup
)

const numFields = int(fieldGroup) + amplitude.MaxGroupTypes

// Fields that are collected, not chosen between: they have no slot.
const (
	fieldFlatVariant field = 100 + iota
	fieldFlatDetails
	fieldFlatGroup
)

// level is where an attribute stands; a lower one goes first.
type level uint16

const (
	levelRecord level = iota << 8
	levelBody
	levelScope
	levelResource
	levelNone
)

// ref says which field an attribute name gives, and its place in the list of names.
type ref struct {
	field    field
	place    uint8
	bodyOnly bool
}

// slot holds the best answer for a field so far.
type slot struct {
	// number is the answer of a boolean (0, 1) or session field.
	number int64
	// text is the answer of a text field.
	text string
	// value is the answer of a map or group field.
	value pcommon.Value
}

// known attribute names that configuration does not change.
const (
	attrReason             = "feature_flag.result.reason"
	attrReasonOld          = "feature_flag.evaluation.reason"
	attrErrorType          = "error.type"
	attrInExperiment       = "feature_flag.result.reason.inExperiment"
	attrClientAddress      = "client.address"
	bodyValue              = "value"
	metadataDefault        = "default"
	metadataTrackExposure  = "trackExposure"
	metadataFlagType       = "flagType"
	metadataExperimentKey  = "experimentKey"
	metadataFlagVersion    = "flagVersion"
	metadataSegmentName    = "segmentName"
	flagTypeMutualExcluded = "mutual-exclusion-group"
)

// table maps the attribute names that one source reads to the fields they give.
type table struct {
	refs   map[string][]ref
	source source
}

func newTable(cfg *Config, of source) *table {
	t := &table{refs: map[string][]ref{}, source: of}
	add := func(f field, names ...string) {
		for place, name := range names {
			t.refs[name] = append(t.refs[name], ref{field: f, place: uint8(place)})
		}
	}
	switch of {
	case sourceExposure:
		add(fieldFlagKey, cfg.Exposure.FlagKey...)
		add(fieldVariant, cfg.Exposure.Variant...)
		add(fieldExperimentKey, cfg.Exposure.ExperimentKey...)
	case sourceEvaluation:
		add(fieldFlagKey, cfg.Evaluation.FlagKey...)
		add(fieldVariant, cfg.Evaluation.Variant...)
		add(fieldValue, cfg.Evaluation.Value...)
		t.refs[bodyValue] = append(t.refs[bodyValue], ref{field: fieldValue, place: maxNames, bodyOnly: true})
		add(fieldExperimentKey, cfg.Evaluation.ExperimentKey...)
		add(fieldReason, attrReason, attrReasonOld)
		add(fieldErrorType, attrErrorType)
		add(fieldInExperiment, attrInExperiment)
	case sourceAssignment:
		add(fieldVariants, cfg.Assignment.Variants...)
		add(fieldEnvironment, append(slices.Clone(cfg.Assignment.Environment), amplitude.PropertyEnvironmentName)...)
	}
	if of != sourceAssignment {
		add(fieldMetadata, amplitude.RawMetadata)
		add(fieldMetadataDefault, amplitude.RawMetadata+"."+metadataDefault)
		add(fieldMetadataTrack, amplitude.RawMetadata+"."+metadataTrackExposure)
		add(fieldMetadataType, amplitude.RawMetadata+"."+metadataFlagType)
		add(fieldMetadataExperimentKey, amplitude.RawMetadata+"."+metadataExperimentKey)
	}
	add(fieldUserID, cfg.Identity.UserID...)
	add(fieldDeviceID, cfg.Identity.DeviceID...)
	if cfg.Identity.ContextIDAs != asIgnore {
		add(fieldContextID, cfg.Identity.ContextID...)
	}
	add(fieldSessionID, cfg.Identity.SessionID...)
	add(fieldGroups, amplitude.FieldGroups)
	for i, groupType := range slices.Sorted(maps.Keys(cfg.Identity.Groups)) {
		if i < amplitude.MaxGroupTypes {
			add(fieldGroup+field(i), cfg.Identity.Groups[groupType])
		}
	}
	add(fieldClientAddress, attrClientAddress)
	return t
}

var (
	flatVariantRefs = []ref{{field: fieldFlatVariant}}
	flatDetailsRefs = []ref{{field: fieldFlatDetails}}
	flatGroupRefs   = []ref{{field: fieldFlatGroup}}
)

// lookup returns the fields that an attribute name gives; most give none.
func (t *table) lookup(name string) []ref {
	if refs, ok := t.refs[name]; ok {
		return refs
	}
	switch {
	case strings.HasPrefix(name, amplitude.AttrPrefix):
		if strings.HasPrefix(name, amplitude.AttrGroupsPrefix) && len(name) > len(amplitude.AttrGroupsPrefix) {
			return flatGroupRefs
		}
	case t.source != sourceAssignment:
	case strings.HasSuffix(name, amplitude.SuffixVariant):
		return flatVariantRefs
	case strings.HasSuffix(name, amplitude.SuffixDetails):
		return flatDetailsRefs
	}
	return nil
}

// isTaken tells whether an attribute gives a fact that the event tells in its own words, so that the
// attribute itself has no reason to travel.
func (t *table) isTaken(f *facts, name string, value pcommon.Value) bool {
	for _, r := range t.lookup(name) {
		switch r.field {
		case fieldReason, fieldErrorType, fieldInExperiment, fieldSessionID, fieldEnvironment, fieldClientAddress:
		case fieldContextID:
			if f.contextID != "" && isText(value, f.contextID) {
				return true
			}
		case fieldValue:
			if f.value != "" && isText(value, f.value) {
				return true
			}
		default:
			return true
		}
	}
	return false
}

// maxMemo bounds how many attribute positions are remembered.
const maxMemo = 64

// memo remembers what the attribute names at each position gave the last time: records of one
// application have their attributes in one order, so one comparison replaces a look-up.
type memo [maxMemo]struct {
	name string
	refs []ref
}

// learn looks up the name at a position that had another one.
func (m *memo) learn(t *table, position int, name string) []ref {
	m[position].name, m[position].refs = strings.Clone(name), t.lookup(name)
	return m[position].refs
}

// fields is a set of fields, a bit each.
type fields uint32

func setOf(list ...field) (set fields) {
	for _, f := range list {
		set |= 1 << f
	}
	return set
}

var (
	metadataFields = setOf(fieldMetadata, fieldMetadataDefault, fieldMetadataTrack, fieldMetadataType, fieldMetadataExperimentKey)
	groupFields    = func() fields {
		set := setOf(fieldGroups)
		for f := fieldGroup; int(f) < numFields; f++ {
			set |= 1 << f
		}
		return set
	}()
)

// flatEntry is an attribute that names a flag or a group type itself.
type flatEntry struct {
	field field
	name  string
	value pcommon.Value
}

// gathered is what the attributes of a record and its surroundings tell.
type gathered struct {
	// answered are the fields that have an answer. Of these, slots are the answers and ranks say where
	// they stand: the level plus the place in the list of names.
	answered fields
	ranks    [numFields]level
	slots    [numFields]slot
	// badVariant: a variant was given that can be none.
	badVariant bool
	// idProblem is the first problem with an id that was not taken.
	idProblem idProblem
	flat      []flatEntry
}

func (g *gathered) found(f field) bool { return g.answered&(1<<f) != 0 }

// inRecord tells whether the answer stands in the record itself, so that its value may be taken out.
func (g *gathered) inRecord(f field) bool { return g.found(f) && g.ranks[f] < levelScope }

// text returns the answer of a text field, empty if there is none.
func (g *gathered) text(f field) string {
	if !g.found(f) {
		return ""
	}
	return g.slots[f].text
}

// isTrue tells whether a boolean field is there and true.
func (g *gathered) isTrue(f field) bool { return g.found(f) && g.slots[f].number == 1 }

// reset starts a record in the surroundings that base tells.
func (g *gathered) reset(base *gathered) {
	g.answered = base.answered
	for left := base.answered; left != 0; left &= left - 1 {
		f := bits.TrailingZeros32(uint32(left))
		g.ranks[f], g.slots[f] = base.ranks[f], base.slots[f]
	}
	g.badVariant = base.badVariant
	g.idProblem = base.idProblem
	g.flat = g.flat[:0]
}

// reader gathers the facts of records. It is not safe for concurrent use.
type reader struct {
	minIDLength int
	tables      [numSources]*table
	memos       [numSources]memo

	// The facts of the resource, and of the resource and the scope, per source; read when first needed.
	ofResource [numSources]gathered
	ofScope    [numSources]gathered
	readUpTo   [numSources]level

	resource pcommon.Map
	scope    pcommon.Map

	record gathered
	counts *counts
}

func (r *reader) enterResource(attributes pcommon.Map) {
	r.resource = attributes
	for i := range r.readUpTo {
		r.readUpTo[i] = levelNone
	}
}

func (r *reader) enterScope(attributes pcommon.Map) {
	r.scope = attributes
	for i := range r.readUpTo {
		r.readUpTo[i] = max(r.readUpTo[i], levelResource)
	}
}

// surroundings returns the facts of the scope and the resource of the records to come.
func (r *reader) surroundings(of source) *gathered {
	if r.readUpTo[of] == levelNone {
		g := &r.ofResource[of]
		g.reset(&gathered{})
		r.read(of, g, levelResource, r.resource)
		r.readUpTo[of] = levelResource
	}
	if r.readUpTo[of] == levelResource {
		g := &r.ofScope[of]
		g.reset(&r.ofResource[of])
		r.read(of, g, levelScope, r.scope)
		r.readUpTo[of] = levelScope
	}
	return &r.ofScope[of]
}

// gather reads the facts of a record. The result is valid until the next call.
func (r *reader) gather(of source, attributes pcommon.Map, body pcommon.Value) *gathered {
	g := &r.record
	g.reset(r.surroundings(of))
	r.read(of, g, levelRecord, attributes)
	if body.Type() == pcommon.ValueTypeMap {
		r.read(of, g, levelBody, body.Map())
	}
	return g
}

func (r *reader) read(of source, g *gathered, at level, attributes pcommon.Map) {
	t := r.tables[of]
	known := &r.memos[of]
	position := -1
	for name, value := range attributes.All() {
		position++
		var refs []ref
		switch {
		case at != levelRecord || position >= maxMemo:
			refs = t.lookup(name)
		case known[position].name == name:
			refs = known[position].refs
		default:
			refs = known.learn(t, position, name)
		}
		for _, to := range refs {
			if !to.bodyOnly || at == levelBody {
				r.offer(g, to, at, name, value)
			}
		}
	}
}

// offer gives a value to a field: taken if it is usable and goes before what the field has.
func (r *reader) offer(g *gathered, to ref, at level, name string, value pcommon.Value) {
	if to.field >= fieldFlatVariant {
		if at <= levelBody && value.Type() != pcommon.ValueTypeEmpty {
			g.flat = append(g.flat, flatEntry{field: to.field, name: name, value: value})
		}
		return
	}
	rank := at | level(to.place)
	if g.found(to.field) && rank >= g.ranks[to.field] {
		return
	}
	switch why := g.slots[to.field].take(to.field, value, r.minIDLength); {
	case why == refusedNot:
		g.ranks[to.field] = rank
		g.answered |= 1 << to.field
	case why >= refusedEmptyID:
		problem := idEmpty + idProblem(why-refusedEmptyID)
		if g.idProblem == idOK {
			g.idProblem = problem
		}
		r.counts.ids[problem]++
	case why == refusedBadVariant && to.field == fieldVariant:
		g.badVariant = true
	}
}

// refusal says why a field does not take a value.
type refusal uint8

const (
	refusedNot refusal = iota
	refusedNull
	refusedBlank
	refusedNotBoolean
	refusedNotMap
	refusedNotTime
	refusedNotName
	refusedNotScalar
	refusedBadVariant
	// The problems of ids, in the order of idProblem.
	refusedEmptyID
	refusedPlaceholder
	refusedShortID
	refusedLongID
	refusedNotAnID
	numRefusals
)

// take reads a value as the answer for a field. A value that is refused changes nothing.
func (answer *slot) take(of field, value pcommon.Value, minIDLength int) refusal {
	if value.Type() == pcommon.ValueTypeEmpty {
		return refusedNull
	}
	switch of {
	case fieldVariant, fieldValue:
		switch text, state := variantText(value, of == fieldValue); state {
		case variantUsable:
			answer.text = text
		case variantBad:
			return refusedBadVariant
		default:
			return refusedBlank
		}
	case fieldUserID, fieldDeviceID, fieldContextID:
		text, problem := readID(value, minIDLength)
		if problem != idOK {
			return refusedEmptyID + refusal(problem-idEmpty)
		}
		answer.text = text
	case fieldInExperiment, fieldMetadataDefault, fieldMetadataTrack:
		if value.Type() != pcommon.ValueTypeBool {
			return refusedNotBoolean
		}
		answer.number = 0
		if value.Bool() {
			answer.number = 1
		}
	case fieldMetadata, fieldVariants, fieldGroups:
		if value.Type() != pcommon.ValueTypeMap {
			return refusedNotMap
		}
		answer.value = value
	case fieldSessionID:
		ms, ok := sessionMillis(value)
		if !ok {
			return refusedNotTime
		}
		answer.number = ms
	case fieldFlagKey:
		text, ok := keyText(value)
		if !ok {
			return refusedNotName
		}
		answer.text = text
	case fieldExperimentKey, fieldMetadataExperimentKey, fieldEnvironment:
		text, ok := keyText(value)
		if !ok {
			return refusedNotName
		}
		answer.text = amplitude.Truncate(text, amplitude.MaxStringLength)
	case fieldReason, fieldErrorType, fieldMetadataType, fieldClientAddress:
		text, ok := scalarText(value)
		if !ok || strings.TrimSpace(text) == "" {
			return refusedNotScalar
		}
		answer.text = text
	default:
		answer.value = value
	}
	return refusedNot
}
