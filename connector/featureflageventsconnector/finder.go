// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package featureflageventsconnector // import "github.com/otelcol-amplitude/otelcol-amplitude/connector/featureflageventsconnector"

import (
	"context"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/steps"
)

// source is where an evaluation was found.
type source uint8

const (
	sourceSpanEvent source = iota
	sourceSpan
	numSources
)

// skipReason is why an evaluation became no record.
type skipReason uint8

const (
	skipIfTrue skipReason = iota
	skipNotInExperiment
	numSkipReasons
)

// traceFlagsMask selects the bits of a span's flags that are trace flags, which mean the same in a log record.
const traceFlagsMask = 0xff

// findings are the records made from one batch of traces, and their counts.
type findings struct {
	logs        plog.Logs
	spans       int
	bySource    [numSources]int
	skipped     [numSkipReasons]int
	withoutUser int
	leftOut     [numCopyLimits]int
	// observed is the time of the conversion, read once per batch at the first evaluation.
	observed pcommon.Timestamp
}

// records returns how many records were made.
func (f *findings) records() int {
	return f.bySource[sourceSpanEvent] + f.bySource[sourceSpan]
}

// finder finds evaluations in traces. It has no state of its own and may be used concurrently.
type finder struct {
	eventNames   map[string]struct{}
	copied       map[string]struct{}
	copyBudget   int
	events       []spanRule
	spans        []spanRule
	launchDarkly *launchDarkly
}

func newFinder(cfg *Config) *finder {
	f := &finder{eventNames: setOf(cfg.SpanEventNames), copied: setOf(cfg.CopyAttributes), copyBudget: cfg.MaxCopiedMiB << bitsPerMiB}
	for i := range cfg.SpanEvents {
		f.events = append(f.events, newSpanEventRule(&cfg.SpanEvents[i]))
	}
	for i := range cfg.Spans {
		f.spans = append(f.spans, newSpanRule(&cfg.Spans[i]))
	}
	if cfg.LaunchDarkly.Enabled {
		f.launchDarkly = newLaunchDarkly(&cfg.LaunchDarkly)
	}
	return f
}

// find makes a record from each evaluation in traces, in order, with copies of their resource and scope. It does not
// allocate for spans without evaluations. Between spans and events, it checks whether anyone still waits for the
// answer; if not, it returns the reason.
func (f *finder) find(ctx context.Context, traces ptrace.Traces, at *place) error {
	at.gone = ctx.Done()
	for i := range traces.ResourceSpans().Len() {
		resource := traces.ResourceSpans().At(i)
		at.resource, at.hasResource = resource, false
		at.ofResource.forget()
		for j := range resource.ScopeSpans().Len() {
			at.scope, at.hasScope = resource.ScopeSpans().At(j), false
			at.ofScope.forget()
			spans := at.scope.Spans()
			at.found.spans += spans.Len()
			for k := range spans.Len() {
				if !f.visit(spans.At(k), at) {
					return context.Cause(ctx)
				}
			}
		}
	}
	return nil
}

// visit processes one span; false if nobody waits anymore.
func (f *finder) visit(span ptrace.Span, at *place) bool {
	at.ofSpan.forget()
	events := span.Events()
	steps.Add(1 + events.Len())
	for i := range events.Len() {
		select {
		case <-at.gone:
			return false
		default:
		}
		event := events.At(i)
		if _, ours := f.eventNames[event.Name()]; ours {
			f.fromEvent(span, event, nil, at)
			continue
		}
		for j := range f.events {
			if rule := &f.events[j]; rule.matches(event.Name()) {
				f.fromEvent(span, event, rule, at)
				break
			}
		}
	}
	for i := range f.spans {
		if rule := &f.spans[i]; rule.matches(span.Name()) {
			f.fromSpan(span, rule, at)
			break
		}
	}
	select {
	case <-at.gone:
		return false
	default:
		return true
	}
}

// fromEvent makes a record from a span event, renamed if there is a rule. The event lacks what the span, its scope and
// its resource know about the user; each attribute is taken from the nearest that has it.
func (f *finder) fromEvent(span ptrace.Span, event ptrace.SpanEvent, rule *spanRule, at *place) {
	if f.launchDarkly.skips(event.Attributes()) {
		at.found.skipped[skipNotInExperiment]++
		return
	}
	if rule != nil && rule.skips(event.Attributes()) {
		at.found.skipped[skipIfTrue]++
		return
	}
	record := at.add(sourceSpanEvent)
	record.SetEventName(event.Name())
	record.SetTimestamp(firstTime(event.Timestamp(), span.StartTimestamp(), span.EndTimestamp()))
	record.SetDroppedAttributesCount(event.DroppedAttributesCount())
	steps.Add(event.Attributes().Len())
	if rule == nil {
		event.Attributes().CopyTo(record.Attributes())
	} else {
		record.SetEventName(rule.eventName)
		rule.copyAttributes(event.Name(), event.Attributes(), record.Attributes())
	}
	f.copyShared(&at.ofSpan, span.Attributes(), record.Attributes(), at)
	f.finish(span, record, at)
}

