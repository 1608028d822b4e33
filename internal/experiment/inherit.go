// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package experiment // import "github.com/otelcol-amplitude/otelcol-amplitude/internal/experiment"

import (
	"math/bits"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/steps"
)

// Every record repeats what its scope and resource say in its own event. That could make a small request grow without
// bound, so what the records of a request copy beyond an ordinary amount is charged to a budget.

const (
	// freeInherited is how many bytes each record may inherit in addition to the budget: ids, an environment, an
	// experiment key.
	freeInherited = 256
	// flagCost is the size of a flag of an assignment in bytes, without its strings.
	flagCost = 200
)

// copiedFields are the text fields that an event repeats.
var copiedFields = setOf(fieldFlagKey, fieldVariant, fieldValue, fieldExperimentKey, fieldMetadataExperimentKey,
	fieldEnvironment, fieldUserID, fieldDeviceID, fieldContextID, fieldTracked, fieldOutcomeID)

// weigh counts the bytes that each record copies from inherited fields.
func (v *fieldValues) weigh() {
	v.weight, v.flagsWeight = 0, 0
	for left := v.answered & (copiedFields | groupFields); left != 0; left &= left - 1 {
		a := &v.answers[bits.TrailingZeros64(uint64(left))]
		v.weight += len(a.text)
		for _, value := range a.values {
			v.weight += len(value)
		}
	}
	v.weight += groupsWeight(v.groups)
	if v.found(fieldMetadata) {
		v.weight += len(v.metadata.experimentKey)
	}
	if v.found(fieldVariants) {
		flags := v.answers[fieldVariants].value.Map()
		steps.Add(flags.Len())
		for key, value := range flags.All() {
			v.flagsWeight += flagCost + len(key)
			if value.Type() == pcommon.ValueTypeStr {
				v.flagsWeight += len(value.Str())
			}
		}
	}
}

// groupsWeight returns how many bytes of text the groups hold.
func groupsWeight(groups []Group) (weight int) {
	for i := range groups {
		weight += len(groups[i].Type)
		for _, value := range groups[i].Values {
			weight += len(value)
		}
	}
	return weight
}

// inherits charges what a record inherits to the budget of the batch, and reports whether it was sufficient.
func (p *parser) inherits(weight int) bool {
	if weight <= freeInherited {
		return true
	}
	if weight -= freeInherited; weight > p.set.Limits.InheritedBytes-p.inherited {
		return false
	}
	p.inherited += weight
	return true
}
