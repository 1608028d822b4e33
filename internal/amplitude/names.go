// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitude // import "github.com/otelcol-amplitude/otelcol-amplitude/internal/amplitude"

// Event types.
const (
	// EventRawExposure is what clients send; Amplitude turns it into EventExposure on ingestion.
	EventRawExposure = "$exposure"
	// EventRawAssignment is this project's counterpart of EventRawExposure for application logs. Amplitude does not
	// know it.
	EventRawAssignment = "$assignment"
	EventExposure      = "[Experiment] Exposure"
	EventAssignment    = "[Experiment] Assignment"
	// EventRawImpression is what web experiments send; Amplitude turns it into EventImpression on ingestion.
	EventRawImpression = "$impression"
	EventImpression    = "[Experiment] Impression"
	// EventIdentify changes user properties and is not stored as an event.
	EventIdentify      = "$identify"
	EventGroupIdentify = "$groupidentify"
)

// Billable reports whether an event of this type counts toward the event volume of a project: all except exposures,
// assignments and property changes, which Amplitude documents as free.
func Billable(eventType string) bool {
	switch eventType {
	case EventRawExposure, EventExposure, EventAssignment, EventIdentify, EventGroupIdentify:
		return false
	default:
		return true
	}
}

// Experiment event and user properties.
const (
	// ExperimentPrefix starts the name of every property that belongs to Amplitude Experiment.
	// A user property is ExperimentPrefix + flag key, its value the variant.
	ExperimentPrefix = "[Experiment] "

	PropertyFlagKey         = "[Experiment] Flag Key"
	PropertyVariant         = "[Experiment] Variant"
	PropertyExperimentKey   = "[Experiment] Experiment Key"
	PropertyEnvironmentName = "[Experiment] Environment Name"

	// SuffixVariant and SuffixDetails follow the flag key in the event properties of an assignment.
	SuffixVariant = ".variant"
	SuffixDetails = ".details"

	RawFlagKey       = "flag_key"
	RawVariant       = "variant"
	RawExperimentKey = "experiment_key"
	// RawMetadata is the evaluation metadata that SDKs keep on an exposure.
	RawMetadata = "metadata"
)

// Operators on user and group properties, as keys of user_properties.
const (
	OpSet        = "$set"
	OpSetOnce    = "$setOnce"
	OpAdd        = "$add"
	OpAppend     = "$append"
	OpPrepend    = "$prepend"
	OpUnset      = "$unset"
	OpPreInsert  = "$preInsert"
	OpPostInsert = "$postInsert"
	OpRemove     = "$remove"
	OpClearAll   = "$clearAll"

	// UnsetValue is the conventional value of a property under OpUnset; Amplitude reads only the key.
	UnsetValue = "-"
)

// Operators lists every operator in the order in which Amplitude applies them within one event.
var Operators = []string{
	OpClearAll, OpUnset, OpSet, OpSetOnce, OpAdd, OpAppend, OpPrepend, OpPreInsert, OpPostInsert, OpRemove,
}

// IsOperator reports whether name is one of Operators.
func IsOperator(name string) bool {
	for _, op := range Operators {
		if op == name {
			return true
		}
	}
	return false
}

// Attribute names that carry an event through a pipeline; see the package comment.
const (
	AttrPrefix = "amplitude."

	AttrUserID                 = AttrPrefix + FieldUserID
	AttrDeviceID               = AttrPrefix + FieldDeviceID
	AttrSessionID              = AttrPrefix + FieldSessionID
	AttrInsertID               = AttrPrefix + FieldInsertID
	AttrSkipUserPropertiesSync = AttrPrefix + FieldSkipUserPropertiesSync

	AttrUserPropertiesPrefix  = AttrPrefix + FieldUserProperties + "."
	AttrGroupPropertiesPrefix = AttrPrefix + FieldGroupProperties + "."
	AttrGroupsPrefix          = AttrPrefix + FieldGroups + "."
	// AttrEventPropertiesPrefix starts the attribute of an event property whose name starts with AttrPrefix. Every
	// other event property is an attribute with its own name.
	AttrEventPropertiesPrefix = AttrPrefix + FieldEventProperties + "."
	AttrEventJSON             = AttrPrefix + FieldEventJSON

	// AttrProject is a resource attribute with the project of the sender's key. It is not part of an event.
	AttrProject = AttrPrefix + "project"

	AttrSetPrefix   = AttrUserPropertiesPrefix + OpSet + "."
	AttrUnsetPrefix = AttrUserPropertiesPrefix + OpUnset + "."
)
