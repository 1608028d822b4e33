// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package diagnostics // import "github.com/otelcol-amplitude/otelcol-amplitude/internal/diagnostics"

import "slices"

// Restart means that the expected shares of a flag differ from those stored with its counts, so its test starts over;
// persons counted before are not tested.
type Restart struct{ Flag, Before, Now string }

// Load merges what an earlier process stored about a flag. It returns a Restart if the expected shares have changed. A
// flag that is not counted anymore is ignored.
func (b *Book) Load(key string, content []byte) (*Restart, error) {
	k, err := decode(content)
	if err != nil {
		return nil, err
	}
	f := b.flag(key)
	if f == nil {
		return nil, nil
	}
	defer f.mu.Unlock()
	return b.merge(f, k, true), nil
}

// Exchange merges what other replicas know about a flag, which may be nothing, except for what is over at now, in
// milliseconds since the Unix epoch. It returns everything known, with its version. News is true if the others lack
// something: more is known here than in the version that they received, or what they know cannot be decoded. It returns
// nil for a flag that is not counted or is over.
func (b *Book) Exchange(key string, theirs []byte, told uint64, now int64) (all []byte, version uint64, news bool) {
	k, err := decode(theirs)
	var f *flag
	if err == nil && k.lives(now-b.set.Forget.Milliseconds()) {
		f = b.flag(key)
	} else {
		f = b.known(key)
	}
	if f == nil {
		return nil, 0, false
	}
	defer f.mu.Unlock()
	news = err != nil || f.shared != told
	if err == nil {
		b.merge(f, k, false)
	}
	return f.encode(nil, false), f.version(Shared), news
}

// lives removes what was not seen since a time, and reports whether anything is left.
func (k *kept) lives(before int64) bool {
	k.runs = slices.DeleteFunc(k.runs, func(r keptRun) bool { return r.seen < before })
	if k.seen < before {
		k.assigned = keptSample{}
	}
	return len(k.runs) > 0 || k.seen >= before
}

// known returns the flag of a key, locked, or nil if there is none.
func (b *Book) known(key string) *flag {
	b.mu.RLock()
	defer b.mu.RUnlock()
	f := b.flags[key]
	if f != nil {
		f.mu.Lock()
	}
	return f
}

// merge adds stored counts to a locked flag; own means that they come from this replica.
func (b *Book) merge(f *flag, k *kept, own bool) *Restart {
	f.seen, f.told = max(f.seen, k.seen), max(f.told, k.seen)
	f.assigned.raise(k.assigned.level)
	for i := range k.assigned.entries {
		if e := &k.assigned.entries[i]; f.assign(e.hash, e.day, b.set.MaxPersons) {
			f.shared++
		}
	}
	same := k.shares == f.shares.String()
	for i := range k.runs {
		from := &k.runs[i]
		r := b.run(f, from.key, from.seen)
		if r == nil {
			continue
		}
		r.told = max(r.told, from.seen)
		if same {
			r.best = max(r.best, from.best)
		}
		if own {
			r.exposures, r.unexposures, r.late = r.exposures+from.exposures, r.unexposures+from.unexposures, r.late+from.late
		}
		b.join(f, r, from)
	}
	if same {
		return nil
	}
	return &Restart{Flag: f.key, Before: k.shares, Now: f.shares.String()}
}

// join merges the persons of a run.
func (b *Book) join(f *flag, r *run, from *keptRun) {
	numbers := make([]int, len(from.variants))
	for i, name := range from.variants {
		number, ok := b.variant(f, r, name)
		if numbers[i] = int(number); !ok {
			numbers[i] = -1
		}
	}
	if from.persons.level > r.persons.level {
		r.persons.raise(from.persons.level)
		f.shared++
	}
	for i := range from.persons.entries {
		e := from.persons.entries[i]
		number := numbers[e.variant]
		if number < 0 {
			continue
		}
		e.variant = uint8(number)
		if r.add(e.hash, &e, b.set.MaxPersons) {
			f.shared++
		}
	}
}

// Scope is what a store receives.
type Scope uint8

const (
	// Own is everything that this process counts, for the next process.
	Own Scope = iota
	// Shared is what replicas share: not the numbers of events.
	Shared
)

// version counts the changes of a flag that matter to a scope.
func (f *flag) version(scope Scope) uint64 {
	if scope == Shared {
		return f.shared
	}
	return f.shared + f.changes
}

// Flags returns the keys of all flags, in no particular order.
func (b *Book) Flags() []string {
	b.mu.RLock()
	defer b.mu.RUnlock()
	keys := make([]string, 0, len(b.flags))
	for key := range b.flags {
		keys = append(keys, key)
	}
	return keys
}

// Encode appends what is known about a flag, and returns its version.
func (b *Book) Encode(to []byte, key string, scope Scope) (content []byte, version uint64) {
	f := b.known(key)
	if f == nil {
		return nil, 0
	}
	defer f.mu.Unlock()
	return f.encode(to, scope == Own), f.version(scope)
}

// Version returns the version of a flag; 0 if there is none.
func (b *Book) Version(key string, scope Scope) uint64 {
	f := b.known(key)
	if f == nil {
		return 0
	}
	defer f.mu.Unlock()
	return f.version(scope)
}
