// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package sandbox // import "github.com/otelcol-amplitude/otelcol-amplitude/sandbox"

import (
	"time"

	"github.com/zeebo/xxh3"
)

// firstCopy is the event that a duplicate repeats.
type firstCopy struct {
	seq uint64
	at  time.Time
}

// dedupe remembers insert ids for a window that starts with the receipt of the first copy.
type dedupe struct {
	limit int
	seen  map[xxh3.Uint128]firstCopy
	order []dedupeEntry // oldest first
	head  int
	// forgotten counts keys that were dropped before their window ended because there were too many.
	forgotten int
}

type dedupeEntry struct {
	key xxh3.Uint128
	at  time.Time
}

// dedupeKey is unambiguous: the first part's length leads.
func dedupeKey(a, b string) xxh3.Uint128 {
	var h xxh3.Hasher
	var n [8]byte
	for i := range n {
		n[i] = byte(len(a) >> (8 * i))
	}
	_, _ = h.Write(n[:])
	_, _ = h.WriteString(a)
	_, _ = h.WriteString(b)
	return h.Sum128()
}

func (d *dedupe) find(key xxh3.Uint128, now time.Time, window time.Duration) (firstCopy, bool) {
	first, ok := d.seen[key]
	if !ok || now.Sub(first.at) >= window {
		return firstCopy{}, false
	}
	return first, true
}

func (d *dedupe) add(key xxh3.Uint128, seq uint64, now time.Time, window time.Duration) {
	if d.seen == nil {
		d.seen = map[xxh3.Uint128]firstCopy{}
	}
	for d.head < len(d.order) {
		oldest := d.order[d.head]
		expired := now.Sub(oldest.at) >= window
		if !expired && len(d.order)-d.head < d.limit {
			break
		}
		d.head++
		// An entry that was renewed after its window has a newer entry after it.
		if d.seen[oldest.key].at.Equal(oldest.at) {
			delete(d.seen, oldest.key)
			if !expired {
				d.forgotten++
			}
		}
	}
	if d.head > len(d.order)/2 {
		d.order = append(d.order[:0], d.order[d.head:]...)
		d.head = 0
	}
	d.seen[key] = firstCopy{seq: seq, at: now}
	d.order = append(d.order, dedupeEntry{key: key, at: now})
}
