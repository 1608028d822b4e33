// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudeexperimentprocessor // import "github.com/otelcol-amplitude/otelcol-amplitude/processor/amplitudeexperimentprocessor"

import (
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/amplitude"
	"github.com/otelcol-amplitude/otelcol-amplitude/processor/amplitudeexperimentprocessor/internal/dedup"
)

// sentResult is a result that a record of a dry run sent.
type sentResult struct {
	dedup.Record
	number int
	late   bool
}

// history is what was sent of each subject, in order. The state decides without it: it only gives the
// numbers of the records that an explanation speaks of.
type history map[dedup.Key][]sentResult

// same returns the record that sent this very result, or 0.
func (h history) same(r *dedup.Record) int {
	for _, one := range h[r.Subject] {
		if one.Result == r.Result && one.Bucket == r.Bucket {
			return one.number
		}
	}
	return 0
}

// last returns the last record of the subject that moved its state, or nil.
func (h history) last(r *dedup.Record) *sentResult {
	list := h[r.Subject]
	for i := len(list) - 1; i >= 0; i-- {
		if !list[i].late {
			return &list[i]
		}
	}
	return nil
}

// events tells what becomes of the events of a record, and whether any is sent.
func (d *DryRun) events(x *Explanation, o *original, s *scratch, f *facts) (sent bool) {
	for at := f.parts.start; at < f.parts.end; at++ {
		verdict, result := s.verdicts[at], &s.records[at]
		e := Event{Transition: verdict.Transition, Sent: verdict.Outcome != dedup.Repeat}
		d.judge(&e, verdict, result)
		if f.parts.len() > 1 {
			for _, flag := range s.flags[s.parts[at].flags.start:s.parts[at].flags.end] {
				e.Flags = append(e.Flags, shown(flag.key))
			}
		}
		if e.Sent {
			e.InsertID = d.insertID(o.record.Attributes(), s, f, at)
			if e.InsertID.SameAs = d.insertIDs[e.InsertID.Value]; e.InsertID.SameAs == 0 {
				d.insertIDs[e.InsertID.Value] = x.Record
			}
			d.history[result.Subject] = append(d.history[result.Subject],
				sentResult{Record: *result, number: x.Record, late: verdict.Outcome == dedup.Late})
			sent = true
		}
		x.Events = append(x.Events, e)
	}
	return sent
}

// judge puts the verdict of the de-duplication into words.
func (d *DryRun) judge(e *Event, verdict dedup.Verdict, r *dedup.Record) {
	last := d.history.last(r)
	same, another := "on the same day", "on another day"
	if d.p.cfg.Dedup.Window != dedupWindowDay {
		same, another = "in the same window", "in another window"
	}
	switch {
	case verdict.Outcome == dedup.Repeat:
		e.Verdict, e.SameAs = VerdictRepeat, d.history.same(r)
		e.Because = fmt.Sprintf("record %d told the same of the same subject %s", e.SameAs, same)
	case verdict.Outcome == dedup.Late:
		e.Verdict = VerdictLate
		e.Because = "it is older than the newest record of its subject: the event completes the history and leaves the user property alone"
	case !d.p.cfg.Dedup.Enabled:
		e.Verdict, e.Because = VerdictSend, "dedup.enabled is false"
	case last == nil:
		e.Verdict, e.Because = VerdictSend, "nothing was sent of this subject before"
	case d.p.cfg.Dedup.Mode == dedupModeUniquePerDay:
		e.Verdict, e.Because = VerdictSend, "nothing told this result "+same
	default:
		e.Verdict = VerdictSend
		when := same
		if last.Bucket != r.Bucket {
			when = another
		}
		if verdict.Changed {
			e.ChangedFrom = last.number
			e.Because = fmt.Sprintf("the result changed: record %d told another %s", last.number, when)
		} else {
			e.Because = fmt.Sprintf("record %d told the same, but %s", last.number, when)
		}
	}
}

// insertID tells what the insert_id of a sent event is made of.
func (d *DryRun) insertID(attributes pcommon.Map, s *scratch, f *facts, at int32) *InsertID {
	id := &InsertID{Window: s.records[at].Bucket}
	one := &s.parts[at]
	switch {
	case f.shaped:
		id.Format = "kept"
		if value, ok := attributes.Get(amplitude.AttrInsertID); ok {
			id.Value = value.AsString()
		}
	case d.p.cfg.InsertID.Format == insertIDSDK:
		id.Format, id.Value = insertIDSDK, string(s.ids[one.idStart:one.idEnd])
		id.Window = int32(floorDiv(f.time, millisPerDay))
		id.Day = dateOf(id.Window)
		return id
	default:
		hash := one.event.Bytes()
		id.Format, id.Value, id.Hash = insertIDStrong, string(s.ids[one.idStart:one.idEnd]), hex.EncodeToString(hash[:])
		id.IDsHashed = !strings.HasPrefix(id.Value, f.userID+" "+f.deviceID+" ")
	}
	if d.p.cfg.Dedup.Window == dedupWindowDay {
		id.Day = dateOf(id.Window)
	}
	return id
}

func dateOf(day int32) string {
	return time.Unix(int64(day)*secondsPerDay, 0).UTC().Format(time.DateOnly)
}
