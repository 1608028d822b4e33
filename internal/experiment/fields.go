// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package experiment // import "github.com/otelcol-amplitude/otelcol-amplitude/internal/experiment"

import (
	"slices"
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/amplitude"
)

// field names something that attributes can tell.
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
	// fieldClaim is what an application has no say in.
	fieldClaim
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

// Attribute names that configuration does not change.
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

// fieldTable maps the attribute names that one kind of record reads to the fields they give.
type fieldTable struct {
	refs map[string][]ref
	kind recordKind
	// acceptShaped: what an attribute claims is left to those who may write here.
	acceptShaped bool
}

func newFieldTable(set *Settings, groupTypes []string, kind recordKind) *fieldTable {
	t := &fieldTable{refs: map[string][]ref{}, kind: kind, acceptShaped: set.AcceptShaped}
	add := func(f field, names ...string) {
		for place, name := range names {
			t.refs[name] = append(t.refs[name], ref{field: f, place: uint8(place)})
		}
	}
	switch kind {
	case kindExposure:
		add(fieldFlagKey, set.Exposure.FlagKey...)
		add(fieldVariant, set.Exposure.Variant...)
		add(fieldExperimentKey, set.Exposure.ExperimentKey...)
	case kindEvaluation:
		add(fieldFlagKey, set.Evaluation.FlagKey...)
		add(fieldVariant, set.Evaluation.Variant...)
		add(fieldValue, set.Evaluation.Value...)
		t.refs[bodyValue] = append(t.refs[bodyValue], ref{field: fieldValue, place: MaxNames, bodyOnly: true})
		add(fieldExperimentKey, set.Evaluation.ExperimentKey...)
		add(fieldReason, attrReason, attrReasonOld)
		add(fieldErrorType, attrErrorType)
		add(fieldInExperiment, attrInExperiment)
	case kindIdentify:
		add(fieldExperimentKey, amplitude.PropertyExperimentKey)
	case kindAssignment:
		add(fieldVariants, set.Assignment.Variants...)
		add(fieldEnvironment, append(slices.Clone(set.Assignment.Environment), amplitude.PropertyEnvironmentName)...)
	}
	if kind != kindAssignment {
		add(fieldMetadata, amplitude.RawMetadata)
		add(fieldMetadataDefault, amplitude.RawMetadata+"."+metadataDefault)
		add(fieldMetadataTrack, amplitude.RawMetadata+"."+metadataTrackExposure)
		add(fieldMetadataType, amplitude.RawMetadata+"."+metadataFlagType)
		add(fieldMetadataExperimentKey, amplitude.RawMetadata+"."+metadataExperimentKey)
	}
	add(fieldUserID, set.Identity.UserID...)
	add(fieldDeviceID, set.Identity.DeviceID...)
	if set.Identity.ContextIDAs != AsIgnore {
		add(fieldContextID, set.Identity.ContextID...)
	}
	add(fieldSessionID, set.Identity.SessionID...)
	add(fieldGroups, amplitude.FieldGroups)
	for i, groupType := range groupTypes {
		add(fieldGroup+field(i), set.Identity.Groups[groupType])
	}
	add(fieldClientAddress, attrClientAddress)
	return t
}

var (
	flatVariantRefs = []ref{{field: fieldFlatVariant}}
	flatDetailsRefs = []ref{{field: fieldFlatDetails}}
	flatGroupRefs   = []ref{{field: fieldFlatGroup}}
	claimRefs       = []ref{{field: fieldClaim}}
)

// lookup returns the fields that an attribute name gives; most give none.
func (t *fieldTable) lookup(name string) []ref {
	if refs, ok := t.refs[name]; ok {
		return refs
	}
	switch {
	case strings.HasPrefix(name, amplitude.AttrPrefix):
		if strings.HasPrefix(name, amplitude.AttrGroupsPrefix) && len(name) > len(amplitude.AttrGroupsPrefix) {
			return flatGroupRefs
		}
		if _, claimed := claimOf(name); claimed && !t.acceptShaped {
			return claimRefs
		}
	case t.kind != kindAssignment:
	case strings.HasSuffix(name, amplitude.SuffixVariant):
		return flatVariantRefs
	case strings.HasSuffix(name, amplitude.SuffixDetails):
		return flatDetailsRefs
	}
	return nil
}

// isTaken tells whether an attribute gives a field that the event tells in its own words, so that the
// attribute itself has no reason to travel.
func (t *fieldTable) isTaken(p *parsedRecord, name string, value pcommon.Value) bool {
	for _, r := range t.lookup(name) {
		switch r.field {
		case fieldReason, fieldErrorType, fieldInExperiment, fieldSessionID, fieldEnvironment, fieldClientAddress:
		case fieldContextID:
			if p.contextID != "" && isText(value, p.contextID) {
				return true
			}
		case fieldValue:
			if p.value != "" && isText(value, p.value) {
				return true
			}
		default:
			return true
		}
	}
	return false
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
