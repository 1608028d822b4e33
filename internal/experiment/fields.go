// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package experiment // import "github.com/otelcol-amplitude/otelcol-amplitude/internal/experiment"

import (
	"slices"
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/amplitude"
)

// field identifies something that attributes can say.
type field uint8

const (
	fieldFlagKey field = iota
	fieldVariant
	fieldValue
	fieldExperimentKey
	fieldReason
	fieldProvider
	fieldDefaultMarker
	fieldErrorType
	fieldInExperiment
	fieldMetadata
	fieldMetadataDefault
	fieldMetadataTrack
	fieldMetadataType
	fieldMetadataEvent
	fieldMetadataDelivery
	fieldMetadataExperimentKey
	fieldVariants
	fieldEnvironment
	fieldUserID
	fieldDeviceID
	fieldContextID
	fieldSessionID
	fieldGroups
	fieldClientAddress
	fieldTracked
	fieldOutcomeID
	fieldRevenue
	fieldPrice
	fieldQuantity
	fieldCurrency
	// fieldGroup is the first of the configured groups.
	fieldGroup
)

const numFields = int(fieldGroup) + amplitude.MaxGroupTypes

// Fields of which all attributes are collected, rather than one chosen: they have no slot.
const (
	fieldFlatVariant field = 100 + iota
	fieldFlatDetails
	fieldFlatGroup
	// fieldClaim is what an application may not set.
	fieldClaim
	// fieldInside is a map whose entries continue its name after a dot; fieldEvent is one whose entries are the
	// properties of Amplitude's own event.
	fieldInside
	fieldEvent
)

// level is where an attribute was found; lower levels win. Within a level, the position in the list of names decides,
// then flat names win over names in maps.
type level uint16

const (
	levelRecord level = iota << 12
	levelBody
	levelScope
	levelResource
	levelNone

	// levelInEvent: it is in the properties of Amplitude's own event.
	levelInEvent level = 1 << 11
	// levelNested: it is in a map.
	levelNested level = 1
)

// place returns the level of a name by its position in the list.
func (l level) place(place uint8) level { return l + level(place)<<1 }

// maxNested is how many maps a name may be nested in.
const maxNested = 4

// ref is the field that an attribute name gives, and the position in its list of names.
type ref struct {
	field    field
	place    uint8
	bodyOnly bool
}

// Attribute names that cannot be configured.
const (
	attrProvider           = "feature_flag.provider.name"
	attrProviderOld        = "feature_flag.provider_name"
	attrErrorType          = "error.type"
	attrReasonErrorKind    = "feature_flag.result.reason.errorKind"
	attrInExperiment       = "feature_flag.result.reason.inExperiment"
	attrClientAddress      = "client.address"
	bodyValue              = "value"
	metadataDefault        = "default"
	metadataTrackExposure  = "trackExposure"
	metadataFlagType       = "flagType"
	metadataExposureEvent  = "exposureEvent"
	metadataDeliveryMethod = "deliveryMethod"
	metadataExperimentKey  = "experimentKey"
	metadataFlagVersion    = "flagVersion"
	metadataSegmentName    = "segmentName"
	flagTypeMutualExcluded = "mutual-exclusion-group"
)

