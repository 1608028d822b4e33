// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package experiment // import "github.com/otelcol-amplitude/otelcol-amplitude/internal/experiment"

import (
	"fmt"
	"sync"
	"time"
)

// minuteLimit bounds how many outcomes are sent per clock minute. A refused batch returns its share, because its sender
// retries it.
type minuteLimit struct {
	most int // 0: no limit

	mu     sync.Mutex
	minute int64
	taken  int
}

// minuteShare is the share that a batch took.
type minuteShare struct {
	minute int64
	n      int
}

func newMinuteLimit(most int) *minuteLimit { return &minuteLimit{most: most} }

// take takes up to n of what is left of the minute. With all, it takes everything or nothing: more than a minute's
// limit only if nothing was taken yet, and then from the following minutes.
func (l *minuteLimit) take(n int, now time.Time, all bool) minuteShare {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch passed := now.Unix()/secondsPerMinute - l.minute; {
	case passed > 0:
		// What was taken beyond one minute counts against the following ones.
		l.minute += passed
		if passed > int64(l.taken/l.most) {
			l.taken = 0
		} else {
			l.taken = max(0, l.taken-int(passed)*l.most)
		}
	case passed < -1: // by less the clock may be corrected within its minute
		l.minute += passed
		l.taken = 0
	}
	switch left := max(0, l.most-l.taken); {
	case n <= left || (all && l.taken == 0):
	case all:
		n = 0
	default:
		n = left
	}
	l.taken += n
	return minuteShare{l.minute, n}
}

// giveBack returns an unused share. A share of an earlier minute is worth nothing anymore.
func (l *minuteLimit) giveBack(share minuteShare) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if share.minute == l.minute {
		l.taken = max(0, l.taken-share.n)
	}
}

const secondsPerMinute = 60

// limitOutcomes rejects the outcomes of a batch beyond the minute's limit or, if the settings say to wait, refuses the
// batch.
func (b *Batch) limitOutcomes(now time.Time) error {
	p := &b.parser
	if p.outcomeLimit.most == 0 {
		return nil
	}
	n := 0
	for i := range b.records {
		if r := &b.records[i]; r.kind == kindOutcome && r.leaves() {
			n++
		}
	}
	if n == 0 {
		return nil
	}
	wait := p.set.Outcomes.OverLimit == OverLimitWait
	b.outcomes = p.outcomeLimit.take(n, now, wait)
	if wait && b.outcomes.n < n {
		return fmt.Errorf("%d more outcomes exceed the limit of this minute (outcomes::max_per_minute is %d): retry the request in the next minute", n, p.outcomeLimit.most)
	}
	left := b.outcomes.n
	for i := range b.records {
		r := &b.records[i]
		if r.kind != kindOutcome || !r.leaves() {
			continue
		}
		if left--; left < 0 {
			r.decision = rejected(RejectOutcomeLimit)
			r.trace.decided(r, nil, nil)
		}
	}
	return nil
}

// Refused returns the batch's share of the minute's outcomes, because the next component refused it.
func (b *Batch) Refused() {
	if b.outcomes.n > 0 {
		b.parser.outcomeLimit.giveBack(b.outcomes)
		b.outcomes = minuteShare{}
	}
}
