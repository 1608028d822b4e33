// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package sandbox // import "github.com/otelcol-amplitude/otelcol-amplitude/sandbox"

import (
	"slices"
	"strings"

	"github.com/zeebo/xxh3"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/diagnostics"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/pattern"
)

// Bounds of what the experiment view counts, so that hostile names cannot fill the memory.
const (
	experimentRuns       = 5000
	experimentVariants   = 100
	experimentProperties = 20_000
	userFlags            = 2 * maxExperimentProperties

	// For what the processor's diagnostics would say.
	diagnosedFlags    = 100
	diagnosedVariants = 20
)

const dayMillis = 24 * 60 * 60 * 1000

// experiment is one run of a flag, according to its exposures.
type experiment struct {
	flag, run   string
	variants    []*variantCount // in order of appearance
	users       int             // distinct users with an exposure of a variant
	exposures   int
	unexposures int
	changes     int // exposures of a user to another variant than before
	jumpers     int // distinct users who did so
	left        int // users whose latest exposure is an un-exposure, after an exposure
	unassigned  int // (user, day) exposures without an assignment on that day
	first, last int64
	timeline    timeline
}

// variantCount is one variant of a run.
type variantCount struct {
	key       string
	users     int // users whose latest variant it is, without those who were un-exposed since
	first     int // users who saw it first
	exposures int
	met       int // distinct users who were ever in it
	outcomes  map[string]*outcomeCount
}

// userFlag is what one user did with one run of a flag.
type userFlag struct {
	in          *experiment
	first, last *variantCount
	jumped      bool
	out         bool  // the latest exposure was of no variant
	assigned    int64 // day of the newest assignment, plus 1
	missing     int64 // day counted in unassigned, plus 1
	met         []*variantCount
	did         map[did]struct{}
}

// experiments are the runs of a project.
type experiments struct {
	runs       map[[2]string]*experiment
	order      []*experiment
	assigned   map[string]int // flag to assignment events
	propertied map[xxh3.Uint128]struct{}
	held       holding
	overflow   int // what was not counted because a bound was reached
	// book counts like the processor's diagnostics.
	book *diagnostics.Book
}

func newExperiments(limit int64, weights map[string]map[string]float64) *experiments {
	return &experiments{
		runs: map[[2]string]*experiment{}, assigned: map[string]int{}, propertied: map[xxh3.Uint128]struct{}{},
		held: holding{limit: limit},
		book: diagnostics.NewBook(diagnostics.Settings{
			Flags: pattern.NewList([]string{pattern.Star}), Expected: weights, MaxFlags: diagnosedFlags, MaxVariants: diagnosedVariants,
			MaxAllVariants: diagnosedFlags * diagnosedVariants, MaxPersons: diagnostics.DefaultPersons,
		}),
	}
}

// properties counts the distinct [Experiment] user properties of the project, and returns those of the entry that are
// new beyond the limit.
func (x *experiments) properties(e *entry, limit int) (beyond []string) {
	for i := range e.changes {
		c := &e.changes[i]
		if !c.exists || !strings.HasPrefix(c.Property, experimentPrefix) {
			continue
		}
		name := xxh3.HashString128(c.Property)
		if _, known := x.propertied[name]; known {
			continue
		}
		if len(x.propertied) < experimentProperties {
			x.propertied[name] = struct{}{}
		}
		if len(x.propertied) > limit {
			beyond = append(beyond, c.Property)
		}
	}
	return beyond
}

// observe counts an event that was stored.
func (x *experiments) observe(e *entry, u *user, of *event) {
	day := e.eventTime / dayMillis
	x.diagnose(e, int32(day), of)
	switch e.eventType {
	case eventExposure:
		if len(e.flags) == 1 {
			x.exposure(e, u, e.flags[0], day)
		}
	case eventAssignment:
		for _, flag := range e.flags {
			x.assignment(u, flag, day)
		}
	case eventImpression:
	default:
		x.outcome(e, u)
	}
}

// diagnose counts an event like the processor's diagnostics: one that leaves the user's properties alone is late, and a
// flag whose property an assignment unsets does not assign the user to a variant.
func (x *experiments) diagnose(e *entry, day int32, of *event) {
	who, now := diagnostics.PersonOf(e.userID, e.deviceID), e.receivedAt.UnixMilli()
	switch {
	case e.eventType == eventExposure && len(e.flags) == 1:
		late, _ := of.fields[fieldSkipUserPropertiesSync].(bool)
		x.book.Expose(&diagnostics.Exposure{
			Flag: e.flags[0], Run: e.run, Variant: e.variant, Person: who, Day: day, Time: e.eventTime, Late: late,
		}, now)
	case e.eventType == eventAssignment:
		unset, _ := of.object(fieldUserProperties)[opUnset].(map[string]any)
		for _, flag := range e.flags {
			if _, unassigned := unset[experimentPrefix+flag]; !unassigned {
				x.book.Assign(flag, who, day, now)
			}
		}
	}
}

