// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package experiment // import "github.com/otelcol-amplitude/otelcol-amplitude/internal/experiment"

import (
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/amplitude"
)

// Counts are what became of the records of a batch.
type Counts struct {
	Outcomes [NumOutcomes]int
	Skipped  [NumSkipReasons]int
	Rejected [NumRejectReasons]int
	// FlagsLeftOut counts flags of assignments; IDsIgnored counts ids that were refused and treated as absent.
	FlagsLeftOut [NumRejectReasons]int
	IDsIgnored   [NumRejectReasons]int
	// IDsSuspect counts ids that were used but look different from those used to evaluate the flag.
	IDsSuspect [NumIDSuspects]int
	NearMisses NearMisses
	Claims     Claims
	// SkippedFlag is the key of a flag that was skipped. ExampleFlag is the key of a flag that was rejected or left out.
	SkippedFlag [NumSkipReasons]string
	ExampleFlag [NumRejectReasons]string
	// WithoutReason counts exposures from evaluations without a reason; WithoutReasonFlag is the flag of one.
	WithoutReason     int
	WithoutReasonFlag string
	// ExtraEvents counts events beyond the first of their record; Late counts those that do not touch the user's
	// properties.
	ExtraEvents int
	Late        int
	// ExtraRepeats counts repeats among the events of records of which another event is sent.
	ExtraRepeats int
	// FlappingFlag is a flag whose property changes too often, or ""; Flapping counts such events.
	Flapping     int
	FlappingFlag string
	// Identifies counts $identify that correct a property, without an event or after one.
	Identifies int
	// PropertiesLeftOut counts event properties beyond Amplitude's limits, GroupsLeftOut groups and group values.
	PropertiesLeftOut int
	GroupsLeftOut     int
	// Changed has a flag, as a metric label, for each change of variant.
	Changed []string
}

// Write rewrites the batch that was read: each event that is not a repeat replaces its record, anything else that the
// record becomes follows it, and records that become nothing are removed. It returns how many records are left, and
// what became of all of them.
func (b *Batch) Write(ld plog.Logs) (left int, counts Counts) {
	b.countRead(&counts)
	dropOthers := b.parser.set.OtherRecords == OtherDrop
	if len(b.records) == 0 && !dropOthers {
		return b.size, counts
	}
	b.insertIDs()
	position, next := 0, 0
	remove := func(record plog.LogRecord) bool {
		recognized := next < len(b.records) && b.records[next].position == position
		position++
		gone := dropOthers
		if recognized {
			gone = !b.write(&b.records[next], record, &counts)
			next++
		}
		if !gone {
			left++
			b.writer.stay++
		}
		return gone
	}
	ld.ResourceLogs().RemoveIf(func(resource plog.ResourceLogs) bool {
		resource.ScopeLogs().RemoveIf(func(scope plog.ScopeLogs) bool {
			records := scope.LogRecords()
			empty := records.Len() == 0
			b.writer.stay = 0
			records.RemoveIf(remove)
			left += b.writer.insertExtra(records)
			return !empty && records.Len() == 0
		})
		return resource.ScopeLogs().Len() == 0
	})
	return left, counts
}

// countRead counts what was decided while reading.
func (b *Batch) countRead(counts *Counts) {
	others := Passed
	if b.parser.set.OtherRecords == OtherDrop {
		others = Dropped
	}
	counts.Outcomes[others] = b.size - len(b.records)
	counts.NearMisses = b.nearMisses
	counts.Claims = b.parser.claims
	counts.GroupsLeftOut = b.parser.groupsLeftOut
	counts.IDsIgnored = b.parser.reader.ignoredIDs
	counts.IDsSuspect = b.parser.suspects
	for _, flag := range b.parser.leftOut {
		counts.FlagsLeftOut[flag.reason]++
		counts.ExampleFlag[flag.reason] = flag.key
	}
}

// insertIDs makes the insert_ids of all events and $identify to send, as slices of one string.
func (b *Batch) insertIDs() {
	b.writer.ids = b.writer.ids[:0]
	b.writer.ends = b.writer.ends[:0]
	sdk := b.parser.set.InsertIDFormat == InsertIDSDK
	var whole sdkResult
	for i := range b.events {
		e := &b.events[i]
		switch {
		case e.shaped || e.Verdict.Repeat:
		case e.onlyProperties && e.Verdict.IdentifyNumber != 0:
			b.writer.ids = e.appendIdentifyID(b.writer.ids)
		case sdk && e.kind != e.parsedRecord.kind:
			whole = whole.of(e, b.parser.flags[e.flags.start:e.flags.end])
			b.writer.ids = e.appendSDKResultID(b.writer.ids, whole)
		case sdk && e.hasSDKInsertID():
			b.writer.ids = e.appendSDKInsertID(b.writer.ids)
		default:
			b.writer.ids = e.appendInsertID(b.writer.ids)
		}
		b.writer.ends = append(b.writer.ends, len(b.writer.ids))
		if e.Verdict.Identify {
			b.writer.ids = e.appendIdentifyID(b.writer.ids)
		}
		b.writer.ends = append(b.writer.ends, len(b.writer.ids))
	}
	ids, start := string(b.writer.ids), 0
	for i := range b.events {
		event, identify := b.writer.ends[2*i], b.writer.ends[2*i+1]
		b.events[i].insertID, b.events[i].identifyID = ids[start:event], ids[event:identify]
		start = identify
	}
}

