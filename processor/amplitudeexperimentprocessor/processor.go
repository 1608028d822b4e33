// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudeexperimentprocessor // import "github.com/otelcol-amplitude/otelcol-amplitude/processor/amplitudeexperimentprocessor"

import (
	"context"
	"slices"
	"sync"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/processor"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/experiment/explain"
	"github.com/otelcol-amplitude/otelcol-amplitude/processor/amplitudeexperimentprocessor/internal/dedup"
)

var _ processor.Logs = (*experimentProcessor)(nil)

// experimentProcessor is one instance in one pipeline.
type experimentProcessor struct {
	*instance
	dedup  *deduplicator
	next   consumer.Logs
	forget func()
	once   sync.Once
}

// Capabilities says that records are rewritten in place.
func (*experimentProcessor) Capabilities() consumer.Capabilities {
	return consumer.Capabilities{MutatesData: true}
}

// Start loads what was remembered, if it is kept anywhere.
func (p *experimentProcessor) Start(ctx context.Context, host component.Host) error {
	p.compareIDLength(p.explainer.logger)
	return p.dedup.Start(ctx, host)
}

// Shutdown writes what is to be remembered. It may be called without Start, and twice.
func (p *experimentProcessor) Shutdown(ctx context.Context) (err error) {
	p.once.Do(func() {
		err = p.dedup.Shutdown(ctx)
		p.forget()
	})
	return err
}

// ConsumeLogs turns the records of ours into events, drops repeats, and hands the batch on. What the
// next component answers is returned as it is; only when it accepts are results remembered as sent.
func (p *experimentProcessor) ConsumeLogs(ctx context.Context, ld plog.Logs) error {
	begin := p.now()
	s := p.scratch.get()
	defer p.scratch.put(s)

	incoming := p.read(s, ld, begin.UnixMilli(), explain.FromContext(ctx))
	if incoming > len(s.plans) {
		p.interpreter.nearMisses.search(&s.counts, ld, incoming, begin)
	}
	s.verdicts = slices.Grow(s.verdicts, len(s.records))[:len(s.records)]
	reservation := p.dedup.reserve(ctx, s.records, s.verdicts)
	accepted := false
	defer func() {
		// Also after a panic.
		if !accepted {
			reservation.Release()
		}
	}()
	outgoing := p.write(s, ld, incoming)
	p.telemetry.handOver(ctx, incoming, outgoing, p.now().Sub(begin))
	if outgoing > 0 {
		if err := p.next.ConsumeLogs(ctx, ld); err != nil {
			p.telemetry.refused(ctx, incoming)
			return err
		}
	}
	accepted = true
	reservation.Commit(ctx)
	p.telemetry.done(ctx, &s.counts)
	p.explainer.explain(&s.counts)
	return nil
}

// read makes a plan for each record of ours and returns the number of all records. The recorder may be nil.
func (p *experimentProcessor) read(s *scratch, ld plog.Logs, now int64, recorder *explain.Recorder) int {
	position := 0
	in := p.interpreter
	for i, resource := range ld.ResourceLogs().All() {
		s.reader.enterResource(resource.Resource().Attributes())
		s.clients = clientCache{}
		for j, scope := range resource.ScopeLogs().All() {
			s.reader.enterScope(scope.Scope().Attributes())
			for k, record := range scope.LogRecords().All() {
				trace := startTrace(recorder, record, i, j, k)
				if of := in.names.recognise(record); of != sourceNone && (of != sourceIdentify || isShaped(of, record)) {
					s.plans = extend(s.plans)
					one := &s.plans[len(s.plans)-1]
					one.position = position
					f := &one.facts
					f.trace = trace
					in.interpret(s, f, of, record, now)
					p.addParts(s, f)
				} else {
					trace.foreign(in, record)
				}
				position++
			}
		}
	}
	return position
}

// addParts makes the keys of the events that a record becomes.
func (p *experimentProcessor) addParts(s *scratch, f *facts) {
	if !f.outcome.leaves() {
		return
	}
	start := len(s.parts)
	groups := s.groups[f.groups.start:f.groups.end]
	add := func(flags span, k keys) {
		s.parts = append(s.parts, part{flags: flags, event: k.event})
		s.records = append(s.records, dedup.Record{Subject: k.subject, Result: k.result, Bucket: p.dedup.bucket(f.time), Time: f.time})
	}
	if f.source != sourceAssignment {
		add(span{}, s.exposureKeys(f, groups))
	} else {
		reserved := 0
		if f.environment != "" {
			reserved = 1
		}
		flags := s.flags[f.flags.start:f.flags.end]
		eventParts(flags, reserved, func(from, to int) {
			of := span{f.flags.start + int32(from), f.flags.start + int32(to)}
			add(of, s.assignmentKeys(f, groups, flags[from:to], p.cfg.SetUserProperties))
		})
	}
	f.parts = span{int32(start), int32(len(s.parts))}
}