// fieldTable maps the attribute names that one kind of record reads to the fields they give.
type fieldTable struct {
	refs map[string][]ref
	kind recordKind
	// acceptShaped: claims of attributes are trusted.
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
	case kindExposure, kindImpression:
		add(fieldFlagKey, set.Exposure.FlagKey...)
		add(fieldVariant, set.Exposure.Variant...)
		add(fieldExperimentKey, set.Exposure.ExperimentKey...)
	case kindEvaluation:
		add(fieldFlagKey, set.Evaluation.FlagKey...)
		add(fieldVariant, set.Evaluation.Variant...)
		add(fieldValue, set.Evaluation.Value...)
		t.refs[bodyValue] = append(t.refs[bodyValue], ref{field: fieldValue, place: MaxNames, bodyOnly: true})
		add(fieldExperimentKey, set.Evaluation.ExperimentKey...)
		add(fieldReason, set.Evaluation.Reason...)
		add(fieldProvider, attrProvider, attrProviderOld)
		add(fieldDefaultMarker, set.Evaluation.DefaultMarker...)
		add(fieldErrorType, attrErrorType, attrReasonErrorKind)
		add(fieldInExperiment, attrInExperiment)
	case kindIdentify:
		add(fieldExperimentKey, amplitude.PropertyExperimentKey)
	case kindAssignment:
		add(fieldVariants, set.Assignment.Variants...)
		add(fieldEnvironment, append(slices.Clone(set.Assignment.Environment), amplitude.PropertyEnvironmentName)...)
	case kindOutcome:
		add(fieldTracked, set.Outcomes.Tracking.Name...)
		add(fieldOutcomeID, set.Outcomes.InsertID...)
		add(fieldRevenue, set.Outcomes.Revenue...)
		add(fieldPrice, set.Outcomes.Price...)
		add(fieldQuantity, set.Outcomes.Quantity...)
		add(fieldCurrency, set.Outcomes.Currency...)
	}
	if kind != kindAssignment && kind != kindOutcome {
		// Its content is read from the map itself.
		add(fieldMetadata, amplitude.RawMetadata)
		add(fieldMetadataDefault, amplitude.RawMetadata+"."+metadataDefault)
		add(fieldMetadataTrack, amplitude.RawMetadata+"."+metadataTrackExposure)
		add(fieldMetadataType, amplitude.RawMetadata+"."+metadataFlagType)
		add(fieldMetadataEvent, amplitude.RawMetadata+"."+metadataExposureEvent)
		add(fieldMetadataDelivery, amplitude.RawMetadata+"."+metadataDeliveryMethod)
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
	t.addInside()
	return t
}

// addInside registers every prefix of a dotted name as the name of a map that may hold the rest.
func (t *fieldTable) addInside() {
	inside := map[string]struct{}{strings.TrimSuffix(amplitude.AttrGroupsPrefix, "."): {}}
	for name := range t.refs {
		if !strings.HasPrefix(name, amplitude.RawMetadata+".") {
			eachPrefix(name, func(prefix string) { inside[prefix] = struct{}{} })
		}
	}
	// The content of these must not be sent unseen.
	for _, name := range []string{"error", "exception", "event", "otel", "feature_flag"} {
		inside[name] = struct{}{}
	}
	for name := range inside {
		t.refs[name] = append(t.refs[name], ref{field: fieldInside})
	}
	t.refs[fieldEventProperties] = append(t.refs[fieldEventProperties], ref{field: fieldEvent})
}

// opens returns the prefix of the names in a map that an attribute holds: its own name and a dot, or nothing. ok is
// false for any other attribute.
func (t *fieldTable) opens(name string, value pcommon.Value) (prefix string, ok bool) {
	if value.Type() != pcommon.ValueTypeMap {
		return "", false
	}
	for _, to := range t.lookup(name) {
		switch to.field {
		case fieldInside:
			return name + ".", true
		case fieldEvent:
			return "", true
		}
	}
	return "", false
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
		if _, claimed := claimOf(name); (claimed && !t.acceptShaped) || name == amplitude.AttrSkipUserPropertiesSync {
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

// isTaken reports whether an attribute gives a field that the event already contains in its own form, so that the
// attribute itself need not be sent.
func (t *fieldTable) isTaken(p *parsedRecord, name string, value pcommon.Value) bool {
	for _, r := range t.lookup(name) {
		switch r.field {
		case fieldInside, fieldEvent:
		case fieldReason, fieldProvider, fieldDefaultMarker, fieldErrorType, fieldInExperiment, fieldSessionID, fieldEnvironment, fieldClientAddress, fieldOutcomeID:
		case fieldContextID:
			if p.contextID != "" && isText(value, p.contextID) {
				return true
			}
		case fieldValue:
			if text, _ := variantText(value, true); p.value != "" && text == p.value {
				return true
			}
		default:
			return true
		}
	}
	return false
}

// fields is a set of fields, one bit each.
type fields uint64

func setOf(list ...field) (set fields) {
	for _, f := range list {
		set |= 1 << f
	}
	return set
}

var (
	metadataFields = setOf(fieldMetadata, fieldMetadataDefault, fieldMetadataTrack, fieldMetadataType, fieldMetadataEvent, fieldMetadataDelivery, fieldMetadataExperimentKey)
	groupFields    = func() fields {
		set := setOf(fieldGroups)
		for f := fieldGroup; int(f) < numFields; f++ {
			set |= 1 << f
		}
		return set
	}()
)
