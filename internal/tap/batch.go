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

// Batch is a batch of records passing through a processor: it selects those that some watcher wants.
type Batch struct {
	processor string
	arrival   time.Time
	// now is the time of the rate limits.
	now  time.Time
	sent []*sentDecision
	// to are the watchers that want the current record.
	to []*Watcher
	// full are the classes for which no watcher has room anymore in this batch, and left how many of them came since.
	full [experiment.NumClasses]bool
	left [experiment.NumClasses]int
}

var _ experiment.Listener = (*Batch)(nil)

// NewBatch returns the batch of a processor that arrived at a time, or nil if no tap client is watching.
func NewBatch(processor string, arrival time.Time) *Batch {
	if !Watched() {
		return nil
	}
	return &Batch{processor: processor, arrival: arrival, now: time.Now()}
}

// Passes reports whether no watcher has room for n records of a class, and counts them if so.
func (b *Batch) Passes(class uint8, n int) bool {
	if b.full[class] {
		b.left[class] += n
	}
	return b.full[class]
}

// Wants reports whether any watcher has room for a record.
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

// countLeft counts the records that passed for the watchers. The caller holds the lock.
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

// Explains receives the explanation of the last wanted record.
func (b *Batch) Explains(one *experiment.Decided, x *explain.Explanation) {
	t := &sentDecision{to: b.to, Decision: Decision{
		Time: b.arrival, Processor: b.processor, Outcome: one.Outcome.String(), Reason: one.Reason, Hint: one.Hint,
		Service: serviceOf(one), explanation: x,
	}}
	for i := range one.Flags {
		if flag := &one.Flags[i]; flag.Key != "" {
			t.Flags = append(t.Flags, Flag{printable.Text(flag.Key), printable.Text(flag.Variant)})
		}
	}
	b.sent = append(b.sent, t)
}

func serviceOf(one *experiment.Decided) string {
	name, ok := one.Resource.Get("service.name")
	if !ok {
		return ""
	}
	return printable.Text(name.AsString())
}

// HandOver publishes the records, whose explanations are complete, just before the next component gets them.
func (b *Batch) HandOver() {
	if b == nil {
		return
	}
	for _, t := range b.sent {
		t.fill()
	}
	shared.mu.Lock()
	defer shared.mu.Unlock()
	b.countLeft()
	for _, t := range b.sent {
		shared.seq++
		t.Seq = shared.seq
		t.explanation.Record = int(t.Seq)
		if len(shared.watchers) > 0 {
			shared.follow(t)
		}
		t.changed()
	}
}

// Accepted notes that the next component accepted the batch.
func (b *Batch) Accepted() {
	if b == nil || len(b.sent) == 0 {
		return
	}
	if exporters, _ := receipts.Exporters(); exporters == 0 {
		// Nothing in this process will report more.
		shared.mu.Lock()
		defer shared.mu.Unlock()
		for _, t := range b.sent {
			if t.Ended = true; len(t.Events) > 0 {
				t.send()
			}
		}
	}
	b.sent = nil
}

// Refused says that the next component did not accept the batch, or what was wrong with that.
func (b *Batch) Refused(err error) {
	if b == nil {
		return
	}
	why := "the next component did not accept the batch"
	if err != nil {
		why += ": " + printable.Text(err.Error())
	}
	shared.mu.Lock()
	defer shared.mu.Unlock()
	for _, t := range b.sent {
		if t.Seq == 0 {
			continue // something failed before any watcher saw it
		}
		x := *t.explanation // watchers read the other one
		x.Outcome, x.Reason, x.Hint = OutcomeRefused, "", ""
		t.explanation = &x
		t.Outcome, t.Reason, t.Why, t.Hint = OutcomeRefused, "", why, "the sender still has it, and sends it again"
		for i := range t.Events {
			if e := &t.Events[i]; !e.ended() || e.State == StateUnfollowed {
				e.State = StateRefused
				shared.unfollow(follow{t, i}, StateRefused)
			}
		}
		t.changed()
	}
	b.sent = nil
}

// OutcomeRefused is the outcome of the records of a batch that the next component refused.
const OutcomeRefused = "refused"
