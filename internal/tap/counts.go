// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package tap // import "github.com/otelcol-amplitude/otelcol-amplitude/internal/tap"

import (
	"slices"
	"sync"
	"sync/atomic"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/experiment"
)

// Counter counts the records of one processor, as its metrics do. It is safe for concurrent use.
type Counter struct {
	outcomes [experiment.NumOutcomes]atomic.Uint64
	skipped  [experiment.NumSkipReasons]atomic.Uint64
	rejected [experiment.NumRejectReasons]atomic.Uint64
	refused  atomic.Uint64
	late     atomic.Uint64
}

// Add counts a batch that the next component accepted.
func (c *Counter) Add(n *experiment.Counts) {
	add(c.outcomes[:], n.Outcomes[:])
	add(c.skipped[:], n.Skipped[:])
	add(c.rejected[:], n.Rejected[:])
	if n.Late > 0 {
		c.late.Add(uint64(n.Late))
	}
}

// Refused counts the records of a batch that the next component refused.
func (c *Counter) Refused(records int) { c.refused.Add(uint64(records)) }

func add(to []atomic.Uint64, n []int) {
	for i := range n {
		if n[i] > 0 {
			to[i].Add(uint64(n[i]))
		}
	}
}

var counting struct {
	sync.Mutex
	counters []*Counter
}

// Count adds a Counter to those of [Totals], until stop is called.
func Count(c *Counter) (stop func()) {
	counting.Lock()
	defer counting.Unlock()
	counting.counters = append(counting.counters, c)
	return func() {
		counting.Lock()
		defer counting.Unlock()
		counting.counters = slices.DeleteFunc(counting.counters, func(one *Counter) bool { return one == c })
	}
}

// Counts are the numbers of records that the processors of this process have seen since they started, as in their
// metrics.
type Counts struct {
	// Records are all of them, by outcome; Reasons those that are skipped, rejected or late, by reason.
	Records map[string]uint64 `json:"records"`
	Reasons map[string]uint64 `json:"reasons"`
}

// Totals returns the sum over all processors.
func Totals() Counts {
	all := Counts{Records: map[string]uint64{}, Reasons: map[string]uint64{}}
	counting.Lock()
	defer counting.Unlock()
	for _, c := range counting.counters {
		for i := range c.outcomes {
			sum(all.Records, experiment.Outcome(i).String(), &c.outcomes[i])
		}
		for i := range c.skipped {
			sum(all.Reasons, experiment.SkipReason(i).String(), &c.skipped[i])
		}
		for i := range c.rejected {
			sum(all.Reasons, experiment.RejectReason(i).String(), &c.rejected[i])
		}
		sum(all.Records, OutcomeRefused, &c.refused)
		sum(all.Reasons, experiment.ReasonLate, &c.late)
	}
	return all
}

func sum(into map[string]uint64, word string, n *atomic.Uint64) {
	if n := n.Load(); n > 0 {
		into[word] += n
	}
}
