// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package experiment // import "github.com/otelcol-amplitude/otelcol-amplitude/internal/experiment"

import (
	"cmp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/amplitude"
)

const (
	// maxKnownFlags bounds how many flags are remembered by name; more are counted as unknown ones.
	maxKnownFlags = 20_000
	// maxFlagLabels bounds the values of the flag label of a metric.
	maxFlagLabels  = 100
	otherFlagLabel = "other"
)

// flagNames are the attribute names that belong to a flag, made once.
type flagNames struct {
	// flag is its key if the registry keeps the names.
	flag    string
	set     string
	unset   string
	variant string
	details string
	// label is the flag as a metric label.
	label string
	// seenAt is about when a record told of the flag last, in milliseconds.
	seenAt atomic.Int64
}

// seenEvery is how exactly seenAt is kept, in milliseconds, so that records do not contend for it.
const seenEvery = 60_000

// touch notes that a record tells of the flag.
func (n *flagNames) touch(now int64) {
	if now-n.seenAt.Load() >= seenEvery {
		n.seenAt.Store(now)
	}
}

// FlagAge is a flag and how long no record has told of it.
type FlagAge struct {
	Flag string
	Age  time.Duration
}

// flagRegistry knows the distinct flags seen: their names, and how many they are against the
// experiment user properties that a project may have.
type flagRegistry struct {
	prefix string
	// limit refuses further flags; 0 means no limit.
	limit int
	// counted is told the number of flags when it changes, and may ask for those that no record has told of for the longest time.
	counted func(n int, unseen Unseen)

	mu    sync.RWMutex
	flags map[string]*flagNames
}

func newFlagRegistry(set *Settings) *flagRegistry {
	return &flagRegistry{
		prefix:  set.Assignment.PropertyPrefix,
		limit:   set.MaxProperties,
		counted: set.FlagsSeen,
		flags:   map[string]*flagNames{},
	}
}

// names returns the names of a flag, and whether the flag is within the limit. A flag without a
// user property needs no place.
func (r *flagRegistry) names(flag string, hasProperty bool, now int64) (*flagNames, bool) {
	r.mu.RLock()
	known := r.flags[flag]
	r.mu.RUnlock()
	switch {
	case known != nil:
		known.touch(now)
		return known, true
	case !hasProperty:
		return r.newNames(flag), true
	default:
		return r.add(flag, r.limit, now)
	}
}

// seen counts a flag of an event that another Collector shaped: its property is spent, limit or not.
func (r *flagRegistry) seen(flag string, now int64) *flagNames {
	r.mu.RLock()
	known := r.flags[flag]
	r.mu.RUnlock()
	if known == nil {
		known, _ = r.add(flag, 0, now)
	}
	known.touch(now)
	return known
}

// knownNames are the names of flags that the registry keeps, once more for a user of its own: it saves
// a lock for each flag of each record.
type knownNames map[string]*flagNames

func (k knownNames) of(r *flagRegistry, flag string, hasProperty bool, now int64) (*flagNames, bool) {
	if names := k[flag]; names != nil {
		names.touch(now)
		return names, true
	}
	names, ok := r.names(flag, hasProperty, now)
	if ok && names.flag != "" {
		k[names.flag] = names
	}
	return names, ok
}

func (r *flagRegistry) newNames(flag string) *flagNames {
	return &flagNames{
		set:     setExperiment + flag,
		unset:   unsetExperiment + flag,
		variant: r.prefix + flag + amplitude.SuffixVariant,
		details: r.prefix + flag + amplitude.SuffixDetails,
		label:   otherFlagLabel,
	}
}

func (r *flagRegistry) add(flag string, limit int, now int64) (*flagNames, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if known := r.flags[flag]; known != nil {
		return known, true
	}
	n := len(r.flags)
	if limit > 0 && n >= limit {
		return nil, false
	}
	names := r.newNames(flag)
	if n >= maxKnownFlags {
		return names, true
	}
	flag = strings.Clone(flag) // the record's own text would keep its whole request in memory
	if n < maxFlagLabels {
		names.label = flag
	}
	names.flag = flag
	names.touch(now)
	r.flags[flag] = names
	if r.counted != nil {
		r.counted(n+1, func(most int, age time.Duration) []FlagAge { return r.unseen(now, most, age) })
	}
	return names, true
}

// Unseen returns flags that no record has told of for at least an age, the longest first, and no more than so many.
type Unseen func(most int, age time.Duration) []FlagAge

// unseen does that; the caller holds the lock.
func (r *flagRegistry) unseen(now int64, most int, age time.Duration) []FlagAge {
	var flags []FlagAge
	for key, names := range r.flags {
		if unseen := time.Duration(now-names.seenAt.Load()) * time.Millisecond; unseen >= age {
			flags = append(flags, FlagAge{Flag: key, Age: unseen})
		}
	}
	slices.SortFunc(flags, func(a, b FlagAge) int { return cmp.Or(cmp.Compare(b.Age, a.Age), cmp.Compare(a.Flag, b.Flag)) })
	return flags[:min(len(flags), most)]
}
