// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudeexperimentprocessor // import "github.com/otelcol-amplitude/otelcol-amplitude/processor/amplitudeexperimentprocessor"

// outcome is what became of a record.
type outcome uint8

const (
	outcomePassed outcome = iota
	outcomeDropped
	outcomeExposure
	outcomeUnexposure
	outcomeAssignment
	outcomeAlreadyShaped
	outcomeDuplicate
	outcomeSkipped
	outcomeRejected
	outcomeRefused
	numOutcomes
)

var outcomeNames = [numOutcomes]string{
	"passed", "dropped", "exposure", "unexposure", "assignment", "already_shaped",
	"duplicate", "skipped", "rejected", "refused",
}

// leaves tells whether a record with this outcome goes on to the next component.
func (o outcome) leaves() bool {
	switch o {
	case outcomePassed, outcomeExposure, outcomeUnexposure, outcomeAssignment, outcomeAlreadyShaped:
		return true
	default:
		return false
	}
}

// skipReason says why a record is no exposure or assignment.
type skipReason uint8

const (
	skipErrorType skipReason = iota
	skipError
	skipDisabled
	skipDefault
	skipStatic
	skipOff
	skipOffline
	skipDefaultvalue
	skipUnknownfeature
	skipCyclicprerequisite
	skipPrerequisiteFailed
	skipOtherReason
	skipNoFlagKey
	skipNoVariant
	skipNoFlags
	skipTrackExposure
	skipUnassigned
	skipNothingToSet
	numSkipReasons
)

var skipNames = [numSkipReasons]string{
	"error_type", "error", "disabled", "default", "static", "off", "offline", "defaultvalue",
	"unknownfeature", "cyclicprerequisite", "prerequisite_failed", "other_reason",
	"no_flag_key", "no_variant", "no_flags", "track_exposure", "unassigned", "nothing_to_set",
}

// skipReasonOf returns the metric's word for an evaluation reason; those of a user's own share one.
func skipReasonOf(reason string) skipReason {
	for i := skipError; i < skipOtherReason; i++ {
		if skipNames[i] == reason {
			return i
		}
	}
	return skipOtherReason
}

// rejectReason says why a record could not become an event, or a flag could not be part of one.
type rejectReason uint8

const (
	rejectNoID rejectReason = iota
	rejectEmptyID
	rejectPlaceholderID
	rejectShortID
	rejectLongID
	rejectNotAnID
	rejectNoFlagKey
	rejectLongFlagKey
	rejectBadVariant
	rejectPropertyLimit
	numRejectReasons
)

var rejectNames = [numRejectReasons]string{
	"no_id", "empty_id", "placeholder_id", "short_id", "long_id", "not_an_id",
	"no_flag_key", "long_flag_key", "bad_variant", "property_limit",
}

// rejectHints tell what an operator can do about a rejection.
var rejectHints = [numRejectReasons]string{
	rejectNoID:          "no attribute of identity.user_id, identity.device_id or identity.context_id is on the record, its scope or its resource: add the id in the application, or its attribute name to the configuration",
	rejectEmptyID:       "the id is blank: the flag was evaluated without a user",
	rejectPlaceholderID: "the id is a word that Amplitude refuses, such as null or anonymous: the flag was evaluated without a user",
	rejectShortID:       "the id is shorter than identity.min_id_length: lower it here and in the exporter if the ids are real",
	rejectLongID:        "the id is longer than Amplitude stores: it is no id of a user or device",
	rejectNotAnID:       "the id is neither text nor a whole number",
	rejectNoFlagKey:     "no attribute of exposure.flag_key is on the record: add it in the application, or its name to the configuration",
	rejectLongFlagKey:   "the flag key is longer than a property name may be",
	rejectBadVariant:    "the variant is no text, number or boolean, or is too long: send the key of the variant, not its content",
	rejectPropertyLimit: "more distinct flags than max_experiment_properties: raise it, or stop the flags that are not experiments",
}

func rejectReasonOfID(problem idProblem) rejectReason {
	return rejectNoID + rejectReason(problem)
}
