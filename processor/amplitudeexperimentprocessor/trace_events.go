// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudeexperimentprocessor // import "github.com/otelcol-amplitude/otelcol-amplitude/processor/amplitudeexperimentprocessor"

import (
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/amplitude"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/experiment/explain"
	"github.com/otelcol-amplitude/otelcol-amplitude/processor/amplitudeexperimentprocessor/internal/dedup"
)

// repeat tells of an event that is a repeat.
func (t *trace) repeat(cfg *Config, s *scratch, f *facts, at int32) {
	if t != nil {
		t.event(cfg, s, f, at, "", plog.LogRecord{})
	}
}

// duplicate tells that all events of a record are repeats.
func (t *trace) duplicate() {
	if t != nil {
		t.x.Outcome = outcomeNames[outcomeDuplicate]
	}
}

// sent tells of an event that goes on.
func (t *trace) sent(p *experimentProcessor, s *scratch, f *facts, at int32, insertID string, record plog.LogRecord) {
	if t == nil {
		return
	}
	t.event(p.cfg, s, f, at, insertID, record)
	if at == f.parts.start && !f.shaped {
		t.wrote(p.shaper, f.source, record)
	}
}

// event tells what the de-duplication decided about an event; record is the event as it goes on, if it does.
func (t *trace) event(cfg *Config, s *scratch, f *facts, at int32, insertID string, record plog.LogRecord) {
	verdict, result := s.verdicts[at], &s.records[at]
	sent := explain.Result{Subject: result.Subject, Result: result.Result, Window: result.Bucket, Late: verdict.Outcome == dedup.Late}
	e := explain.Event{Transition: verdict.Transition, Sent: verdict.Outcome != dedup.Repeat}
	t.judge(&e, cfg, verdict, &sent)
	if f.parts.len() > 1 {
		for _, flag := range s.flags[s.parts[at].flags.start:s.parts[at].flags.end] {
			e.Flags = append(e.Flags, shown(flag.key))
		}
	}
	if e.Sent {
		e.Record = copyRecord(record)
		if !f.shaped {
			pcommon.NewValueEmpty().MoveTo(e.Record.Body()) // the body goes when all events of the record are written
		}
		e.InsertID = describeInsertID(cfg, s, f, at, insertID, e.Record)
		e.InsertID.SameAs = t.history.Sent(t.x.Record, sent, e.InsertID.Value)
	}
	t.x.Events = append(t.x.Events, e)
}

// judge puts the verdict of the de-duplication into words.
func (t *trace) judge(e *explain.Event, cfg *Config, verdict dedup.Verdict, r *explain.Result) {
	last, sameWindow := t.history.Last(r)
	same, another := "on the same day", "on another day"
	if cfg.Dedup.Window != dedupWindowDay {
		same, another = "in the same window", "in another window"
	}
	switch {
	case verdict.Outcome == dedup.Repeat:
		e.Verdict, e.SameAs = explain.VerdictRepeat, t.history.Same(r)
		e.Because = fmt.Sprintf("%s told the same of the same subject %s", recordName(e.SameAs), same)
	case verdict.Outcome == dedup.Late:
		e.Verdict = explain.VerdictLate
		e.Because = "it is older than the newest record of its subject: the event completes the history and leaves the user property alone"
	case !cfg.Dedup.Enabled:
		e.Verdict, e.Because = explain.VerdictSend, "dedup.enabled is false"
	case verdict.Changed && cfg.Dedup.Mode != dedupModeUniquePerDay:
		when := same
		if last > 0 && !sameWindow {
			when = another
		}
		e.Verdict, e.ChangedFrom = explain.VerdictSend, last
		e.Because = fmt.Sprintf("the result changed: %s told another %s", recordName(last), when)
	case t.history == nil:
		e.Verdict, e.Because = explain.VerdictSend, "nothing that is remembered told this result "+same
	case last == 0:
		e.Verdict, e.Because = explain.VerdictSend, "nothing was sent of this subject before"
	case cfg.Dedup.Mode == dedupModeUniquePerDay:
		e.Verdict, e.Because = explain.VerdictSend, "nothing told this result "+same
	default:
		when := same
		if !sameWindow {
			when = another
		}
		e.Verdict, e.Because = explain.VerdictSend, fmt.Sprintf("record %d told the same, but %s", last, when)
	}
}

// recordName names the record that sent something, if its number is known.
func recordName(number int) string {
	if number == 0 {
		return "an earlier record"
	}
	return fmt.Sprintf("record %d", number)
}

// describeInsertID tells what the insert_id of an event is made of.
func describeInsertID(cfg *Config, s *scratch, f *facts, at int32, insertID string, record plog.LogRecord) *explain.InsertID {
	id := &explain.InsertID{Window: s.records[at].Bucket, Value: strings.Clone(insertID)}
	switch {
	case f.shaped:
		id.Format = "kept"
		if value, ok := record.Attributes().Get(amplitude.AttrInsertID); ok {
			id.Value = value.AsString()
		}
	case cfg.InsertID.Format == insertIDSDK:
		id.Format = insertIDSDK
		id.Window = int32(floorDiv(f.time, millisPerDay))
		id.Day = dateOf(id.Window)
		return id
	default:
		hash := s.parts[at].event.Bytes()
		id.Format, id.Hash = insertIDStrong, hex.EncodeToString(hash[:])
		id.IDsHashed = !strings.HasPrefix(id.Value, f.userID+" "+f.deviceID+" ")
	}
	if cfg.Dedup.Window == dedupWindowDay {
		id.Day = dateOf(id.Window)
	}
	return id
}

func dateOf(day int32) string {
	return time.Unix(int64(day)*secondsPerDay, 0).UTC().Format(time.DateOnly)
}
