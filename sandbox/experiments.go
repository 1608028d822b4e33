// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package sandbox // import "github.com/otelcol-amplitude/otelcol-amplitude/sandbox"

import (
	"strings"
)

// Bounds of what the experiment view counts, so that hostile names cannot fill the memory.
const (
	experimentRuns       = 5000
	experimentVariants   = 100
	experimentProperties = 20_000
	userFlags            = 2 * maxExperimentProperties
)

const dayMillis = 24 * 60 * 60 * 1000

// experiment is one run of a flag: what its exposures say.
type experiment struct {
	flag, run   string
	variants    []*variantCount // in order of appearance
	users       int             // distinct users with an exposure of a variant
	exposures   int
	unexposures int
	changes     int // exposures of a user to another variant than before
	jumpers     int // distinct users who did so
	left        int // users whose latest exposure is of no variant, after one of a variant
	unassigned  int // (user, day) exposures without an assignment on that day
	first, last int64
}

// variantCount is one variant of a run.
type variantCount struct {
	key       string
	users     int // users whose latest variant it is, without those who were un-exposed since
	first     int // users who met it first
	exposures int
}

// userFlag is what one user did with one run of a flag.
type userFlag struct {
	in          *experiment
	first, last *variantCount
	jumped      bool
	out         bool  // the latest exposure was of no variant
	assigned    int64 // day of the newest assignment, plus 1
	missing     int64 // day counted in unassigned, plus 1
}

// experiments are the runs of a project.
type experiments struct {
	runs       map[[2]string]*experiment
	order      []*experiment
	assigned   map[string]int // flag to assignment events
	propertied map[string]struct{}
	overflow   int // what was not counted because a bound was reached
}

func newExperiments() *experiments {
	return &experiments{runs: map[[2]string]*experiment{}, assigned: map[string]int{}, propertied: map[string]struct{}{}}
}

// properties counts the distinct [Experiment] user properties of the project, and returns those of the entry that are new
// although limit are there.
func (x *experiments) properties(e *entry, limit int) (beyond []string) {
	for i := range e.changes {
		c := &e.changes[i]
		if !c.exists || !strings.HasPrefix(c.Property, experimentPrefix) {
			continue
		}
		if _, known := x.propertied[c.Property]; known {
			continue
		}
		if len(x.propertied) < experimentProperties {
			x.propertied[c.Property] = struct{}{}
		}
		if len(x.propertied) > limit {
			beyond = append(beyond, c.Property)
		}
	}
	return beyond
}

// observe counts an event that was stored.
func (x *experiments) observe(e *entry, u *user) {
	day := e.eventTime / dayMillis
	switch e.eventType {
	case eventExposure:
		if len(e.flags) == 1 {
			x.exposure(e, u, e.flags[0], day)
		}
	case eventAssignment:
		for _, flag := range e.flags {
			x.assignment(u, flag, day)
		}
	}
}

func (x *experiments) runOf(flag, run string) *experiment {
	key := [2]string{flag, run}
	r := x.runs[key]
	if r == nil {
		if len(x.runs) >= experimentRuns {
			x.overflow++
			return nil
		}
		r = &experiment{flag: flag, run: run}
		x.runs[key] = r
		x.order = append(x.order, r)
	}
	return r
}

// flagOf is the user's state of a run; flag and run are joined as no flag key can be.
func (x *experiments) flagOf(u *user, flag, run string) *userFlag {
	key := flag + "\x00" + run
	f := u.flags[key]
	if f == nil {
		if len(u.flags) >= userFlags {
			x.overflow++
			return nil
		}
		f = &userFlag{}
		u.flags[key] = f
	}
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
	v := r.variant(e.variant)
	if v == nil {
		x.overflow++
		return
	}
	v.exposures++
	if f.last != nil && f.out {
		f.last.users++ // back where it was, and from there
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
	assigned := f.assigned
	if plain := u.flags[flag+"\x00"]; plain != nil {
		assigned = plain.assigned
	}
	if assigned != day+1 && f.missing != day+1 {
		f.missing = day + 1
		r.unassigned++
	}
}

// currentRun is the run of a flag that the user is in, "" when in none: an un-exposure often does not name it.
func (u *user) currentRun(flag string) string {
	current := ""
	for _, f := range u.flags {
		if f.in != nil && f.in.flag == flag && !f.out {
			current = max(current, f.in.run)
		}
	}
	return current
}

// assignment is of a flag, whatever its run; exposures of the same day that came before are made good.
func (x *experiments) assignment(u *user, flag string, day int64) {
	if _, known := x.assigned[flag]; known || len(x.assigned) < experimentRuns {
		x.assigned[flag]++
	}
	if f := x.flagOf(u, flag, ""); f != nil {
		f.assigned = day + 1
	}
	for key, f := range u.flags {
		if f.in != nil && f.missing == day+1 && strings.HasPrefix(key, flag+"\x00") {
			f.missing = 0
			f.in.unassigned--
		}
	}
}

func (r *experiment) variant(key string) *variantCount {
	for _, v := range r.variants {
		if v.key == key {
			return v
		}
	}
	if len(r.variants) >= experimentVariants {
		return nil
	}
	v := &variantCount{key: key}
	r.variants = append(r.variants, v)
	return v
}
