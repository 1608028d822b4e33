// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package tap // import "github.com/otelcol-amplitude/otelcol-amplitude/internal/tap"

import (
	"time"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/experiment"
)

// limit bounds the records in any second. The more of the traffic a class of records (an outcome with its reason) is,
// the more of the limit it has to leave to others, so that rare ones get through first.
type limit struct {
	// let are the times of the last admitted records, the oldest at next.
	let  []time.Time
	next int
	// seen counts the records by class, halved every second; total is all of them.
	seen  [experiment.NumClasses]float64
	total float64
	aged  time.Time
}

// reserved is the fraction of the limit that a class leaves to others if it is all of the traffic.
const reserved = 4

func newLimit(perSecond int) *limit { return &limit{let: make([]time.Time, perSecond)} }

// saw counts records of a class.
func (l *limit) saw(class uint8, n int, now time.Time) {
	if passed := now.Sub(l.aged); passed >= time.Second || passed < 0 {
		for i := range l.seen {
			l.seen[i] /= 2
		}
		l.total /= 2
		l.aged = now
	}
	l.seen[class] += float64(n)
	l.total += float64(n)
}

// partsPerPlace is how many flags and attributes count as another record, because explaining them takes work.
const partsPerPlace = 100

// allows counts a record with this many parts that arrives now, and reports whether it is admitted.
func (l *limit) allows(class uint8, parts int, now time.Time) bool {
	l.saw(class, 1, now)
	keep := int(float64(len(l.let)/reserved) * l.seen[class] / l.total)
	// With so many left the second is not used up: the one let through before them is long enough ago.
	oldest := l.let[(l.next+keep)%len(l.let)]
	if now.Sub(oldest) < time.Second && !oldest.IsZero() {
		return false
	}
	for range min(1+parts/partsPerPlace, len(l.let)-keep) {
		l.let[l.next] = now
		l.next = (l.next + 1) % len(l.let)
	}
	return true
}
