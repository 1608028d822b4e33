// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package diagnostics // import "github.com/otelcol-amplitude/otelcol-amplitude/internal/diagnostics"

import (
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/pattern"
)

// DefaultPersons fills the table of a run: 16,384 slots of 24 bytes, three quarters in use.
const DefaultPersons = 12_288

// Settings configure what is counted, and how much of it.
type Settings struct {
	// Flags are the flags that are counted, in addition to those with expected shares.
	Flags pattern.List
	// Expected has the weights of the variants of flags.
	Expected map[string]map[string]float64
	// MaxFlags bounds the flags plus the runs beyond the first of each. Those with expected shares always fit.
	MaxFlags int
	// MaxVariants bounds the variants of a run, up to 255, and MaxAllVariants those of all runs together. Expected ones
	// always fit.
	MaxVariants, MaxAllVariants int
	// MaxPersons is how many persons of a run are tracked individually.
	MaxPersons int
	// Forget is how long a run is kept without being seen.
	Forget time.Duration
}

// Bound is a limit that kept something from being counted.
type Bound uint8

// Bounds of a Book.
const (
	BoundFlags Bound = iota
	BoundVariants
	NumBounds
)

var boundNames = [NumBounds]string{"max_flags", "max_variants"}

func (b Bound) String() string { return boundNames[b] }

// Book counts exposures and assignments by flag. It is safe for concurrent use.
type Book struct {
	set     Settings
	shares  map[string]*Shares
	skipped [NumBounds]atomic.Int64

	mu    sync.RWMutex // locked before that of a flag
	flags map[string]*flag
	// taken is how much of MaxFlags is in use, of which awaited is reserved for flags not seen yet; variants is how
	// much of MaxAllVariants is in use.
	taken, awaited, variants atomic.Int64
}

// NewBook returns an empty Book.
func NewBook(set Settings) *Book {
	b := &Book{set: set, shares: map[string]*Shares{}, flags: map[string]*flag{}}
	for key, weights := range set.Expected {
		b.shares[key] = NewShares(weights)
	}
	b.await()
	return b
}

// NotCounted returns how many exposures and assignments were not counted because of a bound.
func (b *Book) NotCounted(bound Bound) int64 { return b.skipped[bound].Load() }

// flag returns the flag of a key, locked, or nil if it is not counted.
func (b *Book) flag(key string) *flag {
	f := b.known(key)
	if f != nil {
		return f
	}
	if !b.Counts(key) {
		return nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if f = b.admit(key); f == nil {
		b.skipped[BoundFlags].Add(1)
		return nil
	}
	f.mu.Lock()
	return f
}

// Counts reports whether a flag is to be counted, if there is room.
func (b *Book) Counts(key string) bool {
	return b.shares[key] != nil || b.set.Flags.Match(key)
}

// admit returns a flag, adding it if there is room.
func (b *Book) admit(key string) *flag {
	f, shares := b.flags[key], b.shares[key]
	switch {
	case f != nil:
		return f
	case shares != nil:
		b.taken.Add(1)
	case !b.take():
		return nil
	}
	f = newFlag(key, shares)
	b.flags[f.key] = f
	b.await()
	return f
}

// take reserves room for a flag, or for a run beyond its first.
func (b *Book) take() bool {
	if b.taken.Add(1) <= int64(b.set.MaxFlags)-b.awaited.Load() {
		return true
	}
	b.taken.Add(-1)
	return false
}

// await reserves room for expected flags that are not there yet.
func (b *Book) await() {
	awaited := int64(0)
	for key := range b.shares {
		if b.flags[key] == nil {
			awaited++
		}
	}
	b.awaited.Store(awaited)
}

// run returns a run of a locked flag, or nil if there is no room for it.
func (b *Book) run(f *flag, key string, now int64) *run {
	r := f.runs[key]
	if r == nil {
		if len(f.runs) > 0 && !b.take() {
			b.skipped[BoundFlags].Add(1)
			return nil
		}
		r = f.newRun(key)
	}
	if r.seen = max(r.seen, now); f.latest == nil || r.seen >= f.latest.seen {
		f.latest = r
	}
	return r
}

// variant returns the number of a variant of a run; ok is false if there is no room for it.
func (b *Book) variant(f *flag, r *run, name string) (number uint8, ok bool) {
	for i, known := range r.variants {
		if known == name {
			return uint8(i), true
		}
	}
	if _, expected := f.shares.of(name); !expected && (len(r.variants) >= b.set.MaxVariants || b.variants.Load() >= int64(b.set.MaxAllVariants)) {
		b.skipped[BoundVariants].Add(1)
		return 0, false
	}
	b.variants.Add(1)
	r.variants = append(r.variants, strings.Clone(name))
	return uint8(len(r.variants) - 1), true
}

// Expose counts an exposure or un-exposure that arrives at a time, in milliseconds since the Unix epoch.
func (b *Book) Expose(e *Exposure, now int64) {
	f := b.flag(e.Flag)
	if f == nil {
		return
	}
	defer f.mu.Unlock()
	key := e.Run
	if e.Variant == "" && key == "" && f.latest != nil {
		key = f.latest.key
	}
	r := b.run(f, key, now)
	if r == nil {
		return
	}
	f.changes++
	f.alive(&r.told, now, b.set.Forget)
	if e.Variant == "" {
		r.unexposures++
		return
	}
	number, ok := b.variant(f, r, e.Variant)
	if !ok {
		return
	}
	r.exposures++
	if e.Late {
		r.late++
	}
	f.meet(r, e, number, b.set.MaxPersons)
}

// Assign counts the assignment of a person to a variant of a flag.
func (b *Book) Assign(key string, who Person, day int32, now int64) {
	f := b.flag(key)
	if f == nil {
		return
	}
	defer f.mu.Unlock()
	f.seen = max(f.seen, now)
	f.changes++
	f.alive(&f.told, now, b.set.Forget)
	hash := who.User
	if hash == 0 {
		hash = who.Device
	}
	if f.assign(hash, dayOf(day), b.set.MaxPersons) {
		f.shared++
	}
}

// Expire removes the runs that were not seen for too long.
func (b *Book) Expire(now int64) {
	before := now - b.set.Forget.Milliseconds()
	b.mu.Lock()
	defer b.mu.Unlock()
	for key, f := range b.flags {
		f.mu.Lock()
		had := max(1, len(f.runs))
		b.variants.Add(int64(-f.expire(before)))
		over := len(f.runs) == 0 && f.seen < before
		b.taken.Add(int64(max(1, len(f.runs)) - had))
		f.mu.Unlock()
		if over {
			delete(b.flags, key)
			b.taken.Add(-1)
		}
	}
	b.await()
}
