// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package sandbox // import "github.com/otelcol-amplitude/otelcol-amplitude/sandbox"

import "slices"

// Bounds on the counts of events other than those of experiments.
const (
	outcomeTypes = 50  // event types of a variant
	outcomeRuns  = 100 // runs of flags that the user of an event is in
)

// outcomeCount is how often users who were in a variant sent an event of one type, and how many of them.
type outcomeCount struct{ events, users int }

// did identifies an event type that a user sent while in a variant.
type did struct {
	in        *variantCount
	eventType string
}

// meet notes that the user was in a variant.
func (f *userFlag) meet(v *variantCount) {
	steps(len(f.met))
	if !slices.Contains(f.met, v) {
		f.met = append(f.met, v)
		v.met++
	}
}

// outcome counts an event for the current variants of its user: those of the user properties, by which Amplitude
// segments.
func (x *experiments) outcome(e *entry, u *user) {
	if u.flagCount > outcomeRuns {
		x.overflow++
		return
	}
	for flag, state := range u.flags {
		variant, in := u.properties[experimentPrefix+flag].(string)
		if !in {
			continue
		}
		for _, f := range state.runs {
			steps(1)
			if f.last == nil || f.out {
				continue
			}
			if v := x.variant(f.in, variant); v == nil || !x.outcomeIn(f, v, e.eventType, u) {
				x.overflow++
			}
		}
	}
}

// outcomeIn counts an event for a variant of one run, and reports whether there was room for it.
func (x *experiments) outcomeIn(f *userFlag, v *variantCount, eventType string, u *user) bool {
	f.meet(v)
	count := v.outcomes[eventType]
	if count == nil {
		if len(v.outcomes) >= outcomeTypes || !x.holds(len(eventType)) {
			return false
		}
		if v.outcomes == nil {
			v.outcomes = map[string]*outcomeCount{}
		}
		count = &outcomeCount{}
		v.outcomes[eventType] = count
	}
	count.events++
	one := did{v, eventType}
	if _, again := f.did[one]; again {
		return true
	}
	const cost = 96
	if !u.held.fits(cost) {
		return false
	}
	u.held.add(cost)
	if f.did == nil {
		f.did = map[did]struct{}{}
	}
	f.did[one] = struct{}{}
	count.users++
	return true
}
