// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudeexperimentprocessor // import "github.com/otelcol-amplitude/otelcol-amplitude/processor/amplitudeexperimentprocessor"

import (
	"context"
	"iter"
	"slices"

	"github.com/zeebo/xxh3"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/amplitude/receipts"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/experiment"
	"github.com/otelcol-amplitude/otelcol-amplitude/processor/amplitudeexperimentprocessor/internal/dedup"
)

// reservation is a batch of events between the decision and the answer of the next component. Exactly one of accept
// and release ends it. A nil reservation has nothing to remember.
type reservation struct {
	memory    *memory
	batch     *dedup.Reservation
	records   []dedup.Record
	flags     []dedup.Flag
	verdicts  []dedup.Verdict
	decisions []dedup.Decision
	// known is what makes each event a repeat; empty unless a tap client is watching.
	known []dedup.Known
}

func (r *reservation) decide(ctx context.Context, events []experiment.Event, watched bool) {
	r.records, r.flags = r.records[:0], r.flags[:0]
	for _, e := range remembered(events) {
		r.add(e)
	}
	r.verdicts = slices.Grow(r.verdicts[:0], len(r.records))[:len(r.records)]
	r.decisions = slices.Grow(r.decisions[:0], len(r.flags))[:len(r.flags)]
	r.known = r.known[:0]
	if watched {
		r.known = slices.Grow(r.known, len(r.records))[:len(r.records)]
		clear(r.known)
	}
	r.batch = r.memory.ledger.ReserveKnowing(ctx, r.records, r.flags, r.verdicts, r.decisions, r.known)
	at := 0
	for i, e := range remembered(events) {
		at += r.answer(e, r.verdicts[i], r.decisions[at:])
	}
}

// remembered yields the events that the ledger decides about, each with its index: all but outcomes, which Amplitude
// alone de-duplicates by insert_id.
func remembered(events []experiment.Event) iter.Seq2[int, *experiment.Event] {
	return func(yield func(int, *experiment.Event) bool) {
		place := 0
		for i := range events {
			if events[i].IsOutcome() {
				continue
			}
			if !yield(place, &events[i]) {
				return
			}
			place++
		}
	}
}

// add appends an event to the records to be decided.
func (r *reservation) add(e *experiment.Event) {
	from := int32(len(r.flags))
	for i := range e.Flags {
		flag := &e.Flags[i]
		if !e.SetsProperty(flag) {
			continue
		}
		one := dedup.Flag{Key: xxh3.HashString(flag.Key)}
		if !flag.Unassigned {
			one.Value = max(1, xxh3.HashString(flag.Variant)) // 0 is unset
		}
		r.flags = append(r.flags, one)
	}
	record := dedup.Record{
		User: dedup.UserID(e.UserID), Device: dedup.DeviceID(e.DeviceID), Day: e.Window, Time: e.Time, From: from, To: int32(len(r.flags)),
	}
	if !e.OnlyProperties() {
		key := e.Key()
		record.Event = dedup.ID{Hi: key.Hi, Lo: key.Lo}
	}
	r.records = append(r.records, record)
}

// answer stores the decision in its event, and returns the number of flags it covered.
func (r *reservation) answer(e *experiment.Event, verdict dedup.Verdict, decisions []dedup.Decision) (decided int) {
	only := e.OnlyProperties()
	carries := dedup.Operate
	if only {
		carries = dedup.Repair
	}
	carried, old := 0, false
	var all dedup.Decision
	for i := range e.Flags {
		flag := &e.Flags[i]
		if !e.SetsProperty(flag) {
			continue
		}
		decision := decisions[decided]
		decided++
		all |= decision
		old = old || decision == 0
		flag.LeftOut = decision&carries == 0
		flag.Repair = decision&dedup.Repair != 0
		if !flag.LeftOut {
			carried++
		}
		if decision&dedup.Flapping != 0 {
			e.Verdict.Flapping = flag.Key
		}
	}
	e.Verdict.Repeat = verdict.Event == 0
	e.Verdict.Changed = all&dedup.Changed != 0
	e.Verdict.Old = old
	e.Verdict.Late = verdict.Event != 0 && decided > 0 && carried == 0
	switch {
	case verdict.Identify == 0:
		return decided
	case only:
		e.Verdict.Repeat = false
	default:
		e.Verdict.Identify = true
	}
	e.Verdict.IdentifySource, e.Verdict.IdentifyNumber = r.memory.source, r.memory.identifies.Add(1)
	return decided
}

// handOver names the copies that the batch sends, and returns the context to hand it on with.
func (r *reservation) handOver(ctx context.Context, events []experiment.Event) context.Context {
	if r == nil || r.batch.Copies() == 0 {
		return ctx
	}
	for i, e := range remembered(events) {
		verdict := r.verdicts[i]
		if verdict.Event != 0 {
			r.batch.Name(verdict.Event, receipts.Key(e.InsertID()))
		}
		switch {
		case verdict.Identify == 0:
		case e.OnlyProperties():
			r.batch.Name(verdict.Identify, receipts.Key(e.InsertID()))
		default:
			r.batch.Name(verdict.Identify, receipts.Key(e.IdentifyID()))
		}
	}
	return r.batch.HandOver(ctx)
}

// accept remembers what the batch sent.
func (r *reservation) accept() {
	if r != nil {
		r.batch.Accept()
		r.end()
	}
}

// release discards the reservation.
func (r *reservation) release() {
	if r != nil {
		r.batch.Release()
		r.end()
	}
}

// A reservation for more events, or flags, is not reused: one huge batch must not hold its memory forever.
const (
	maxPooled      = 1 << 14
	maxPooledFlags = 1 << 17
)

func (r *reservation) end() {
	if r.batch = nil; cap(r.records) <= maxPooled && cap(r.flags) <= maxPooledFlags {
		r.memory.idle.Put(r)
	}
}
