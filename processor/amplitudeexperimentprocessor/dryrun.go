// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudeexperimentprocessor // import "github.com/otelcol-amplitude/otelcol-amplitude/processor/amplitudeexperimentprocessor"

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/processor"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
	tracenoop "go.opentelemetry.io/otel/trace/noop"
	"go.uber.org/zap"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/amplitude"
	"github.com/otelcol-amplitude/otelcol-amplitude/processor/amplitudeexperimentprocessor/internal/dedup"
	"github.com/otelcol-amplitude/otelcol-amplitude/processor/amplitudeexperimentprocessor/internal/metadata"
)

// DryRun decides about records as a processor with the same configuration does, by the same code, and tells why.
// It sends nothing and connects to nothing: all that it remembers is what it was given before.
// It is not safe for concurrent use.
type DryRun struct {
	p *experimentProcessor
	// aside is working memory for asking the processor's code again about a single record.
	aside   *scratch
	history history
	// insertIDs has the first record of each insert_id.
	insertIDs map[string]int
	records   int
}

// NewDryRun makes a DryRun of a configuration that the factory made and that is valid. now is the time of
// arrival; nil means the clock.
func NewDryRun(cfg component.Config, now func() time.Time) (*DryRun, error) {
	config, ok := cfg.(*Config)
	if !ok {
		return nil, fmt.Errorf("a configuration of %s is needed, found %T", metadata.Type, cfg)
	}
	if now == nil {
		now = time.Now
	}
	set := processor.Settings{
		ID: component.NewID(metadata.Type),
		TelemetrySettings: component.TelemetrySettings{
			Logger:         zap.NewNop(),
			MeterProvider:  metricnoop.NewMeterProvider(),
			TracerProvider: tracenoop.NewTracerProvider(),
			Resource:       pcommon.NewResource(),
		},
	}
	shared, err := newInstance(config, set)
	if err != nil {
		return nil, err
	}
	shared.now = now
	buckets, err := newBucketer(config.Dedup.Window, config.Dedup.TimeZone)
	if err != nil {
		return nil, err
	}
	memory := &deduplicator{bucketer: buckets, cfg: &config.Dedup}
	if config.Dedup.Enabled {
		// Neither started nor told of Redis: it keeps to itself.
		settings := config.Dedup.settings(set)
		settings.Clock = now
		state, err := dedup.New(settings)
		if err != nil {
			return nil, err
		}
		memory.shared = &dedupState{State: state}
	}
	return &DryRun{
		p:       &experimentProcessor{instance: shared, dedup: memory},
		aside:   shared.scratch.get(),
		history: history{},

		insertIDs: map[string]int{},
	}, nil
}

// original is a record as it came.
type original struct {
	resource, scope pcommon.Map
	record          plog.LogRecord
	path            string
}

// Explain decides about a batch, which stays as it is, and remembers it as sent. It returns an explanation
// for each record, in order.
func (d *DryRun) Explain(ctx context.Context, ld plog.Logs) []Explanation {
	originals, apart := takeApart(ld)
	p := d.p
	s := p.scratch.get()
	defer p.scratch.put(s)
	leftOut := map[int][]FlagResult{}
	s.counts.onLeftOut = func(reason rejectReason, flag string) {
		at := s.plans[len(s.plans)-1].position
		leftOut[at] = append(leftOut[at], FlagResult{Key: flag, LeftOut: rejectNames[reason]})
	}

	// These are the steps of ConsumeLogs, with a next component that accepts everything.
	now := p.now().UnixMilli()
	incoming := p.read(s, apart, now)
	for range s.records {
		s.verdicts = append(s.verdicts, dedup.Verdict{})
	}
	reservation := p.dedup.reserve(ctx, s.records, s.verdicts)
	p.write(s, apart, incoming)
	reservation.Commit(ctx)

	explanations := make([]Explanation, len(originals))
	next := 0
	for i := range originals {
		d.records++
		x := &explanations[i]
		x.Record, x.Path = d.records, originals[i].path
		d.recognised(x, originals[i].record)
		if next < len(s.plans) && s.plans[next].position == i {
			d.explain(x, &originals[i], s, &s.plans[next].facts, leftOut[i], now)
			next++
		} else {
			d.foreign(x, originals[i].record)
		}
	}
	handOut(explanations, apart)
	for i := range explanations {
		d.notCarried(&explanations[i], originals[i].record)
	}
	return explanations
}

