// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package experiment // import "github.com/otelcol-amplitude/otelcol-amplitude/internal/experiment"

import (
	"cmp"
	"sync"
	"sync/atomic"

	"github.com/zeebo/xxh3"
)

// If two hooks are registered, each evaluation arrives twice: as feature_flag of the old conventions, which have no
// reason and may hold the value as the variant, and as feature_flag.evaluation. The newer one decides, even if it is
// not an exposure.

const (
	// twinsFor is how long, in milliseconds, an evaluation with the newer name supersedes those with the older one; up
	// to twice as long.
	twinsFor = 10 * 60 * 1000
	// twinsAfter is how long after the last evaluation with the older name those with the newer one are remembered.
	twinsAfter = 60 * 60 * 1000
	// maxTwins bounds how many are remembered in that time.
	maxTwins = 1 << 16
)

// twinKey is the hash of a user or device and a flag.
type twinKey [16]byte

// twinMemory remembers evaluations with the newer name across batches, because span events and log records arrive
// separately.
type twinMemory struct {
	// older is when an evaluation with the older name last arrived; without any, nothing is remembered.
	older atomic.Int64

	mu sync.Mutex
	// recent are those since begun, before those of the previous period.
	recent, before map[twinKey]struct{}
	begun          int64
}

// isNeeded reports whether evaluations with the older name arrive.
func (t *twinMemory) isNeeded(now int64) bool {
	last := t.older.Load()
	return last != 0 && now-last < twinsAfter
}

// settleTwins skips evaluations with the older name that also came with the newer one.
func (b *Batch) settleTwins(now int64) {
	t := &b.parser.twins
	if b.hasOlder {
		t.older.Store(now)
	}
	if !t.isNeeded(now) {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.age(now)
	for i := range b.records {
		if r := &b.records[i]; r.kind == kindEvaluation && !r.older {
			if key, ok := b.twinKey(r); ok && len(t.recent) < maxTwins {
				t.recent[key] = struct{}{}
			}
		}
	}
	for i := range b.records {
		r := &b.records[i]
		if !r.older || !r.leaves() {
			continue
		}
		key, ok := b.twinKey(r)
		_, recent := t.recent[key]
		_, before := t.before[key]
		if ok && (recent || before) {
			r.decision = skipped(SkipSuperseded)
			r.trace.superseded()
		}
	}
}

// age forgets what is old.
func (t *twinMemory) age(now int64) {
	switch passed := now - t.begun; {
	case t.recent == nil || passed >= 2*twinsFor || passed < 0:
		t.recent, t.before, t.begun = map[twinKey]struct{}{}, nil, now
	case passed >= twinsFor:
		t.recent, t.before, t.begun = map[twinKey]struct{}{}, t.recent, now
	}
}

// twinKey returns who was evaluated for which flag.
func (b *Batch) twinKey(r *parsedRecord) (twinKey, bool) {
	who := cmp.Or(r.UserID, r.DeviceID)
	if who == "" || r.flags.len() != 1 || b.parser.flags[r.flags.start].Key == "" {
		return twinKey{}, false
	}
	b.encoder = b.encoder[:0].text(who).text(b.parser.flags[r.flags.start].Key)
	return xxh3.Hash128(b.encoder).Bytes(), true
}
