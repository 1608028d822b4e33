// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package sandbox // import "github.com/otelcol-amplitude/otelcol-amplitude/sandbox"

import (
	"cmp"
	"net/http"
	"slices"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/diagnostics"
)

// experimentView is one run of a flag as the experiment page shows it.
type experimentView struct {
	Project       int           `json:"project"`
	Flag          string        `json:"flag"`
	ExperimentKey string        `json:"experiment_key,omitempty"`
	Users         int           `json:"users"` // distinct, with an exposure
	Exposures     int           `json:"exposures"`
	Unexposures   int           `json:"unexposures"`
	Changes       int           `json:"variant_changes"`
	Jumpers       int           `json:"users_who_changed"`
	Left          int           `json:"users_unexposed"` // their latest exposure is an un-exposure
	Assignments   int           `json:"assignments"`     // assignment events that name the flag
	Unassigned    int           `json:"exposures_without_assignment"`
	First         int64         `json:"first"` // ms, event time
	Last          int64         `json:"last"`
	Variants      []variantView `json:"variants"`
	SRM           srmView       `json:"srm"`
	// Diagnostics are what the processor's diagnostics would say; nil for flags beyond their limit.
	Diagnostics *diagnosticsView `json:"diagnostics,omitempty"`
	Timeline    *timelineView    `json:"timeline,omitempty"`
}

// diagnosticsView is what the processor's diagnostics say of a run, by the same code.
type diagnosticsView struct {
	Persons           int     `json:"persons"`
	Changed           int     `json:"changed"`
	DeviceOnly        int     `json:"device_only"`
	Assigned          int     `json:"assigned"`
	AssignedExposed   int     `json:"assigned_exposed"`
	WithoutAssignment int     `json:"without_assignment"`
	Late              int64   `json:"late_exposures"`
	SampledShare      float64 `json:"sampled_share"`
	Tested            bool    `json:"tested"` // shares are configured
	Mismatch          bool    `json:"mismatch"`
	Evidence          float64 `json:"evidence"`
	PValue            float64 `json:"p_value"` // of the sequential test, the lowest so far
}

type variantView struct {
	Variant    string  `json:"variant"`
	Users      int     `json:"users"`       // whose latest variant it is, except those who were un-exposed since
	FirstUsers int     `json:"first_users"` // who saw it first; what the sample-ratio test counts
	Exposures  int     `json:"exposures"`
	Expected   float64 `json:"expected_share"`
	// Met counts the distinct users who were ever in the variant, Outcomes the events that they sent while they were: a
	// view of test data, not an analysis.
	Met      int           `json:"users_met"`
	Outcomes []outcomeView `json:"outcomes"`
}

// outcomeView is what users who were in a variant did.
type outcomeView struct {
	EventType string  `json:"event_type"`
	Events    int     `json:"events"`
	Users     int     `json:"users"`
	Share     float64 `json:"share"` // of the users who were ever in the variant
}

// outcomesOf returns the events of a variant's users, by name.
func outcomesOf(v *variantCount) []outcomeView {
	views := []outcomeView{}
	for eventType, n := range v.outcomes {
		views = append(views, outcomeView{eventType, n.events, n.users, float64(n.users) / float64(max(1, v.met))})
	}
	slices.SortFunc(views, func(a, b outcomeView) int { return cmp.Compare(a.EventType, b.EventType) })
	return views
}

// States of a sample-ratio test.
const (
	srmTooEarly = "too_early"
	srmSingle   = "one_variant"
	srmOK       = "ok"
	srmMismatch = "mismatch"
)

// srmView is the outcome of a sample-ratio test.
type srmView struct {
	State     string  `json:"state"` // too_early, one_variant, ok or mismatch
	ChiSquare float64 `json:"chi_square"`
	PValue    float64 `json:"p_value"` // 1 when there is no test
	Weights   string  `json:"weights"` // equal or configured
}

const (
	// srmUsers is the number of users below which a test is meaningless.
	srmUsers = 100
	// srmAlpha is the p-value below which the ratio counts as a mismatch.
	srmAlpha = 0.01
)

// experimentsAPI shows the users of each experiment by variant.
type experimentsAPI struct{ *store }

func (s *experimentsAPI) routes() routes {
	return routes{"GET /_sandbox/experiments": s.getExperiments}
}

