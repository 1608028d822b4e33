// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package diagnostics // import "github.com/otelcol-amplitude/otelcol-amplitude/internal/diagnostics"

import (
	"cmp"
	"slices"
)

// Counts are what is known about a run of a flag. Numbers of persons are exact while SampledShare is 1, and estimates
// otherwise.
type Counts struct {
	Flag, Run string
	// Variants are sorted by name; expected ones are present even before anyone saw them.
	Variants []VariantCount
	// Persons were exposed; DeviceOnly of them are known only by a device id, and Changed saw more than one variant.
	Persons, Changed, DeviceOnly int
	// Assigned are the persons who were assigned to a variant of the flag, in any run; ExposedAssigned are those of
	// them who were exposed in this run. WithoutAssignment were exposed without an assignment on the day of their
	// latest exposure; it is 0 if no assignment of the flag was seen.
	Assigned, ExposedAssigned, WithoutAssignment int
	// Exposures are those to variants, Late those of them that arrived after something newer. They are not shared
	// between replicas.
	Exposures, Unexposures, Late int64
	// SampledShare is the share of all persons that are tracked individually.
	SampledShare float64
	Verdict      Verdict
	// ChiSquare is the p-value of the classic test of the tested persons, as if this were the only look; 1 if no shares
	// are expected.
	ChiSquare float64
}

// VariantCount is one variant of a run.
type VariantCount struct {
	Variant string
	// Persons saw it first.
	Persons int
	// Tested of them, in the sample, were first seen since the current shares were configured.
	Tested int
	// Share is the expected one; 0 if there is none.
	Share float64
}

// Verdict is the result of the test.
type Verdict struct {
	// Tested: the flag has expected shares.
	Tested bool
	// Evidence is the logarithm of the Bayes factor at this look, minus the price of the level; see [Evidence].
	Evidence float64
	// PValue is the lowest p-value of all looks.
	PValue float64
}

// Mismatch reports whether the split is not as expected.
func (v Verdict) Mismatch() bool { return v.Tested && v.PValue <= Alpha }

// Read returns the counts of all runs, sorted by flag and run.
func (b *Book) Read() []Counts {
	b.mu.RLock()
	flags := make([]*flag, 0, len(b.flags))
	for _, f := range b.flags {
		flags = append(flags, f)
	}
	b.mu.RUnlock()
	var all []Counts
	for _, f := range flags {
		f.mu.Lock()
		for _, r := range f.runs {
			all = append(all, f.counts(r))
		}
		if len(f.runs) == 0 {
			nobody := &run{}
			all = append(all, f.counts(nobody))
		}
		f.mu.Unlock()
	}
	slices.SortFunc(all, func(a, b Counts) int { return cmp.Or(cmp.Compare(a.Flag, b.Flag), cmp.Compare(a.Run, b.Run)) })
	return all
}

// tally counts the entries of a sample.
type tally struct {
	persons, tested            []int
	all, changed, devices      int
	exposedAssigned, unaligned int
}

func (f *flag) counts(r *run) Counts {
	c := Counts{
		Flag: f.key, Run: r.key, Exposures: r.exposures, Unexposures: r.unexposures, Late: r.late, SampledShare: 1 / float64(r.persons.weight()),
		Assigned: f.assigned.used * f.assigned.weight(), ChiSquare: 1,
	}
	t := f.tally(r)
	weight := r.persons.weight()
	c.Persons, c.Changed, c.DeviceOnly = t.all*weight, t.changed*weight, t.devices*weight
	both := max(weight, f.assigned.weight())
	c.ExposedAssigned, c.WithoutAssignment = t.exposedAssigned*both, t.unaligned*both
	tested := map[string]int{}
	for i, name := range r.variants {
		one := VariantCount{Variant: name, Persons: t.persons[i] * weight, Tested: t.tested[i]}
		tested[name] = one.Tested
		c.Variants = append(c.Variants, one)
	}
	if f.shares != nil {
		for name, share := range f.shares.Of {
			i := slices.IndexFunc(c.Variants, func(v VariantCount) bool { return v.Variant == name })
			if i < 0 {
				i = len(c.Variants)
				c.Variants = append(c.Variants, VariantCount{Variant: name})
			}
			c.Variants[i].Share = share
		}
		evidence := Evidence(f.shares, tested) - levelPrice(r.persons.level)
		if evidence > r.best {
			r.best = evidence
			f.changes++
		}
		c.ChiSquare = c.chiSquare()
		c.Verdict = Verdict{Tested: true, Evidence: evidence, PValue: PValue(r.best)}
	}
	slices.SortFunc(c.Variants, func(a, b VariantCount) int { return cmp.Compare(a.Variant, b.Variant) })
	return c
}

func (c *Counts) chiSquare() float64 {
	counts, shares := make([]float64, len(c.Variants)), make([]float64, len(c.Variants))
	for i, v := range c.Variants {
		counts[i], shares[i] = float64(v.Tested), v.Share
	}
	_, p := ChiSquare(counts, shares)
	return p
}

func (f *flag) tally(r *run) tally {
	t := tally{persons: make([]int, len(r.variants)), tested: make([]int, len(r.variants))}
	tag := f.shares.tagOf()
	for i := range r.persons.slots {
		e := &r.persons.slots[i]
		if e.hash == 0 || e.marks&markAlias != 0 {
			continue
		}
		t.all++
		t.persons[e.variant]++
		if e.tag == tag {
			t.tested[e.variant]++
		}
		if e.marks&markChanged != 0 {
			t.changed++
		}
		if e.marks&markDevice != 0 {
			t.devices++
		}
		if f.assigned.used == 0 || !f.assigned.takes(e.hash) {
			continue
		}
		assigned := f.assigned.find(e.hash)
		if assigned != nil {
			t.exposedAssigned++
		}
		if assigned == nil || assigned.day < e.day {
			t.unaligned++
		}
	}
	return t
}