// takeApart copies a batch so that each record has a resource and a scope of its own: what is left of each
// after the processor has rewritten the batch can then be told.
func takeApart(ld plog.Logs) ([]original, plog.Logs) {
	var originals []original
	apart := plog.NewLogs()
	for i, resource := range ld.ResourceLogs().All() {
		for j, scope := range resource.ScopeLogs().All() {
			for k, record := range scope.LogRecords().All() {
				originals = append(originals, original{
					resource: resource.Resource().Attributes(), scope: scope.Scope().Attributes(), record: record,
					path: fmt.Sprintf("resourceLogs[%d].scopeLogs[%d].logRecords[%d]", i, j, k),
				})
				one := apart.ResourceLogs().AppendEmpty()
				resource.Resource().CopyTo(one.Resource())
				around := one.ScopeLogs().AppendEmpty()
				scope.Scope().CopyTo(around.Scope())
				record.CopyTo(around.LogRecords().AppendEmpty())
			}
		}
	}
	return originals, apart
}

// handOut gives each explanation the records that are left of its own. What is sent of a record stands in
// one resource, in order; of the others nothing is left.
func handOut(explanations []Explanation, apart plog.Logs) {
	resource := 0
	for i := range explanations {
		left := 0
		for j := range explanations[i].Events {
			if e := &explanations[i].Events[j]; e.Sent {
				e.Record = apart.ResourceLogs().At(resource).ScopeLogs().At(0).LogRecords().At(left)
				left++
			}
		}
		if left > 0 {
			resource++
		}
	}
}

// foreign explains a record that is none of ours.
func (d *DryRun) foreign(x *Explanation, record plog.LogRecord) {
	why := d.whyForeign(x.Recognised.EventName, record)
	if d.p.cfg.OtherRecords == otherDrop {
		x.Outcome = outcomeNames[outcomeDropped]
		x.rule("other_records", otherDrop, why)
		return
	}
	x.Outcome = outcomeNames[outcomePassed]
	x.rule("other_records", otherPass, why)
	x.Events = []Event{{Sent: true}}
}

// whyForeign says why a record is none of ours, and what is nearly so.
func (d *DryRun) whyForeign(name string, record plog.LogRecord) string {
	cfg := &d.p.cfg.Evaluation
	switch {
	case name == amplitude.EventIdentify:
		return "an $identify is ours only if an edge Collector made it of an un-exposure"
	case !cfg.Enabled && slices.Contains(cfg.EventNames, name):
		return "evaluation.enabled is false"
	case name == "" && d.p.interpreter.names[record.Body().AsString()] != sourceNone:
		return "it has no event name; a name in the body does not count"
	case name == "":
		return "it has no event name"
	}
	for known := range d.p.interpreter.names {
		if strings.EqualFold(strings.TrimSpace(name), known) {
			return fmt.Sprintf("its event name is none of ours; it is compared exactly, and %q would be one", known)
		}
	}
	return "its event name is none of ours"
}

// explain explains a record of ours.
func (d *DryRun) explain(x *Explanation, o *original, s *scratch, f *facts, leftOut []FlagResult, now int64) {
	x.Recognised.Shaped = f.shaped
	switch f.outcome {
	case outcomeSkipped:
		x.Reason = skipNames[f.skip]
	case outcomeRejected:
		x.Reason, x.Hint = rejectNames[f.reject], rejectHints[f.reject]
	}
	if f.shaped {
		d.shapedFacts(x, f)
	} else {
		g := d.gather(x, o, f)
		d.rules(x, o, g, s, f, now)
	}
	d.flags(x, s, f, leftOut)
	x.Outcome = outcomeNames[f.outcome]
	if f.outcome.leaves() && !d.events(x, o, s, f) {
		x.Outcome = outcomeNames[outcomeDuplicate]
	}
}

func (x *Explanation) rule(about, result, because string) {
	x.Rules = append(x.Rules, Rule{About: about, Result: result, Because: because})
}
