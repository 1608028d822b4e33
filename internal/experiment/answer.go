// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package experiment // import "github.com/otelcol-amplitude/otelcol-amplitude/internal/experiment"

import (
	"math"
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/amplitude"
)

// answer is the value found for a field.
type answer struct {
	// number is the answer of a boolean (0, 1) or session field, or the bits of an amount; for a value it is isBoolean
	// if the value is a boolean.
	number int64
	// text is the answer of a text field.
	text string
	// value is the answer of a map field.
	value pcommon.Value
	// values are the answer of a group field, and leftOut is how many groups or values had no room.
	values  []string
	leftOut int
}

// isBoolean marks a value that is a boolean.
const isBoolean = 1

// refusal is why a field does not accept a value.
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
	refusedNotNumber
	refusedNotCurrency
	refusedNoOutcomeID
	// The problems of ids, in the order of [RejectReason].
	refusedEmptyID
	refusedPlaceholder
	refusedShortID
	refusedLongID
	refusedNotAnID
	numRefusals
)

// read reads a value as the answer for a field. A refused value changes nothing.
func (a *answer) read(of field, value pcommon.Value, ids idRules) refusal {
	if value.Type() == pcommon.ValueTypeEmpty {
		return refusedNull
	}
	switch of {
	case fieldVariant, fieldValue:
		switch text, state := variantText(value, of == fieldValue); state {
		case variantUsable:
			a.text, a.number = text, 0
			if of == fieldValue {
				if _, ok := boolean(value); ok {
					a.number = isBoolean
				}
			}
		case variantBad:
			return refusedBadVariant
		default:
			return refusedBlank
		}
	case fieldUserID, fieldDeviceID, fieldContextID:
		text, problem := readID(value, ids)
		if problem != noProblem {
			return refusedEmptyID + refusal(problem-RejectEmptyID)
		}
		a.text = text
	case fieldInExperiment, fieldDefaultMarker, fieldMetadataDefault, fieldMetadataTrack:
		is, ok := boolean(value)
		if !ok {
			return refusedNotBoolean
		}
		a.number = 0
		if is {
			a.number = 1
		}
	case fieldMetadata, fieldVariants, fieldGroups:
		object, why := objectOf(value)
		if why != refusedNot {
			return why
		}
		a.value = object
	case fieldSessionID:
		ms, ok := sessionMillis(value)
		if !ok {
			return refusedNotTime
		}
		a.number = ms
	case fieldRevenue, fieldPrice, fieldQuantity:
		amount, ok := number(value)
		if !ok || (of == fieldQuantity && amount != math.Trunc(amount)) {
			return refusedNotNumber
		}
		a.number = int64(math.Float64bits(amount))
	case fieldCurrency:
		code, ok := currencyCode(value)
		if !ok {
			return refusedNotCurrency
		}
		a.text = code
	case fieldFlagKey, fieldTracked, fieldOutcomeID:
		text, ok := keyText(value)
		if !ok {
			return refusedNotName
		}
		if of == fieldOutcomeID {
			if _, problem := amplitude.CheckID(text, 0); problem == amplitude.IDPlaceholder {
				return refusedNoOutcomeID // or all outcomes of a user whose application writes "undefined" would be one
			}
		}
		a.text = text
	case fieldExperimentKey, fieldMetadataExperimentKey, fieldEnvironment:
		text, ok := keyText(value)
		if !ok {
			return refusedNotName
		}
		a.text = amplitude.Truncate(text, amplitude.MaxStringLength)
	case fieldReason, fieldProvider, fieldErrorType, fieldMetadataType, fieldMetadataEvent, fieldMetadataDelivery, fieldClientAddress:
		text, ok := scalarText(value)
		if !ok || strings.TrimSpace(text) == "" {
			return refusedNotScalar
		}
		a.text = text
	default:
		a.values, a.leftOut = groupValues(value)
	}
	return refusedNot
}