// getExperiments answers with every run, the busiest first, and with the number of exposures and assignments that were
// not counted because there were more flags, runs or variants than the sandbox keeps.
func (s *experimentsAPI) getExperiments(w http.ResponseWriter, _ *http.Request) {
	s.mu.Lock()
	views, distinct, notCounted := []experimentView{}, 0, 0
	for _, p := range s.order {
		distinct += len(p.flags.propertied)
		notCounted += p.flags.overflow
		diagnosed := p.flags.diagnosed()
		for _, x := range p.flags.order {
			view := x.view(p.number, p.flags.assigned[x.flag], s.config.Weights[x.flag])
			view.Diagnostics = diagnosed[[2]string{x.flag, x.run}]
			views = append(views, view)
		}
	}
	s.mu.Unlock()
	slices.SortStableFunc(views, func(a, b experimentView) int {
		return cmp.Or(cmp.Compare(b.Users, a.Users), cmp.Compare(a.Flag, b.Flag), cmp.Compare(a.ExperimentKey, b.ExperimentKey))
	})
	writeJSON(w, http.StatusOK, map[string]any{
		"experiments":           views,
		"experiment_properties": map[string]int{"used": distinct, "limit": maxExperimentProperties},
		"not_counted":           notCounted,
	})
}

// diagnosed returns the diagnostics of each run.
func (x *experiments) diagnosed() map[[2]string]*diagnosticsView {
	views := map[[2]string]*diagnosticsView{}
	for _, c := range x.book.Read() {
		views[[2]string{c.Flag, c.Run}] = &diagnosticsView{
			Persons: c.Persons, Changed: c.Changed, DeviceOnly: c.DeviceOnly, Assigned: c.Assigned, AssignedExposed: c.ExposedAssigned,
			WithoutAssignment: c.WithoutAssignment, Late: c.Late, SampledShare: c.SampledShare,
			Tested: c.Verdict.Tested, Mismatch: c.Verdict.Mismatch(), Evidence: c.Verdict.Evidence, PValue: c.Verdict.PValue,
		}
	}
	return views
}

func (x *experiment) view(project, assignments int, weights map[string]float64) experimentView {
	v := experimentView{
		Project: project, Flag: x.flag, ExperimentKey: x.run, Users: x.users, Exposures: x.exposures, Unexposures: x.unexposures,
		Changes: x.changes, Jumpers: x.jumpers, Left: x.left, Assignments: assignments, Unassigned: x.unassigned, First: x.first, Last: x.last,
		Variants: []variantView{}, Timeline: x.timeline.view(x.variants),
	}
	for _, one := range x.variants {
		v.Variants = append(v.Variants, variantView{Variant: one.key, Users: one.users, FirstUsers: one.first, Exposures: one.exposures, Met: one.met, Outcomes: outcomesOf(one)})
	}
	for key := range weights {
		if !slices.ContainsFunc(v.Variants, func(one variantView) bool { return one.Variant == key }) {
			v.Variants = append(v.Variants, variantView{Variant: key, Outcomes: []outcomeView{}})
		}
	}
	slices.SortFunc(v.Variants, func(a, b variantView) int { return cmp.Compare(a.Variant, b.Variant) })
	v.SRM = sampleRatio(v.Variants, weights)
	return v
}

// sampleRatio fills in the expected shares and compares them with the users' first variants.
func sampleRatio(variants []variantView, weights map[string]float64) srmView {
	out := srmView{PValue: 1, Weights: "equal"}
	if weights != nil {
		out.Weights = "configured"
	}
	sum, users := 0.0, 0
	for i := range variants {
		v := &variants[i]
		v.Expected = 1
		if weights != nil {
			v.Expected = weights[v.Variant] // an unexpected variant has weight 0
		}
		sum += v.Expected
		users += v.FirstUsers
	}
	tested, unexpected := 0, 0
	counts, shares := make([]float64, len(variants)), make([]float64, len(variants))
	for i := range variants {
		v := &variants[i]
		if sum > 0 {
			v.Expected /= sum
		}
		if counts[i], shares[i] = float64(v.FirstUsers), v.Expected; v.Expected == 0 {
			unexpected += v.FirstUsers
			continue
		}
		tested++
	}
	statistic, p := diagnostics.ChiSquare(counts, shares)
	switch {
	case users < srmUsers:
		out.State = srmTooEarly
	case tested < 2 && unexpected == 0:
		out.State = srmSingle
	case unexpected > 0:
		out.State, out.ChiSquare, out.PValue = srmMismatch, statistic, 0
	default:
		out.State, out.ChiSquare, out.PValue = srmOK, statistic, p
		if out.PValue < srmAlpha {
			out.State = srmMismatch
		}
	}
	return out
}
