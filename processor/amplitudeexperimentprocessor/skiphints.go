// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudeexperimentprocessor // import "github.com/otelcol-amplitude/otelcol-amplitude/processor/amplitudeexperimentprocessor"

// skipHints tell what a skip means, and what an operator can do if it is not expected.
var skipHints = [numSkipReasons]string{
	skipErrorType:          "error.type is set: the evaluation failed and the application used its default value; look for the error in the application",
	skipError:              "the evaluation failed and the application used its default value; look for the error in the application",
	skipDisabled:           "the flag is disabled for everybody; expected until it is enabled",
	skipDefault:            "the flag gave its default value, so the user is in no variant; if your provider reports experiments like this, take default out of evaluation.skip_reasons",
	skipStatic:             "the flag gives everybody the same value, so it is no experiment; if your provider reports experiments like this, take static out of evaluation.skip_reasons",
	skipOff:                "the flag is off; expected until it is turned on",
	skipOffline:            "the flag client was offline and gave the default value; if this lasts, check how the application reaches its flag service",
	skipDefaultvalue:       "no rule of the flag applied to the user, who is in no variant",
	skipUnknownfeature:     "the provider does not know the flag: check its key in the application, and that the flag exists in this environment",
	skipCyclicprerequisite: "the prerequisites of the flag form a cycle: correct them where the flag is defined",
	skipPrerequisiteFailed: "the user does not meet a prerequisite of the flag and is in no variant",
	skipOtherReason:        "the evaluation has a reason that your evaluation.skip_reasons lists",
	skipNoFlagKey:          "no attribute of evaluation.flag_key is on the record: add it in the application, or its name to the configuration",
	skipNoVariant:          "no attribute of evaluation.variant is on the record, and no value can stand for it: have the application record the variant, or add the attribute's name to the configuration",
	skipNoFlags:            "no attribute of assignment.variants holds a map of flags, and no attribute is named <flag key>.variant: add the flags in the application, or the attribute's name to the configuration",
	skipTrackExposure:      "metadata.trackExposure is false: the application asks not to count the exposure",
	skipUnassigned:         "the user is in no variant, and exposure.unassigned is drop",
	skipNothingToSet:       "the user is in no variant, exposure.unassigned is identify, and there is no user property to unset",
}
