// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package chaos

import (
	"cmp"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

// findings is what the judge found wrong, each with examples.
type findings struct {
	lost, doubled, invented, disorder, properties []string
}

func (f *findings) none(t *testing.T) {
	t.Helper()
	for _, kind := range []struct {
		name  string
		found []string
	}{
		{"acknowledged but not stored", f.lost},
		{"stored twice", f.doubled},
		{"stored but never sent", f.invented},
		{"stored in another order than a user met them", f.disorder},
		{"user properties that are wrong at the end", f.properties},
	} {
		assert.Empty(t, kind.found[:min(len(kind.found), 10)], "%d exposures %s", len(kind.found), kind.name)
	}
}

// obligation is one event that has to be stored: an exposure and its repeats of the day.
type obligation struct {
	person *person
	first  *exposure
	acked  bool
	stored int
}

// obligations are the events that the exposures of these people amount to, by exposure number.
func obligations(people []*person) (all []*obligation, byNumber map[int]*obligation) {
	byNumber = map[int]*obligation{}
	for _, p := range people {
		of := map[result]*obligation{}
		for _, e := range p.history {
			o := of[e.result()]
			if o == nil {
				o = &obligation{person: p, first: e}
				of[e.result()] = o
				all = append(all, o)
			}
			o.acked = o.acked || e.acked
			byNumber[e.n] = o
		}
	}
	return all, byNumber
}

// is tells whether an event says what happened.
func (e *exposure) is(stored *storedEvent) bool {
	if e.assigned {
		return stored.Type == "[Experiment] Assignment" && stored.Properties["[Experiment] "+e.flag+".variant"] == e.variant
	}
	return stored.Type == "[Experiment] Exposure" && stored.Properties["[Experiment] Flag Key"] == e.flag && stored.variant() == e.variant
}

// judge is the oracle: it compares what these people were exposed to, and which of it the Collector acknowledged, with
// the events and user properties that the local Amplitude has stored. It returns what is wrong and how many events the exposures
// amount to.
func judge(t *testing.T, w *world, people []*person) (*findings, int) {
	t.Helper()
	all, byNumber := obligations(people)
	var f findings
	seen := map[int]bool{}
	last := map[*person]int{}
	events := w.stored(t)
	for i := range events {
		e := &events[i]
		if strings.HasPrefix(e.UserID, markerUser) {
			continue
		}
		o := byNumber[e.number()]
		about := fmt.Sprintf("%d (%s %s %s)", e.number(), e.UserID, cmp.Or(fmt.Sprint(e.Properties["[Experiment] Flag Key"]), "?"), e.variant())
		if o == nil || o.person.id != e.UserID || o.first.device != e.DeviceID || !o.first.is(e) {
			f.invented = append(f.invented, about)
			continue
		}
		o.stored++
		if seen[e.number()] || o.stored > 1 {
			f.doubled = append(f.doubled, about)
			continue
		}
		seen[e.number()] = true
		// Numbers grow with what happens to a person.
		if e.number() < last[o.person] {
			f.disorder = append(f.disorder, about)
		}
		last[o.person] = max(last[o.person], e.number())
	}
	for _, o := range all {
		if o.acked && o.stored == 0 {
			f.lost = append(f.lost, fmt.Sprintf("%d (%s %s %s)", o.first.n, o.person.id, o.first.flag, o.first.variant))
		}
	}
	for _, p := range people {
		f.properties = append(f.properties, wrongProperties(t, w, p)...)
	}
	return &f, len(all)
}

// wrongProperties compares what a user has at the end with the last of each flag that was sent.
func wrongProperties(t *testing.T, w *world, p *person) (wrong []string) {
	t.Helper()
	if len(p.history) == 0 {
		return nil
	}
	want := map[string]string{}
	for _, e := range p.history {
		want[e.flag] = e.variant
	}
	got := w.properties(t, p.id)
	for flag, variant := range want {
		if is, _ := got["[Experiment] "+flag].(string); cmp.Or(is, "off") != variant {
			wrong = append(wrong, fmt.Sprintf("%s: %s is %q, not %q", p.id, flag, is, variant))
		}
	}
	return wrong
}
