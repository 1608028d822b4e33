// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package tap // import "github.com/otelcol-amplitude/otelcol-amplitude/internal/tap"

import (
	"time"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/amplitude/receipts"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/experiment"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/experiment/explain"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/printable"
)

// Batch is a batch of records on its way through a processor: it chooses those that somebody wants to be told of.
type Batch struct {
	processor string
	arrival   time.Time
	// now is by the clock that rates are limited by.
	now  time.Time
	told []*told
	// to are those who want the record at hand.
	to []*Watcher
	// full are the classes of which nobody has room for more of this batch, and left how many of them came since.
	full [experiment.NumClasses]bool
	left [experiment.NumClasses]int
}

var _ experiment.Listener = (*Batch)(nil)

// NewBatch returns the batch of a processor that arrived at a time, or nil if nobody watches.
func NewBatch(processor string, arrival time.Time) *Batch {
	if !Watched() {
		return nil
	}
	return &Batch{processor: processor, arrival: arrival, now: time.Now()}
}

// Passes tells whether nobody has room for n records of a class, and counts them then.
func (b *Batch) Passes(class uint8, n int) bool {
	if b.full[class] {
		b.left[class] += n
	}
	return b.full[class]
}

// Wants tells whether anybody has room for a record.
func (b *Batch) Wants(one *experiment.Decided) bool {
	shared.mu.Lock()
	defer shared.mu.Unlock()
	b.to = nil
	full := true
	for _, w := range shared.watchers {
		if !w.filter.takesClass(one.Outcome.String(), one.Reason) {
			continue
		}
		full = full && (!w.filter.looksCloser() || !w.filter.mayMatch(one.Class))
		switch {
		case !w.filter.matches(one):
		case w.limit.allows(one.Class, one.Parts, b.now):
			b.to = append(b.to, w)
		default:
			w.miss(1)
		}
	}
	b.full[one.Class] = full && len(b.to) == 0
	return len(b.to) > 0
}

// countLeft tells the watchers of the records that passed. The lock is held.
func (b *Batch) countLeft() {
	for class, n := range b.left {
		if n == 0 {
			continue
		}
		outcome, reason := experiment.ClassWords(uint8(class))
		for _, w := range shared.watchers {
			if w.filter.takesClass(outcome, reason) && w.filter.mayMatch(uint8(class)) {
				w.limit.saw(uint8(class), n, b.now)
				w.miss(n)
			}
		}
	}
}

// Explains takes the explanation of the record that was wanted last.
func (b *Batch) Explains(one *experiment.Decided, x *explain.Explanation) {
	t := &told{to: b.to, Decision: Decision{
		Time: b.arrival, Processor: b.processor, Outcome: one.Outcome.String(), Reason: one.Reason, Hint: one.Hint,
		Service: serviceOf(one), explanation: x,
	}}
	for i := range one.Flags {
		if flag := &one.Flags[i]; flag.Key != "" {
			t.Flags = append(t.Flags, Flag{printable.Text(flag.Key), printable.Text(flag.Variant)})
		}
	}
	b.told = append(b.told, t)
}

func serviceOf(one *experiment.Decided) string {
	name, ok := one.Resource.Get("service.name")
	if !ok {
		return ""
	}
	return printable.Text(name.AsString())
}

// HandOver tells of the records, whose explanations are complete, just before the next component gets them.
func (b *Batch) HandOver() {
	if b == nil {
		return
	}
	for _, t := range b.told {
		t.fill()
	}
	shared.mu.Lock()
	defer shared.mu.Unlock()
	b.countLeft()
	for _, t := range b.told {
		shared.seq++
		t.Seq = shared.seq
		t.explanation.Record = int(t.Seq)
		if len(shared.watchers) > 0 {
			shared.follow(t)
		}
		t.changed()
	}
}

// Accepted says that the next component took the batch.
func (b *Batch) Accepted() {
	if b == nil || len(b.told) == 0 {
		return
	}
	if exporters, _ := receipts.Exporters(); exporters == 0 {
		// Nobody in this process will tell more.
		shared.mu.Lock()
		defer shared.mu.Unlock()
		for _, t := range b.told {
			if t.Ended = true; len(t.Events) > 0 {
				t.tell()
			}
		}
	}
	b.told = nil
}

// Refused says that the next component did not take the batch, or what was wrong with that.
func (b *Batch) Refused(err error) {
	if b == nil {
		return
	}
	why := "the next component did not take the batch"
	if err != nil {
		why += ": " + printable.Text(err.Error())
	}
	shared.mu.Lock()
	defer shared.mu.Unlock()
	for _, t := range b.told {
		if t.Seq == 0 {
			continue // something broke before anybody was told
		}
		x := *t.explanation // whoever was told reads the other one
		x.Outcome, x.Reason, x.Hint = OutcomeRefused, "", ""
		t.explanation = &x
		t.Outcome, t.Reason, t.Why, t.Hint = OutcomeRefused, "", why, "whoever sent it still has it, and sends it again"
		for i := range t.Events {
			if e := &t.Events[i]; !e.ended() || e.State == StateUnfollowed {
				e.State = StateRefused
				shared.unfollow(follow{t, i}, StateRefused)
			}
		}
		t.changed()
	}
	b.told = nil
}

// OutcomeRefused is the outcome of the records of a batch that the next component refused.
const OutcomeRefused = "refused"
