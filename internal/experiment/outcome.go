// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package experiment // import "github.com/otelcol-amplitude/otelcol-amplitude/internal/experiment"

// Outcome is what became of a record.
type Outcome uint8

// The outcomes of records.
const (
	Passed Outcome = iota
	Dropped
	Exposure
	Unexposure
	Assignment
	Impression
	OutcomeEvent
	AlreadyShaped
	Duplicate
	Repaired
	Skipped
	Rejected
	NumOutcomes
)

var outcomeNames = [NumOutcomes]string{
	"passed", "dropped", "exposure", "unexposure", "assignment", "impression", "outcome_event", "already_shaped", "duplicate", "repaired", "skipped", "rejected",
}

// String returns the outcome by the name that metrics use.
func (o Outcome) String() string { return outcomeNames[o] }

// decision is the result of reading a record.
type decision struct {
	outcome Outcome
	skip    SkipReason
	reject  RejectReason
}

func skipped(reason SkipReason) decision { return decision{outcome: Skipped, skip: reason} }

func rejected(reason RejectReason) decision { return decision{outcome: Rejected, reject: reason} }

// leaves reports whether the record becomes events.
func (d decision) leaves() bool {
	switch d.outcome {
	case Exposure, Unexposure, Assignment, Impression, OutcomeEvent, AlreadyShaped:
		return true
	default:
		return false
	}
}

// SkipReason says why a record is not an exposure or assignment.
type SkipReason uint8

// The reasons of skipped records. SkipError to SkipPrerequisiteFailed are evaluation reasons.
const (
	SkipErrorType SkipReason = iota
	SkipError
	SkipDisabled
	SkipDefault
	SkipStatic
	SkipOff
	SkipOffline
	SkipDefaultvalue
	SkipUnknownfeature
	SkipCyclicprerequisite
	SkipPrerequisiteFailed
	SkipOtherReason
	SkipNoFlagKey
	SkipNoVariant
	SkipNoFlags
	SkipTrackExposure
	SkipUnassigned
	SkipNothingToSet
	SkipSuperseded
	SkipNoExposure
	SkipUnlistedOutcome
	SkipNoOutcome
	NumSkipReasons
)

var skipNames = [NumSkipReasons]string{
	"error_type", "error", "disabled", "default", "static", "off", "offline", "defaultvalue",
	"unknownfeature", "cyclicprerequisite", "prerequisite_failed", "other_reason",
	"no_flag_key", "no_variant", "no_flags", "track_exposure", "unassigned", "nothing_to_set", "superseded",
	"no_exposure", "unlisted_outcome", "no_outcome_name",
}

// String returns the reason by the name that metrics use.
func (r SkipReason) String() string { return skipNames[r] }

var skipHints = [NumSkipReasons]string{
	SkipErrorType:          "error.type is set: the evaluation failed and the application used its default value; look for the error in the application",
	SkipError:              "the evaluation failed and the application used its default value; look for the error in the application",
	SkipDisabled:           "the flag is disabled for everyone; expected until it is enabled",
	SkipDefault:            "the flag returned its default value, so the user is not in a variant; if your provider reports experiments this way, remove default from evaluation.skip_reasons",
	SkipStatic:             "the flag gives everyone the same value, so it is not an experiment; if your provider reports experiments this way, remove static from evaluation.skip_reasons",
	SkipOff:                "the flag is off; expected until it is turned on",
	SkipOffline:            "the flag client was offline and returned the default value; if this persists, check how the application reaches its flag service",
	SkipDefaultvalue:       "no rule of the flag applied to the user, who is not in a variant",
	SkipUnknownfeature:     "the provider does not know the flag: check its key in the application, and that the flag exists in this environment",
	SkipCyclicprerequisite: "the prerequisites of the flag form a cycle: fix them where the flag is defined",
	SkipPrerequisiteFailed: "the user does not meet a prerequisite of the flag and is not in a variant",
	SkipOtherReason:        "the evaluation has a reason that is in your evaluation.skip_reasons",
	SkipNoFlagKey:          "no attribute of evaluation.flag_key is on the record: add it in the application, or add its name to the configuration",
	SkipNoVariant:          "no attribute of evaluation.variant is on the record, and no value can be used instead: have the application record the variant, or add the attribute's name to the configuration",
	SkipNoFlags:            "no attribute of assignment.variants holds a map of flags, and no attribute is named <flag key>.variant: add the flags in the application, or add the attribute's name to the configuration",
	SkipTrackExposure:      "metadata.trackExposure is false: the application asks not to count the exposure",
	SkipUnassigned:         "the user is not in a variant, and exposure.unassigned is drop",
	SkipNothingToSet:       "the user is not in a variant, exposure.unassigned is identify, and there is no user property to unset",
	SkipNoExposure:         "assignment.emit is exposures, and each flag of the result is at its default, has no variant, or asks not to be tracked (metadata.trackExposure): Amplitude's SDKs track nothing either; set it to both to send the assignment, too",
	SkipUnlistedOutcome:    "a tracking call names an outcome that outcomes.events does not list: add the name to send it, which counts toward event volume",
	SkipNoOutcome:          "no attribute of outcomes.tracking.name is on the tracking call: add it in the application, or its name to the configuration",
	SkipSuperseded:         "the same evaluation also came as feature_flag.evaluation, which decides: two hooks are registered; remove the one that writes feature_flag",
}