// write carries out what was decided about a record, and reports whether the record stays.
func (b *Batch) write(r *parsedRecord, record plog.LogRecord, counts *Counts) bool {
	outcome := b.outcomeOf(r)
	switch outcome {
	case Skipped:
		counts.Skipped[r.skip]++
		if key := b.exampleFlag(r); key != "" {
			counts.SkippedFlag[r.skip] = key
		}
	case Rejected:
		counts.Rejected[r.reject]++
		if key := b.exampleFlag(r); key != "" {
			counts.ExampleFlag[r.reject] = key
		}
	default:
		b.writeEvents(r, record, counts)
		r.trace.ended(outcome)
	}
	if r.withoutReason && r.leaves() {
		counts.WithoutReason++
		counts.WithoutReasonFlag = b.exampleFlag(r)
	}
	counts.Outcomes[outcome]++
	return outcome != Duplicate && r.leaves()
}

// outcomeOf returns what becomes of a record whose events have their verdicts.
func (b *Batch) outcomeOf(r *parsedRecord) Outcome {
	if !r.leaves() {
		return r.outcome
	}
	outcome := Duplicate
	for i := r.events.start; i < r.events.end; i++ {
		switch verdict := &b.events[i].Verdict; {
		case !verdict.Repeat:
			return r.outcome
		case verdict.Identify:
			outcome = Repaired
		}
	}
	return outcome
}

// exampleFlag is the key of the flag of an exposure, if it was read.
func (b *Batch) exampleFlag(r *parsedRecord) string {
	if r.kind == kindAssignment || r.flags.len() == 0 {
		return ""
	}
	return b.parser.flags[r.flags.start].Key
}

// writeEvents writes the events of a record that are not repeats, followed by what repairs user properties: the first
// into the record itself.
func (b *Batch) writeEvents(r *parsedRecord, record plog.LogRecord, counts *Counts) {
	events, identifies := 0, 0
	if r.exposures.len() > 0 {
		takeMetadata(b.events[r.events.start:r.events.end])
	}
	for i := r.events.start; i < r.events.end; i++ {
		e := &b.events[i]
		if e.Verdict.Changed {
			counts.Changed = append(counts.Changed, e.flagLabel())
		}
		if e.Verdict.Flapping != "" {
			counts.Flapping++
			counts.FlappingFlag = e.Verdict.Flapping
		}
		if e.Verdict.Repeat {
			continue
		}
		if e.Verdict.Late {
			counts.Late++
		}
		to := record
		if events++; r.shaped {
			e.insertID = b.writer.leaveOut(e, record)
		} else {
			if events == 1 {
				counts.PropertiesLeftOut += b.writer.write(e, to, e.insertID)
			} else {
				var leftOut int
				to, leftOut = b.writer.another(e, record, &b.parser)
				counts.PropertiesLeftOut += leftOut
				counts.ExtraEvents++
			}
		}
		r.trace.wrote(b.parser.Mapper, e, to, events == 1)
	}
	for i := r.events.start; i < r.events.end; i++ {
		e := &b.events[i]
		if !e.Verdict.Identify {
			continue
		}
		to := record
		if identifies++; events+identifies > 1 {
			to = b.writer.beside(record)
		}
		counts.Identifies++
		b.writer.identify(e, to)
		r.trace.repaired(e, to)
	}
	if events > 0 {
		counts.ExtraRepeats += r.events.len() - events
	}
	if events+identifies > 0 && !r.shaped {
		b.writer.nothing.MoveTo(record.Body())
	}
}

// flagLabel is the flag of an event as a metric label.
func (e *Event) flagLabel() string {
	if len(e.Flags) == 1 && e.Flags[0].names != nil {
		return e.Flags[0].names.label
	}
	return otherFlagLabel
}

// exposureNames are the names of the parts of an exposure in one of its two forms.
type exposureNames struct{ event, flagKey, variant, experimentKey string }

var (
	shapedNames        = exposureNames{amplitude.EventExposure, amplitude.PropertyFlagKey, amplitude.PropertyVariant, amplitude.PropertyExperimentKey}
	impressionNames    = exposureNames{amplitude.EventImpression, amplitude.PropertyFlagKey, amplitude.PropertyVariant, amplitude.PropertyExperimentKey}
	rawImpressionNames = exposureNames{amplitude.EventRawImpression, amplitude.RawFlagKey, amplitude.RawVariant, amplitude.RawExperimentKey}
	rawNames           = exposureNames{amplitude.EventRawExposure, amplitude.RawFlagKey, amplitude.RawVariant, amplitude.RawExperimentKey}
)
