// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package experiment // import "github.com/otelcol-amplitude/otelcol-amplitude/internal/experiment"

import (
	"math/bits"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/steps"
)

// What a scope or a resource says once, each of its records repeats in an event of its own. A small request could grow
// without bound that way, so what the records of a request copy beyond the ordinary counts against a budget.

const (
	// freeInherited is how many bytes each record may inherit beside the budget: ids, an environment, an experiment key.
	freeInherited = 256
	// flagCost is what a flag of an assignment takes beside its texts, in bytes.
	flagCost = 200
)

// copiedFields are the fields of text that an event repeats.
var copiedFields = setOf(fieldFlagKey, fieldVariant, fieldValue, fieldExperimentKey, fieldMetadataExperimentKey,
	fieldEnvironment, fieldUserID, fieldDeviceID, fieldContextID, fieldTracked, fieldOutcomeID)

// weigh counts what each record copies of inherited fields.
func (v *fieldValues) weigh() {
	v.weight, v.flagsWeight = 0, 0
	for left := v.answered & (copiedFields | groupFields); left != 0; left &= left - 1 {
		a := &v.answers[bits.TrailingZeros64(uint64(left))]
		v.weight += len(a.text)
		for _, value := range a.values {
			v.weight += len(value)
		}
	}
	for i := range v.groups {
		v.weight += len(v.groups[i].Type)
		for _, value := range v.groups[i].Values {
			v.weight += len(value)
		}
	}
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

// inherits takes what a record inherits out of the budget of the batch, and tells whether there was enough.
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
