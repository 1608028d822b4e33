// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package experiment // import "github.com/otelcol-amplitude/otelcol-amplitude/internal/experiment"

import (
	"encoding/hex"
	"strings"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/amplitude"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/experiment/explain"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/printable"
)

// events notes the events that a record becomes. The caller that decides about them adds the reasons.
func (t *Trace) events(events []Event) {
	if t == nil {
		return
	}
	t.x.Events = make([]explain.Event, len(events))
	for i := range events {
		explained := &t.x.Events[i]
		events[i].Explanation = explained
		explained.Of = t.x.Record
		if len(events) > 1 {
			for _, flag := range events[i].Flags {
				explained.Flags = append(explained.Flags, printable.Text(flag.Key))
			}
		}
	}
}

// ended notes what became of a record whose events are written, or are all repeats.
func (t *Trace) ended(outcome Outcome) {
	if t != nil {
		t.x.Outcome = outcome.String()
	}
}

// wrote notes an event that is sent as the given record; the first of a record also notes what was left behind.
func (t *Trace) wrote(m *Mapper, e *Event, record plog.LogRecord, first bool) {
	if t == nil {
		return
	}
	e.Explanation.Sent, e.Explanation.Record = true, copyRecord(record)
	if !e.shaped {
		pcommon.NewValueEmpty().MoveTo(e.Explanation.Record.Body()) // the body is removed when all events of the record are written
		if first {
			t.leftBehind(m, e.parsedRecord.kind, record)
		}
	}
	e.Explanation.InsertID = e.describeInsertID(m.set, e.Explanation.Record)
	e.Explanation.InsertID.SameAs = t.history.SentAs(t.x.Record, e.Explanation.InsertID.Value)
}

// repaired notes the $identify that corrects the properties of an event's flags.
func (t *Trace) repaired(e *Event, record plog.LogRecord) {
	if t == nil {
		return
	}
	identify := copyRecord(record)
	pcommon.NewValueEmpty().MoveTo(identify.Body())
	e.Explanation.Identify = &identify
}

// describeInsertID says what the insert_id of an event is made of.
func (e *Event) describeInsertID(set *Settings, record plog.LogRecord) *explain.InsertID {
	id := &explain.InsertID{Window: e.Window}
	if value, ok := record.Attributes().Get(amplitude.AttrInsertID); ok {
		id.Value = value.AsString()
	}
	switch {
	case e.shaped:
		id.Format = "kept"
	case e.onlyProperties && e.Verdict.IdentifyNumber != 0:
		return &explain.InsertID{Value: id.Value, Format: "identify"}
	case e.kind == kindOutcome:
		hash := e.key.Bytes()
		id.Format, id.Hash, id.Window = insertIDContent, hex.EncodeToString(hash[:]), 0
		if e.id != "" {
			id.Format = insertIDOutcome
		}
		id.IDsHashed = !strings.HasPrefix(id.Value, e.UserID+" "+e.DeviceID+" ")
		return id
	case set.InsertIDFormat == InsertIDSDK && e.hasSDKInsertID():
		id.Format = InsertIDSDK
		id.Window = int32(floorDiv(e.Time, millisPerDay))
		id.Day = dateOf(id.Window)
		return id
	default:
		hash := e.key.Bytes()
		id.Format, id.Hash = InsertIDStrong, hex.EncodeToString(hash[:])
		id.IDsHashed = !strings.HasPrefix(id.Value, e.UserID+" "+e.DeviceID+" ")
	}
	if set.Window.isDay {
		id.Day = dateOf(id.Window)
	}
	return id
}

func dateOf(day int32) string {
	return time.Unix(int64(day)*secondsPerDay, 0).UTC().Format(time.DateOnly)
}
