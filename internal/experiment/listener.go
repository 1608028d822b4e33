// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package experiment // import "github.com/otelcol-amplitude/otelcol-amplitude/internal/experiment"

import (
	"cmp"
	"slices"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/experiment/explain"
)

// Decided is a record whose events have their verdicts, with enough to decide whether to explain it. It is only valid
// until [Batch.Write].
type Decided struct {
	Outcome Outcome
	// Reason is why it is skipped or rejected, as in metrics, or "late"; Hint is what that means or what to do.
	Reason, Hint string
	// Class encodes outcome and reason, below NumClasses.
	Class    uint8
	Resource pcommon.Map
	// Identity and Flags are what was read, as far as it was.
	Identity
	Flags []Flag
	// Parts is how many flags and attributes it has: explaining a record takes work for each.
	Parts int
}

// NumClasses is the number of outcomes with their reasons.
const NumClasses = int(NumOutcomes) + int(NumSkipReasons) + int(NumRejectReasons) + 1

// ReasonLate is why an event leaves the user property alone, named like the metric that counts such events.
const ReasonLate = "late"

// Listener selects records whose decisions are explained afterward.
type Listener interface {
	// Passes reports whether none of the next n records, all of one class, is wanted. It must be cheap.
	Passes(class uint8, n int) bool
	// Wants is called for the records that Passes did not rule out.
	Wants(*Decided) bool
	// Explains receives the explanation of a wanted record. [Batch.Write] completes it.
	Explains(*Decided, *explain.Explanation)
}

// Explain explains the decisions on the records that a Listener wants, between the verdicts and [Batch.Write]. Only those
// are read again, with a trace; the decisions do not change.
func (b *Batch) Explain(ld plog.Logs, arrival time.Time, to Listener) {
	t := rereader{batch: b, now: arrival.UnixMilli(), to: to}
	defer t.end()
	others, position, next := b.classOf(nil), 0, 0
	for i, resource := range ld.ResourceLogs().All() {
		for j, scope := range resource.ScopeLogs().All() {
			records := scope.LogRecords()
			for k, n := 0, records.Len(); k < n; k, position = k+1, position+1 {
				r, class := (*parsedRecord)(nil), others
				if next < len(b.records) && b.records[next].position == position {
					r = &b.records[next]
					class = b.classOf(r)
					next++
					if to.Passes(class, 1) {
						continue
					}
				} else if run := b.othersFrom(position, next, n-k); to.Passes(others, run) {
					// Most records are foreign: they are not examined one by one.
					k, position = k+run-1, position+run-1
					continue
				}
				record := records.At(k)
				t.one = b.decided(r, resource.Resource().Attributes(), class)
				t.one.Parts = len(t.one.Flags) + record.Attributes().Len()
				if !to.Wants(&t.one) {
					continue
				}
				trace := startTrace(&t.recorder, record, i, j, k)
				trace.watched = true
				to.Explains(&t.one, t.explain(trace, r, position, resource, scope, record))
			}
		}
	}
}

// othersFrom returns how many of n records from a position on are foreign; next is the first after it that is not.
func (b *Batch) othersFrom(position, next, n int) int {
	if next == len(b.records) {
		return n
	}
	return min(n, b.records[next].position-position)
}

// classOf returns the class of a record; nil is a foreign one.
func (b *Batch) classOf(r *parsedRecord) uint8 {
	if r == nil {
		if b.parser.set.OtherRecords == OtherDrop {
			return uint8(Dropped)
		}
		return uint8(Passed)
	}
	switch r.outcome {
	case Skipped:
		return uint8(NumOutcomes) + uint8(r.skip)
	case Rejected:
		return uint8(NumOutcomes) + uint8(NumSkipReasons) + uint8(r.reject)
	}
	for i := r.events.start; i < r.events.end; i++ {
		if b.events[i].Verdict.Late {
			return uint8(NumClasses - 1)
		}
	}
	return uint8(b.outcomeOf(r))
}

// decided summarizes what was decided about a record; nil is a foreign one.
func (b *Batch) decided(r *parsedRecord, resource pcommon.Map, class uint8) Decided {
	one := Decided{Outcome: Outcome(class), Class: class, Resource: resource}
	if r == nil {
		return one
	}
	one.Outcome, one.Identity, one.Flags = b.outcomeOf(r), r.Identity, b.parser.flags[r.flags.start:r.flags.end]
	switch {
	case one.Outcome == Skipped:
		one.Reason, one.Hint = r.skip.String(), r.skip.Hint()
	case one.Outcome == Rejected:
		one.Reason, one.Hint = r.reject.String(), r.reject.Hint()
	case int(class) == NumClasses-1:
		one.Reason = ReasonLate
	}
	return one
}

// ClassWords returns the outcome and the reason of a class. The outcome of late events is open: "".
func ClassWords(class uint8) (outcome, reason string) {
	switch n := int(class); {
	case n < int(NumOutcomes):
		return Outcome(n).String(), ""
	case n < int(NumOutcomes)+int(NumSkipReasons):
		return Skipped.String(), SkipReason(n - int(NumOutcomes)).String()
	case n < NumClasses-1:
		return Rejected.String(), RejectReason(n - int(NumOutcomes) - int(NumSkipReasons)).String()
	default:
		return "", ReasonLate
	}
}

// ClassIsOthers reports whether a class is that of other records, of which nothing is read.
func ClassIsOthers(class uint8) bool {
	return Outcome(class) == Passed || Outcome(class) == Dropped
}

// rereader reads records again, with the memory of a batch that is not counted.
type rereader struct {
	batch    *Batch
	again    *Batch
	recorder explain.Recorder
	now      int64
	to       Listener
	one      Decided // at hand
}

func (t *rereader) end() {
	if t.again != nil {
		t.again.End()
	}
}

// explain traces the reading of a record, and adds what was decided about it.
func (t *rereader) explain(trace *Trace, r *parsedRecord, position int, resource plog.ResourceLogs, scope plog.ScopeLogs, record plog.LogRecord) *explain.Explanation {
	b := t.batch
	switch {
	case r == nil:
		at, _ := slices.BinarySearchFunc(b.parser.stripped, position, func(one stripped, position int) int { return cmp.Compare(one.position, position) })
		for ; at < len(b.parser.stripped) && b.parser.stripped[at].position == position; at++ {
			trace.claimed(b.parser.stripped[at].name)
		}
		trace.foreign(b.parser.Mapper, record)
		return trace.x
	case r.trace != nil: // the sender asked for an explanation, too
		return r.trace.x
	case t.again == nil:
		t.again = b.parser.Batch()
	}
	p := &t.again.parser
	p.reader.enterResource(resource.Resource().Attributes())
	p.reader.enterScope(scope.Scope().Attributes())
	p.clients = clientCache{}
	is := p.Mapper.names.recognize(record)
	firstLeftOut := len(p.leftOut)
	again := &parsedRecord{
		trace: trace, kind: r.kind, shaped: r.shaped, reshaped: r.reshaped, propertyClaimed: r.propertyClaimed, older: r.older,
	}
	again.name, again.tracking = is.name, is.tracking
	p.parse(again, record, is.body, t.now)
	r.trace = trace
	trace.decided(r, b.parser.flags[r.flags.start:r.flags.end], p.leftOut[firstLeftOut:])
	if r.decision == skipped(SkipSuperseded) {
		trace.superseded()
	}
	if r.leaves() {
		trace.events(b.events[r.events.start:r.events.end])
	}
	return trace.x
}
