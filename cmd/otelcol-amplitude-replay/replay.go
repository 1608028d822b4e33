// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/amplitude/replay"
)

const (
	// maxLetters and maxBytes bound one request.
	maxLetters = 1000
	maxBytes   = 2 << 20
	// sevenDays is how long Amplitude drops events with an insert_id that it already has.
	sevenDays = 7 * 24 * time.Hour
)

// Outcomes that the command determines itself, in addition to the processor's answers.
const (
	handledBefore replay.Outcome = "handled before"
	tooOld        replay.Outcome = "older than seven days"
	unreadable    replay.Outcome = "unreadable"
	unknown       replay.Outcome = "unknown"
	notSent       replay.Outcome = "not sent"
)

// errSilent: nothing reported what became of the letters.
var errSilent = errors.New("the receiver accepted the letters, but nothing after it reports what became of them. The pipeline of that receiver needs the processor " +
	"amplitude_experiment, in this version, with nothing before it that delays records, such as a batch processor; and this command must run on the same machine")

// replayer sends the letters of one file.
type replayer struct {
	client   *http.Client
	endpoint string
	attempts int
	// pause is how long to wait after the first failure of a request; it doubles up to longestPause.
	pause, longestPause time.Duration
	// wait is how long to wait at the end for letters that are still in flight.
	wait    time.Duration
	from    int
	older   bool
	now     func() time.Time
	journal *journal
	out     io.Writer

	results results
	// events are the letters that represent all letters of their event.
	events map[string]*letter
	same   map[string][]letter
}

// run sends what has to be sent, and prints what became of each letter.
func (r *replayer) run(ctx context.Context, in io.Reader) error {
	r.events, r.same = map[string]*letter{}, map[string][]letter{}
	waiting, err := r.sendAll(ctx, in)
	if err == nil {
		waiting, err = r.await(ctx, waiting)
	}
	for _, l := range waiting {
		r.record(l, replay.Letter{Outcome: replay.Waiting, Why: "on its way in the exporter"})
	}
	r.results.print(r.out)
	switch {
	case err != nil:
		return err
	case !r.results.allHandled():
		return errLeft
	}
	return nil
}

// sendAll sends all letters once and returns those that are on their way.
func (r *replayer) sendAll(ctx context.Context, in io.Reader) (waiting []letter, err error) {
	var batch []letter
	size := 0
	send := func() {
		if len(batch) == 0 {
			return
		}
		var still []letter
		if err == nil {
			still, err = r.send(ctx, batch)
		} else {
			for _, l := range batch {
				r.record(l, replay.Letter{Outcome: notSent})
			}
		}
		waiting, batch, size = append(waiting, still...), nil, 0
	}
	for found, lineErr := range letters(in, r.from) {
		var bad *lineError
		if errors.As(lineErr, &bad) {
			r.results.add(bad.line, 0, replay.Letter{Outcome: unreadable, Why: bad.err.Error()})
			continue
		}
		if lineErr != nil {
			send()
			return waiting, errors.Join(err, lineErr)
		}
		for _, l := range found {
			if !r.isToSend(&l) {
				continue
			}
			batch = append(batch, l)
			size += sizer.LogsSize(l.logs)
			if len(batch) >= maxLetters || size >= maxBytes {
				send()
			}
		}
	}
	send()
	return waiting, err
}

var sizer plog.ProtoMarshaler

// isToSend reports whether a letter has to be sent, and records why not.
func (r *replayer) isToSend(l *letter) bool {
	if done, ok := r.journal.handled[l.id]; ok {
		r.results.add(l.line, l.number, replay.Letter{Outcome: handledBefore, Why: fmt.Sprintf("%s at %s", done.Outcome, done.Time.Format(time.RFC3339))})
		return false
	}
	if age := r.now().Sub(l.time); age > sevenDays && l.time.Unix() > 0 {
		fmt.Fprintf(r.out, "line %d, letter %d: its event is from %s, %d days ago\n", l.line, l.number, l.time.UTC().Format(time.RFC3339), int(age/(24*time.Hour)))
		if !r.older {
			r.results.add(l.line, l.number, replay.Letter{Outcome: tooOld, Why: "Amplitude would store it twice if it already has it: -older sends it anyway"})
			return false
		}
	}
	if first, ok := r.events[l.event]; ok {
		// One event, dead-lettered several times.
		if known, ok := r.results.of(first); ok {
			r.record(*l, known)
		} else {
			r.same[first.id] = append(r.same[first.id], *l)
		}
		return false
	}
	first := *l
	r.events[l.event] = &first
	return true
}

// send sends letters in one request and returns those that are on their way.
func (r *replayer) send(ctx context.Context, batch []letter) (waiting []letter, err error) {
	logs := plog.NewLogs()
	for _, l := range batch {
		l.logs.ResourceLogs().At(0).CopyTo(logs.ResourceLogs().AppendEmpty())
	}
	outcomes, err := r.post(ctx, logs)
	if err != nil {
		outcome := notSent
		if errors.Is(err, errSilent) {
			outcome = unknown
		}
		for _, l := range batch {
			r.record(l, replay.Letter{Outcome: outcome})
		}
		return nil, err
	}
	var done []entry
	for _, l := range batch {
		answer, ok := outcomes[l.id]
		switch {
		case !ok:
			r.record(l, replay.Letter{Outcome: replay.Rejected, Why: "something before the processor dropped it"})
		case answer.Outcome == replay.Waiting:
			waiting = append(waiting, l)
		default:
			if answer.Outcome.Handled() {
				done = append(done, entry{l.id, answer.Outcome, answer.Why, r.now().UTC()})
				for _, same := range r.same[l.id] {
					done = append(done, entry{same.id, answer.Outcome, answer.Why, r.now().UTC()})
				}
			}
			r.record(l, answer)
		}
	}
	if err := r.journal.note(done); err != nil {
		return waiting, fmt.Errorf("failed to write the journal: %w", err)
	}
	return waiting, nil
}

// await asks about letters in flight until all have arrived, or the wait is over.
func (r *replayer) await(ctx context.Context, waiting []letter) ([]letter, error) {
	end := r.now().Add(r.wait)
	for len(waiting) > 0 && r.now().Before(end) {
		if !sleep(ctx, r.pause) {
			return waiting, ctx.Err()
		}
		var still []letter
		for from := 0; from < len(waiting); from += maxLetters {
			left, err := r.send(ctx, waiting[from:min(from+maxLetters, len(waiting))])
			still = append(still, left...)
			if err != nil {
				return still, err
			}
		}
		waiting = still
	}
	return waiting, nil
}

// record notes what became of a letter, and of all letters of its event.
func (r *replayer) record(l letter, what replay.Letter) {
	r.results.add(l.line, l.number, what)
	for _, same := range r.same[l.id] {
		r.results.add(same.line, same.number, what)
	}
	delete(r.same, l.id)
}

func sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}