func (x *experiments) runOf(flag, run string) *experiment {
	key := [2]string{flag, run}
	r := x.runs[key]
	if r == nil {
		if len(x.runs) >= experimentRuns || !x.holds(len(flag)+len(run)) {
			x.overflow++
			return nil
		}
		r = &experiment{flag: flag, run: run}
		x.runs[key] = r
		x.order = append(x.order, r)
	}
	return r
}

// flagState is what a user did with a flag: the runs, and the day of its newest assignment.
type flagState struct {
	runs map[string]*userFlag
	// missing are the runs with an exposure that lacks an assignment, by day plus 1; some got one since.
	missing map[int64][]*userFlag
}

// flagOf returns the user's state of a run of a flag.
func (x *experiments) flagOf(u *user, flag, run string) *userFlag {
	state := u.flags[flag]
	if state != nil && state.runs[run] != nil {
		return state.runs[run]
	}
	const cost = 256
	size := cost + int64(len(flag)+len(run))
	if u.flagCount >= userFlags || !u.held.fits(size) {
		x.overflow++
		return nil
	}
	if state == nil {
		state = &flagState{runs: map[string]*userFlag{}}
		u.flags[flag] = state
	}
	f := &userFlag{}
	state.runs[run] = f
	u.flagCount++
	u.held.add(size)
	return f
}

func (x *experiments) exposure(e *entry, u *user, flag string, day int64) {
	run := e.run
	if e.variant == "" && run == "" {
		run = u.currentRun(flag)
	}
	r := x.runOf(flag, run)
	f := x.flagOf(u, flag, run)
	if r == nil || f == nil {
		return
	}
	f.in = r
	if r.first == 0 || e.eventTime < r.first {
		r.first = e.eventTime
	}
	r.last = max(r.last, e.eventTime)
	if e.variant == "" {
		r.unexposures++
		if f.last != nil && !f.out {
			f.last.users--
			r.left++
		}
		f.out = true
		return
	}
	r.exposures++
	v := x.variant(r, e.variant)
	if v == nil {
		x.overflow++
		return
	}
	v.exposures++
	f.meet(v)
	r.timeline.add(slices.Index(r.variants, v), e.eventTime)
	if f.last != nil && f.out {
		f.last.users++ // back to the previous variant, and on from there
		r.left--
	}
	switch {
	case f.last == nil:
		r.users++
		f.first = v
		v.first++
		v.users++
	case f.last != v:
		r.changes++
		if !f.jumped {
			f.jumped = true
			r.jumpers++
		}
		f.last.users--
		v.users++
	}
	f.last, f.out = v, false
	state := u.flags[flag]
	assigned := f.assigned
	if plain := state.runs[""]; plain != nil {
		assigned = plain.assigned
	}
	if assigned != day+1 && f.missing != day+1 {
		f.missing = day + 1
		r.unassigned++
		state.lacks(f)
	}
}

// currentRun returns the run of a flag that the user is in, or "": an un-exposure often does not name it.
func (u *user) currentRun(flag string) string {
	current := ""
	if state := u.flags[flag]; state != nil {
		steps(len(state.runs))
		for _, f := range state.runs {
			if f.in != nil && !f.out {
				current = max(current, f.in.run)
			}
		}
	}
	return current
}

// missingDays bounds the days with exposures that lack an assignment.
const missingDays = 100

// lacks notes that an exposure of a run lacks an assignment of its day.
func (s *flagState) lacks(f *userFlag) {
	if s.missing == nil {
		s.missing = map[int64][]*userFlag{}
	}
	if _, known := s.missing[f.missing]; !known && len(s.missing) >= missingDays {
		return
	}
	if list := s.missing[f.missing]; len(list) < userFlags {
		s.missing[f.missing] = append(list, f)
	}
}

// assignment counts an assignment of a flag, for all of its runs; it also covers earlier exposures of the same day.
func (x *experiments) assignment(u *user, flag string, day int64) {
	if _, known := x.assigned[flag]; known || (len(x.assigned) < experimentRuns && x.holds(len(flag))) {
		x.assigned[flag]++
	} else {
		x.overflow++
	}
	if f := x.flagOf(u, flag, ""); f != nil {
		f.assigned = day + 1
	}
	state := u.flags[flag]
	if state == nil {
		return
	}
	steps(1 + len(state.missing[day+1]))
	for _, f := range state.missing[day+1] {
		if f.missing == day+1 {
			f.missing = 0
			f.in.unassigned--
		}
	}
	delete(state.missing, day+1)
}

// holds reserves room for something with names of this length, and reports whether there is any.
func (x *experiments) holds(names int) bool {
	const cost = 256
	size := cost + int64(names)
	if !x.held.fits(size) {
		return false
	}
	x.held.add(size)
	return true
}

// variant returns one of a run's variants, or nil if there is no room for it.
func (x *experiments) variant(r *experiment, key string) *variantCount {
	for _, v := range r.variants {
		if v.key == key {
			return v
		}
	}
	if len(r.variants) >= experimentVariants || !x.holds(len(key)) {
		return nil
	}
	v := &variantCount{key: key}
	r.variants = append(r.variants, v)
	return v
}
