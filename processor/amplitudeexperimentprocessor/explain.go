// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudeexperimentprocessor // import "github.com/otelcol-amplitude/otelcol-amplitude/processor/amplitudeexperimentprocessor"

import (
	"fmt"
	"time"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/experiment"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/experiment/explain"
	"github.com/otelcol-amplitude/otelcol-amplitude/processor/amplitudeexperimentprocessor/internal/dedup"
)

// explainAll explains the verdicts on a batch for tap clients.
func (m *memory) explainAll(events []experiment.Event, r *reservation) {
	for i := range events {
		if explained := events[i].Explanation; explained != nil && explained.Verdict == "" {
			m.explain(&events[i], nil)
		}
	}
	for i, e := range remembered(events) {
		if explained := e.Explanation; r != nil && explained != nil && explained.Verdict == explain.VerdictRepeat {
			explained.Because += knownWords(r.known[i])
		}
	}
}

// knownWords says since when an event is known, and where it is.
func knownWords(known dedup.Known) string {
	at := time.UnixMilli(known.At).UTC()
	switch known.State {
	case dedup.Delivered:
		return ": it was delivered, and last reported at " + at.Format("2006-01-02T15:04:05Z")
	case dedup.OnItsWay:
		return ": it is on its way, with the time " + at.Format("2006-01-02T15:04:05.000Z")
	case dedup.SameBatch:
		return ": it is in the same request"
	default:
		return ""
	}
}

// explain puts the verdict on an event into words, with the record numbers in history, which may be nil.
func (m *memory) explain(e *experiment.Event, history *explain.History) {
	explained, verdict := e.Explanation, e.Verdict
	if explained == nil {
		return
	}
	if e.IsOutcome() {
		explained.Verdict = explain.VerdictSend
		explained.Because = "outcomes are not remembered: Amplitude drops a second event with the same insert_id"
		return
	}
	result := explain.Result{Subject: e.Subject, Result: e.Result, Window: e.Window, Late: verdict.Late}
	explained.Verdict = explain.VerdictSend
	explained.Property = explainProperty(&verdict)
	last, sameResult, sameWindow := history.Last(&result)
	same, another := "on the same day", "on another day"
	if m.cfg.Window != experiment.WindowDay {
		same, another = "in the same window", "in another window"
	}
	switch {
	case verdict.Repeat:
		explained.Verdict, explained.SameAs = explain.VerdictRepeat, history.Same(&result)
		explained.Because = fmt.Sprintf("%s reported the same result for the same subject %s", recordName(explained.SameAs), same)
		return
	case verdict.Late && verdict.Old:
		explained.Verdict = explain.VerdictLate
		explained.Because = "it is older than dedup.history_older_than, or from a device before its user appeared there: " + leavesAlone
	case verdict.Late && verdict.Flapping == "":
		explained.Verdict = explain.VerdictLate
		explained.Because = "a newer result is known for the same user and flag: " + leavesAlone
	case !m.cfg.Enabled:
		explained.Because = "dedup.enabled is false"
	case verdict.Changed && last > 0 && !sameResult:
		explained.ChangedFrom = last
		explained.Because = fmt.Sprintf("the result changed: record %d reported a different one", last)
		if !sameWindow {
			explained.Because += " " + another
		}
	case verdict.Changed:
		explained.Because = "the result changed: an earlier record, perhaps of another subject, reported a different one"
	case history == nil:
		explained.Because = "no remembered record reported this result " + same
	case last == 0:
		explained.Because = "nothing was sent for this subject before"
	case sameResult && !sameWindow:
		explained.Because = fmt.Sprintf("record %d reported the same, but %s", last, another)
	default:
		explained.Because = "no record reported this result " + same
	}
	history.Sent(explained.Of, result)
}

const leavesAlone = "the event completes the history and leaves the user property alone"

// explainProperty says what happens to the user properties in addition to the event.
func explainProperty(verdict *experiment.Verdict) string {
	switch {
	case verdict.Flapping != "":
		return "left unchanged: it has changed thirty times, and then more than once a minute"
	case verdict.Identify && verdict.Repeat:
		return "set by a $identify: the value last sent to Amplitude is different, or may be"
	case verdict.Identify:
		return "also set by a $identify: if Amplitude already has the event, it drops this one"
	}
	return ""
}

// recordName names the record that sent something, if its number is known.
func recordName(number int) string {
	if number == 0 {
		return "an earlier record"
	}
	return fmt.Sprintf("record %d", number)
}
