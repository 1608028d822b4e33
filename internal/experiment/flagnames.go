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
	// maxKnownFlags bounds how many flags are remembered by name; the rest count as unknown.
	maxKnownFlags = 20_000
	// maxFlagLabels bounds the values of the flag label of a metric.
	maxFlagLabels  = 100
	otherFlagLabel = "other"
)

// flagNames are the attribute names of a flag, built once.
type flagNames struct {
	// flag is the key, if the registry keeps the names.
	flag    string
	set     string
	unset   string
	variant string
	details string
	// label is the flag as a metric label.
	label string
	// seenAt is approximately when a record last mentioned the flag, in milliseconds.
	seenAt atomic.Int64
}

// seenEvery is the precision of seenAt, in milliseconds, so that records do not contend for it.
const seenEvery = 60_000

// touch notes that a record mentions the flag.
func (n *flagNames) touch(now int64) {
	if now-n.seenAt.Load() >= seenEvery {
		n.seenAt.Store(now)
	}
}

// FlagAge is a flag and the time since a record last mentioned it.
type FlagAge struct {
	Flag string
	Age  time.Duration
}

// flagRegistry holds the distinct flags seen: their names, and their number, compared with the experiment user
// properties that a project may have.
type flagRegistry struct {
	prefix string
	// limit is the number of flags beyond which new ones are refused; 0 means no limit.
	limit int
	// counted is called with the number of flags when it changes, and may ask for those that no record has mentioned
	// for the longest time.
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

// names returns the names of a flag, and whether it is within the limit. A flag without a user property does not count.
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

// seen counts a flag of an event that another Collector shaped: it uses up a property, regardless of the limit.
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

// knownNames is a copy of the registry's names for one user: it saves a lock for each flag of each record.
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
	flag = strings.Clone(flag) // the record's own string would keep its whole request in memory
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

// Unseen returns up to most flags that no record has mentioned for at least an age, the longest first.
type Unseen func(most int, age time.Duration) []FlagAge

// unseen implements Unseen; the caller holds the lock.
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