// insertIDs makes the insert_ids of all events that go out, as one text.
func (p *experimentProcessor) insertIDs(s *scratch) string {
	for i := range s.plans {
		f := &s.plans[i].facts
		if f.shaped {
			continue
		}
		for at := f.parts.start; at < f.parts.end; at++ {
			if s.verdicts[at].Outcome == dedup.Repeat {
				continue
			}
			one := &s.parts[at]
			one.idStart = int32(len(s.ids))
			if p.cfg.InsertID.Format == insertIDSDK {
				s.ids = appendSDKInsertID(s.ids, f, s.flags[one.flags.start:one.flags.end])
			} else {
				n := s.verdicts[at].Transition
				s.ids = appendInsertID(s.ids, f, one.event, s.records[at].Bucket, n)
			}
			one.idEnd = int32(len(s.ids))
		}
	}
	return string(s.ids)
}

// write rewrites the batch after the plans and returns how many records are left in it.
func (p *experimentProcessor) write(s *scratch, ld plog.Logs, incoming int) int {
	foreign := incoming - len(s.plans)
	dropForeign := p.cfg.OtherRecords == otherDrop
	if dropForeign {
		s.counts.outcomes[outcomeDropped] += foreign
	} else {
		s.counts.outcomes[outcomePassed] += foreign
	}
	if len(s.plans) == 0 && !dropForeign {
		return incoming
	}
	ids := p.insertIDs(s)
	position, next, left := 0, 0, 0
	remove := func(record plog.LogRecord) bool {
		mine := next < len(s.plans) && s.plans[next].position == position
		position++
		if !mine {
			if !dropForeign {
				left++
			}
			return dropForeign
		}
		gone := !p.apply(s, &s.plans[next].facts, record, ids)
		next++
		if !gone {
			left++
		}
		return gone
	}
	ld.ResourceLogs().RemoveIf(func(resource plog.ResourceLogs) bool {
		resource.ScopeLogs().RemoveIf(func(scope plog.ScopeLogs) bool {
			records := scope.LogRecords()
			empty := records.Len() == 0
			records.RemoveIf(remove)
			left += len(s.extra)
			for _, extra := range s.extra {
				extra.MoveTo(records.AppendEmpty())
			}
			s.extra = s.extra[:0]
			return !empty && records.Len() == 0
		})
		return resource.ScopeLogs().Len() == 0
	})
	return left
}

// apply carries out a plan and tells whether the record stays.
func (p *experimentProcessor) apply(s *scratch, f *facts, record plog.LogRecord, ids string) bool {
	c := &s.counts
	switch f.outcome {
	case outcomeSkipped:
		c.skipped[f.skip]++
		if f.flagKey != "" {
			c.skippedExample[f.skip] = f.flagKey
		}
	case outcomeRejected:
		c.rejected[f.reject]++
		if f.flagKey != "" {
			c.example[f.reject] = f.flagKey
		}
	default:
		if !p.sendParts(s, f, record, ids) {
			f.trace.duplicate()
			c.outcomes[outcomeDuplicate]++
			return false
		}
	}
	c.outcomes[f.outcome]++
	return f.outcome.leaves()
}

// sendParts writes the events of a record that are no repeats: the first into the record itself.
// It returns false if all are repeats.
func (p *experimentProcessor) sendParts(s *scratch, f *facts, record plog.LogRecord, ids string) bool {
	sent := 0
	for at := f.parts.start; at < f.parts.end; at++ {
		verdict := s.verdicts[at]
		if verdict.Outcome == dedup.Repeat {
			f.trace.repeat(p.cfg, s, f, at)
			continue
		}
		if verdict.Outcome == dedup.Late {
			s.counts.late++
		}
		if verdict.Changed {
			s.counts.changed = append(s.counts.changed, p.flagLabel(s, f))
		}
		sent++
		if f.shaped {
			f.trace.sent(p, s, f, at, "", record)
			continue
		}
		one := s.parts[at]
		e := event{
			facts:    f,
			insertID: ids[one.idStart:one.idEnd],
			late:     verdict.Outcome == dedup.Late,
			groups:   s.groups[f.groups.start:f.groups.end],
			flags:    s.flags[one.flags.start:one.flags.end],
		}
		written := record
		switch {
		case f.source != sourceAssignment:
			p.shaper.exposure(s, record, &e)
		case sent == 1:
			p.shaper.assignment(s, record, &e)
		default:
			s.counts.extraEvents++
			written = p.shaper.another(s, record, &e)
			s.extra = append(s.extra, written)
		}
		f.trace.sent(p, s, f, at, e.insertID, written)
	}
	if sent > 0 && !f.shaped {
		s.nothing.MoveTo(record.Body())
	}
	return sent > 0
}

func (*experimentProcessor) flagLabel(s *scratch, f *facts) string {
	switch {
	case f.names != nil:
		return f.names.label
	case f.flags.len() == 1 && s.flags[f.flags.start].names != nil:
		return s.flags[f.flags.start].names.label
	default:
		return otherFlagLabel
	}
}