// Hint says what the reason means, and what to do if it is unexpected.
func (r SkipReason) Hint() string { return skipHints[r] }

// RejectReason says why a record could not become an event, or a flag could not be part of one.
type RejectReason uint8

// The reasons of rejected records.
const (
	RejectNoID RejectReason = iota
	RejectEmptyID
	RejectPlaceholderID
	RejectShortID
	RejectLongID
	RejectNotAnID
	RejectNoFlagKey
	RejectLongFlagKey
	RejectBadVariant
	RejectPropertyLimit
	RejectFlagLimit
	RejectBadMetadata
	RejectSubjectLimit
	RejectInheritedLimit
	RejectBadVariants
	RejectBadGroups
	RejectOutcomeLimit
	NumRejectReasons
)

var rejectNames = [NumRejectReasons]string{
	"no_id", "empty_id", "placeholder_id", "short_id", "long_id", "not_an_id",
	"no_flag_key", "long_flag_key", "bad_variant", "property_limit", "flag_limit", "bad_metadata", "subject_limit", "inherited_limit",
	"bad_variants", "bad_groups", "outcome_limit",
}

// String returns the reason by the name that metrics use.
func (r RejectReason) String() string { return rejectNames[r] }

var rejectHints = [NumRejectReasons]string{
	RejectNoID:          "no attribute of identity.user_id, identity.device_id or identity.context_id is on the record, its scope or its resource: add the id in the application, or add its attribute name to the configuration",
	RejectEmptyID:       "the id is blank: the flag was evaluated without a user",
	RejectPlaceholderID: "the id is a word that Amplitude refuses, such as null or anonymous: the flag was evaluated without a user",
	RejectShortID:       "the id is shorter than identity.min_id_length: lower it here and in the exporter if the ids are real",
	RejectLongID:        "the id is longer than Amplitude stores: it is not the id of a user or device",
	RejectNotAnID:       "the id is neither a string nor an integer",
	RejectNoFlagKey:     "no attribute of exposure.flag_key is on the record: add it in the application, or add its name to the configuration",
	RejectLongFlagKey:   "the flag key is longer than a property name may be",
	RejectBadVariant:    "the variant is not a string, number or boolean, or is too long: send the key of the variant, not its content",
	RejectPropertyLimit: "there are more distinct flags than max_experiment_properties: raise it, or stop sending flags that are not experiments",
	RejectFlagLimit:     "an assignment has more flags than limits.flags: send only those that are experiments, or raise it",
	RejectSubjectLimit:  "a request has more records for one user and flag than limits.subject_records: look for an application that reports in a loop, or raise it",
	RejectInheritedLimit: "the records of a request repeat more of their scopes and resources than limits.inherited_mib: put flags and long texts " +
		"on the records that they belong to, or raise it",
	RejectBadMetadata:  "metadata is neither a map nor the text of a JSON object, so its default marker cannot be read: fix it in the application, or rename the attribute if it is something else",
	RejectBadVariants:  "an attribute of assignment.variants is neither a map nor the text of a JSON object: fix it in the application",
	RejectOutcomeLimit: "more outcomes in a minute than outcomes.max_per_minute: raise it if they are real, or set outcomes.over_limit to wait, which makes senders retry",
	RejectBadGroups:    "groups is neither a map from group type to group nor the text of such a JSON object: fix it in the application, or rename the attribute if it is something else",
}

// Hint says what to do about a rejection.
func (r RejectReason) Hint() string { return rejectHints[r] }
