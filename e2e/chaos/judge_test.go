// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package chaos

import (
	"bytes"
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/plog"
)

// findings is what the judge found wrong, each with examples.
type findings struct {
	lost, doubled, invented, disorder []string
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
		{"stored in another order than a user met them, or a device", f.disorder},
	} {
		assert.Empty(t, kind.found[:min(len(kind.found), 10)], "%d exposures %s", len(kind.found), kind.name)
	}
}

// obligation is one event that must be stored: an exposure and its repeats on the same day.
type obligation struct {
	person *person
	first  *exposure
	acked  bool
	stored int
}

// obligations returns the events that result from the exposures of these people, by exposure number.
func obligations(people []*person) (all []*obligation, byNumber map[int]*obligation) {
	byNumber, of := map[int]*obligation{}, map[result]*obligation{}
	for _, p := range people {
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

// whoseAre returns the person of each exposure, by its number.
func whoseAre(people []*person) map[int]*person {
	whose := map[int]*person{}
	for _, p := range people {
		for _, e := range p.history {
			whose[e.n] = p
		}
	}
	return whose
}

// is reports whether an event matches what happened.
func (e *exposure) is(stored *storedEvent) bool {
	if e.assigned {
		return stored.Type == "[Experiment] Assignment" && stored.Properties["[Experiment] "+e.flag+".variant"] == e.variant
	}
	return stored.Type == "[Experiment] Exposure" && stored.Properties["[Experiment] Flag Key"] == e.flag && stored.variant() == e.variant
}

// judge is the oracle: it compares what these people were exposed to, and which of it the Collector acknowledged, with
// the events that the local Amplitude has stored. It returns what is wrong and how many events result from the
// exposures.
func judge(t *testing.T, w *world, people []*person) (*findings, int) {
	t.Helper()
	letters := deadLettersOf(t, w)
	all, byNumber := obligations(people)
	var f findings
	seen := map[int]bool{}
	last := map[string]int{}
	events := w.stored(t)
	for i := range events {
		e := &events[i]
		if strings.HasPrefix(e.UserID, markerUser) {
			continue
		}
		o := byNumber[e.number()]
		about := fmt.Sprintf("%d (%s %s %s)", e.number(), e.UserID, cmp.Or(fmt.Sprint(e.Properties["[Experiment] Flag Key"]), "?"), e.variant())
		if o == nil || o.first.user != e.UserID || o.first.device != e.DeviceID || !o.first.is(e) {
			f.invented = append(f.invented, about)
			continue
		}
		o.stored++
		if seen[e.number()] || o.stored > 1 {
			f.doubled = append(f.doubled, about)
			continue
		}
		seen[e.number()] = true
		if letters.numbers[e.number()] {
			continue // a replay is late
		}
		// Numbers grow with what happens to a user, and on a device.
		for _, id := range []string{e.UserID, e.DeviceID} {
			if id != "" && e.number() < last[id] {
				f.disorder = append(f.disorder, about)
			}
			last[id] = max(last[id], e.number())
		}
	}
	for _, o := range all {
		if o.acked && o.stored == 0 {
			f.lost = append(f.lost, fmt.Sprintf("%d (%s %s %s)", o.first.n, o.person.id, o.first.flag, o.first.variant))
		}
	}
	return &f, len(all)
}

// holder has a user property: a user, or a device that never had a user.
type holder struct{ user, device string }

type heldProperty struct {
	holder holder
	flag   string
}

// truth returns what Amplitude must have about these people in the end: for each holder and flag, the last exposure. A
// device without a user belongs to its last user, or else is itself a holder until its first user appears.
func truth(people []*person) map[heldProperty]*exposure {
	var all []*exposure
	for _, p := range people {
		all = append(all, p.history...)
	}
	slices.SortFunc(all, func(a, b *exposure) int { return a.n - b.n })
	held, last, known := map[heldProperty]*exposure{}, map[string]holder{}, map[string]bool{}
	for _, e := range all {
		who := holder{user: e.user}
		if who.user == "" {
			who = cmp.Or(last[e.device], holder{device: e.device})
		} else if e.device != "" {
			anonymous := holder{device: e.device}
			if _, taken := last[e.device]; !taken {
				for k, was := range held {
					if k.holder == anonymous {
						delete(held, k) // they belong to nobody anymore, or to a new user
						if !known[e.user] {
							held[heldProperty{who, k.flag}] = was
						}
					}
				}
			}
			last[e.device] = who
		}
		known[e.user] = true
		held[heldProperty{who, e.flag}] = e
	}
	return held
}

// wrongProperties compares what Amplitude has in the end with what it should. some selects holders.
func wrongProperties(t *testing.T, w *world, people []*person, some func(holder) bool) (wrong []string) {
	t.Helper()
	found := map[holder]map[string]any{}
	for k, e := range truth(people) {
		if !some(k.holder) {
			continue
		}
		if found[k.holder] == nil {
			found[k.holder] = w.properties(t, cmp.Or(k.holder.user, k.holder.device))
		}
		if is, _ := found[k.holder]["[Experiment] "+k.flag].(string); cmp.Or(is, "off") != e.variant {
			wrong = append(wrong, fmt.Sprintf("%v: %s is %q, not %q (exposure %d)", k.holder, k.flag, is, e.variant, e.n))
		}
	}
	slices.Sort(wrong)
	return wrong
}

func everybody(holder) bool { return true }

// steady returns the holders whose properties must be right without another report: all except those with dead letters,
// and those with applications that do not know users. After a kill, the user of a device is only known once the event
// that names both is delivered.
func steady(people []*person, letters *deadLetters) func(holder) bool {
	wanders := map[string]bool{}
	for _, p := range people {
		wanders[p.id] = p.wanders
	}
	return func(who holder) bool { return who.user != "" && !wanders[who.user] && !letters.users[who.user] }
}

// deadLetters describes what was dead-lettered: how much, including $identify, the numbers of exposures, and the users.
type deadLetters struct {
	count   int
	numbers map[int]bool
	users   map[string]bool
}

func deadLettersOf(t *testing.T, w *world) *deadLetters {
	t.Helper()
	found := &deadLetters{numbers: map[int]bool{}, users: map[string]bool{}}
	files, err := filepath.Glob(filepath.Join(w.dir, "dead", "*.jsonl"))
	require.NoError(t, err)
	for _, file := range files {
		content, err := os.ReadFile(file)
		require.NoError(t, err)
		for line := range bytes.Lines(content) {
			logs, err := (&plog.JSONUnmarshaler{}).UnmarshalLogs(line)
			require.NoError(t, err)
			for _, resource := range logs.ResourceLogs().All() {
				for _, scope := range resource.ScopeLogs().All() {
					for _, record := range scope.LogRecords().All() {
						found.count++
						if n, ok := record.Attributes().Get("chaos.n"); ok {
							found.numbers[int(n.Int())] = true
						}
						if user, ok := record.Attributes().Get("amplitude.user_id"); ok {
							found.users[user.Str()] = true
						}
					}
				}
			}
		}
	}
	return found
}
