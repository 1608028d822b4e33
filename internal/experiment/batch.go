// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package experiment // import "github.com/otelcol-amplitude/otelcol-amplitude/internal/experiment"

import (
	"context"
	"time"

	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/amplitude"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/experiment/explain"
)

// Batch is a batch of records being turned into events: [Batch.Read], then [Batch.Write] once its events have their
// verdicts. Its memory is reused, so a batch allocates only what its events keep.
type Batch struct {
	parser  parser
	writer  writer
	encoder encoder

	// size is the number of all records.
	size    int
	records []parsedRecord
	events  []Event
	// hasOlder: some are evaluations with the older of the conventional event names.
	hasOlder bool
	// nearMisses are foreign records that were probably meant as events.
	nearMisses NearMisses
	// outcomes is the share of this minute's outcomes that the batch took.
	outcomes minuteShare
}

func newBatch(m *Mapper) *Batch {
	return &Batch{
		parser: parser{Mapper: m, names: knownNames{}, presets: newPresetFinder(m.set.Evaluation.Preset), reader: reader{ids: newIDRules(&m.set.Identity), tables: m.tables}},
		writer: newWriter(m),
	}
}

// Read reads the records of a batch that arrived at a time, strips foreign records of claims that they may not make,
// and returns the number of records. The recorder decides which of them are explained; it may be nil. Between records,
// Read checks whether anyone still waits for the batch; if not, it returns the reason, and the batch may only be passed
// to [Batch.End].
func (b *Batch) Read(ctx context.Context, ld plog.Logs, arrival time.Time, recorder *explain.Recorder) (int, error) {
	p, now := &b.parser, arrival.UnixMilli()
	gone := ctx.Done()
	for i, resource := range ld.ResourceLogs().All() {
		p.reader.enterResource(resource.Resource().Attributes())
		p.clients = clientCache{}
		for j, scope := range resource.ScopeLogs().All() {
			p.reader.enterScope(scope.Scope().Attributes())
			for k, record := range scope.LogRecords().All() {
				select {
				case <-gone:
					return b.size, context.Cause(ctx)
				default:
				}
				trace := startTrace(recorder, record, i, j, k)
				if is := p.Mapper.names.recognize(record); is.kind != kindNone {
					b.records = extend(b.records)
					r := &b.records[len(b.records)-1]
					r.trace, r.position, r.kind, r.older = trace, b.size, is.kind, is.older
					b.hasOlder = b.hasOlder || is.older
					r.shaped, r.reshaped = is.shaped && p.set.AcceptShaped, is.shaped && !p.set.AcceptShaped
					r.propertyClaimed = is.unlisted && record.EventName() != amplitude.EventRawExposure
					firstLeftOut := len(p.leftOut)
					r.name, r.tracking = is.name, is.tracking
					p.parse(r, record, is.body, now)
					r.trace.decided(r, p.flags[r.flags.start:r.flags.end], p.leftOut[firstLeftOut:])
				} else {
					if is.claims && !p.set.AcceptShaped && p.set.OtherRecords == OtherPass {
						p.strip(record, b.size, trace)
					}
					trace.foreign(p.Mapper, record)
				}
				b.size++
			}
		}
	}
	if b.size > len(b.records) {
		b.nearMisses = p.nearMisses.search(ld, b.size, arrival)
	}
	b.settleTwins(now)
	if err := b.limitOutcomes(arrival); err != nil {
		return b.size, err
	}
	b.makeEvents()
	return b.size, nil
}

// Events returns the events that the records become, in order. The caller sets a verdict on each.
func (b *Batch) Events() []Event { return b.events }

// End releases the batch and every reference to its data.
func (b *Batch) End() {
	b.size, b.hasOlder = 0, false
	b.nearMisses = NearMisses{}
	b.outcomes = minuteShare{}
	b.records = reuse(b.records)
	b.events = reuse(b.events)
	b.encoder = reuseText(b.encoder)
	b.parser.forget()
	b.writer.forget()
	b.parser.idle.Put(b)
}

func (p *parser) forget() {
	p.flags = reuse(p.flags)
	p.groups = reuse(p.groups)
	p.leftOut = reuse(p.leftOut)
	p.exposures = reuse(p.exposures)
	p.unset = reuse(p.unset)
	p.propertied = reuse(p.propertied)
	p.claims = Claims{}
	p.stripped = reuse(p.stripped)
	p.inherited, p.groupsLeftOut = 0, 0
	p.suspects = [NumIDSuspects]int{}
	p.clients = clientCache{}
	p.reader.forget()
}

// Limits of what an ended batch may keep: one huge batch must not hold its memory forever.
const (
	maxPooled      = 1 << 14 // elements of a list
	maxPooledBytes = 1 << 21 // bytes of text
)

// extend appends a zero element to a list whose memory was cleared for reuse.
func extend[T any](list []T) []T {
	if len(list) < cap(list) {
		return list[:len(list)+1]
	}
	var empty T
	return append(list, empty)
}

func reuse[T any](list []T) []T {
	if cap(list) > maxPooled {
		return nil
	}
	clear(list)
	return list[:0]
}

func reuseText[T ~[]byte](text T) T {
	if cap(text) > maxPooledBytes {
		return nil
	}
	return text[:0]
}