// fromSpan makes a record from a span that is itself an evaluation, with the start time of the span: reporting an
// evaluation late only moves the end of its span.
func (f *finder) fromSpan(span ptrace.Span, rule *spanRule, at *place) {
	if f.launchDarkly.skips(span.Attributes()) {
		at.found.skipped[skipNotInExperiment]++
		return
	}
	if rule.skips(span.Attributes()) {
		at.found.skipped[skipIfTrue]++
		return
	}
	record := at.add(sourceSpan)
	record.SetEventName(rule.eventName)
	record.SetTimestamp(firstTime(span.StartTimestamp(), span.EndTimestamp()))
	record.SetDroppedAttributesCount(span.DroppedAttributesCount())
	rule.copyAttributes(span.Name(), span.Attributes(), record.Attributes())
	f.finish(span, record, at)
}

// finish handles what both sources have in common.
func (f *finder) finish(span ptrace.Span, record plog.LogRecord, at *place) {
	f.copyShared(&at.ofScope, at.scope.Scope().Attributes(), record.Attributes(), at)
	f.copyShared(&at.ofResource, at.resource.Resource().Attributes(), record.Attributes(), at)
	record.SetObservedTimestamp(at.found.observed)
	record.SetTraceID(span.TraceID())
	record.SetSpanID(span.SpanID())
	record.SetFlags(plog.LogRecordFlags(span.Flags() & traceFlagsMask))
	if !f.launchDarkly.translate(record.Attributes()) {
		at.found.withoutUser++
	}
}

// place is the finder's position in the traces, and where its records go. It holds its parts by value, so that a batch
// without an evaluation does not allocate.
type place struct {
	found    findings
	resource ptrace.ResourceSpans
	scope    ptrace.ScopeSpans

	logsOfResource plog.ResourceLogs
	logsOfScope    plog.ScopeLogs
	hasResource    bool
	hasScope       bool

	// What all records of the current span, scope and resource may copy.
	ofSpan, ofScope, ofResource shared
	// copied is how many bytes records have copied; gone is true if nobody waits anymore.
	copied int
	gone   <-chan struct{}
}

// add appends a record with copies of the resource and the scope, which are made when first needed.
func (p *place) add(of source) plog.LogRecord {
	if p.found.records() == 0 {
		p.found.logs = plog.NewLogs()
		p.found.observed = pcommon.NewTimestampFromTime(time.Now())
	}
	if !p.hasResource {
		p.logsOfResource = p.found.logs.ResourceLogs().AppendEmpty()
		p.logsOfResource.SetSchemaUrl(p.resource.SchemaUrl())
		p.resource.Resource().CopyTo(p.logsOfResource.Resource())
		p.hasResource = true
	}
	if !p.hasScope {
		p.logsOfScope = p.logsOfResource.ScopeLogs().AppendEmpty()
		p.logsOfScope.SetSchemaUrl(p.scope.SchemaUrl())
		p.scope.Scope().CopyTo(p.logsOfScope.Scope())
		p.hasScope = true
	}
	p.found.bySource[of]++
	return p.logsOfScope.LogRecords().AppendEmpty()
}

// firstTime returns the first known time, else 0.
func firstTime(times ...pcommon.Timestamp) pcommon.Timestamp {
	for _, t := range times {
		if t != 0 {
			return t
		}
	}
	return 0
}

// putIfAbsent copies value unless to has one. An attribute without a value, as JavaScript's undefined and .NET's null
// arrive, counts as absent.
func putIfAbsent(to pcommon.Map, name string, value pcommon.Value) {
	own, exists := steps.Get(to, name)
	if exists && own.Type() != pcommon.ValueTypeEmpty {
		return
	}
	if !exists {
		own = steps.PutEmpty(to, name)
	}
	value.CopyTo(own)
}

func setOf(names []string) map[string]struct{} {
	set := make(map[string]struct{}, len(names))
	for _, name := range names {
		set[name] = struct{}{}
	}
	return set
}
