// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudeexporter // import "github.com/otelcol-amplitude/otelcol-amplitude/exporter/amplitudeexporter"

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"math/bits"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/otelcol-amplitude/otelcol-amplitude/exporter/amplitudeexporter/internal/event"
)

const (
	// maxSiftRounds bounds how often one lane of a batch immediately resends what an answer left over. Each round
	// removes an event; a batch with more bad events continues after the back-off.
	maxSiftRounds = 32
	// refusalWait is the pause after Amplitude refused a whole batch without saying why.
	refusalWait = 60 * time.Second
	// maxPlainTries is how often a whole batch is tried before a single event is suspected of causing the failures.
	maxPlainTries = 3
	// maxLone is how many events are sent on their own to see whether anything gets through.
	maxLone = 2
	// refusedBatches is how many consecutive batches have to be refused completely before events that were refused on
	// their own are considered bad.
	refusedBatches = 3
)

// delivery is one attempt to deliver a batch, over all its lanes.
type delivery struct {
	sender *sender
	batch  *batch
	// tries is how often these events were tried before; elsewhere: others got through in the meantime.
	tries     int
	elsewhere bool
	// refused counts the consecutive batches of which Amplitude refused every request.
	refused *int
	// last reports whether to give up on an event if this attempt does not finish it; nil means never.
	last func(i int) bool
	// stopping: this attempt is the last because of a shutdown.
	stopping bool
	// failures returns how often an event failed before, on its own, while others got through; nil means never.
	failures func(i int) int
	// resting reports whether a user or device waits in the slow lane; nil if the slow lane itself delivers.
	resting func(user, device event.Identity) bool

	mu sync.Mutex
	// accepted is the number of requests that Amplitude accepted.
	accepted int
	// refusal is the answer to an event that was refused on its own.
	refusal *response
	// prober is the lane that finds out whether a refusal concerns the sender.
	prober *lane
	// failure is why events are left over, and wait the longest wait that an answer asked for. patient: the failure may
	// last until someone changes something, so the waits may grow.
	failure error
	wait    time.Duration
	patient bool
	// status is the status of the failure, or 0 without an answer.
	status int
}

// lane delivers its events with one request after the other.
type lane struct {
	*delivery
	// throttled are the users and devices of this lane whose events now wait.
	throttled map[event.Identity]time.Duration
	rounds    int
	// refusals counts the refused requests since one was accepted; allowed bounds it.
	refusals int
	allowed  int
	// lone counts the events that were refused on their own before anything was accepted.
	lone int
}

// run delivers all lanes and returns when each has done what it can. Events that are still pending have to be retried.
func (d *delivery) run(ctx context.Context, lanes [][]int32) {
	var others sync.WaitGroup
	for _, indexes := range lanes[1:] {
		if len(indexes) > 0 {
			others.Go(func() { d.runLane(ctx, indexes) })
		}
	}
	d.runLane(ctx, lanes[0])
	others.Wait()
	for i := range d.toConfirm() {
		d.batch.events[i].state = statePending
		d.runLane(ctx, []int32{i})
	}
}

// toConfirm yields the events that were refused on their own before anything else was accepted: the refusals may have
// ended in the meantime, so each is sent again. If a later event of its user or device has overtaken one, it waits for
// the next attempt.
func (d *delivery) toConfirm() iter.Seq[int32] {
	return func(yield func(int32) bool) {
		if d.accepted == 0 {
			return
		}
		for i := range d.batch.events {
			e := &d.batch.events[i]
			refused := e.state == stateSuspect && e.failure.Reason != event.ReasonFailing // one that failed is retried anyway
			if refused && e.early && !d.overtaken(i) && !yield(int32(i)) {
				return
			}
		}
	}
}

// overtaken reports whether a later event of the same user or device was accepted. It searches the whole batch, but is
// called for few events: each lane stops after lane.allowed refusals.
func (d *delivery) overtaken(i int) bool {
	e := &d.batch.events[i]
	for k := i + 1; k < len(d.batch.events); k++ {
		later := &d.batch.events[k]
		if later.state == stateDelivered && (later.user == e.user && e.user != 0 || later.device == e.device && e.device != 0) {
			return true
		}
	}
	return false
}

func (d *delivery) runLane(ctx context.Context, indexes []int32) {
	l := &lane{delivery: d, allowed: 4*bits.Len(uint(len(indexes))) + 8}
	// The events still to be sent are a stack of runs, the next one last.
	todo := [][]int32{indexes}
	for len(todo) > 0 {
		next := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		next = l.withoutThrottled(next)
		if len(next) == 0 {
			continue
		}
		if n := d.sender.envelope.take(d.batch, next); n < len(next) {
			todo = append(todo, next[n:])
			next = next[:n]
		}
		left, goOn := l.apply(d.sender.send(ctx, d.batch, next), next)
		if !goOn {
			return
		}
		for _, run := range slices.Backward(left) {
			todo = append(todo, run)
		}
	}
}

// apply acts on an answer. It returns the runs of events to send next, in order, and false if the lane has to stop.
func (l *lane) apply(res response, sent []int32) (next [][]int32, goOn bool) {
	switch res.action {
	case actionDone:
		l.accept(sent)
		return nil, true
	case actionSift:
		return l.sift(res, sent)
	case actionHalve:
		if len(sent) == 1 {
			l.markUndeliverable(sent[0], event.Failure{Reason: event.ReasonTooLarge, Status: res.status})
			return nil, true
		}
		if l.refusals++; l.refusals > l.allowed {
			l.fail(statusError{res}, refusalWait)
			return nil, false
		}
		return halves(sent), true
	case actionBisect:
		return l.refuse(res, sent)
	case actionProbe:
		return l.probe(res, sent)
	case actionRetry:
		// Not immediately: most failures are over by the next attempt.
		if l.tries >= maxPlainTries || l.elsewhere {
			return l.probe(res, sent)
		}
		l.hold(res)
		return nil, false
	default:
		l.hold(res)
		return nil, false
	}
}

// hold leaves events for another attempt.
func (d *delivery) hold(res response) {
	d.fail(res.failure(), res.wait)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.patient = d.patient || res.misconfigured || res.action == actionProbe
	d.status = max(d.status, res.status)
}

// probe finds out whether something between here and Amplitude refuses an event or the sender. A refusal is narrowed
// down only while something gets through: until then, one lane sends two events on their own, and all others wait.
func (l *lane) probe(res response, sent []int32) (next [][]int32, goOn bool) {
	l.mu.Lock()
	accepted := l.accepted > 0 || l.elsewhere
	if l.prober == nil {
		l.prober = l
	}
	probing := l.prober == l
	l.mu.Unlock()
	if len(sent) == 1 {
		e := &l.batch.events[sent[0]]
		if res.action == actionRetry {
			// It may be set aside; then the events of its user and device must stay behind it.
			l.throttle(e, slowBackOff)
		}
		l.suspect(e, &res, !accepted)
		if accepted && (res.action == actionRetry || l.elsewhere) {
			e.state, e.wait = stateFailing, slowBackOff
		}
		if !accepted {
			l.lone++
		}
	}
	switch l.refusals++; {
	case !accepted && (!probing || l.lone >= maxLone || l.refusals > l.allowed), accepted && l.refusals > l.allowed:
		l.hold(res)
		return nil, false
	case len(sent) == 1:
		return nil, true
	case !accepted && l.refusals > 2:
		return l.alone(sent), true
	}
	return halves(sent), true
}

// alone splits off the first two events of a run, each on its own.
func (l *lane) alone(run []int32) [][]int32 {
	return [][]int32{run[:1], run[1:2], run[2:]}
}

func halves(run []int32) [][]int32 {
	middle := (len(run) + 1) / 2
	return [][]int32{run[:middle], run[middle:]}
}

func (l *lane) accept(sent []int32) {
	for _, i := range sent {
		l.batch.events[i].state = stateDelivered
	}
	l.refusals = 0
	if !l.sender.dryRun {
		l.sender.tel.late(l.sender.clock.Now(), l.batch, sent)
	}
	l.mu.Lock()
	l.accepted++
	l.sender.accepts.Add(1)
	l.mu.Unlock()
}

// sift takes out the events that an answer lists; the others continue immediately.
func (l *lane) sift(res response, sent []int32) (next [][]int32, goOn bool) {
	named := make(map[int]struct{}, len(res.rejected))
	for _, r := range res.rejected {
		named[r.index] = struct{}{}
		l.markUndeliverable(sent[r.index], event.Failure{Reason: r.reason, Field: r.field, Status: res.status})
	}
	removed := len(named)
	throttled := 0
	for n, i := range sent {
		if _, rejected := named[n]; rejected {
			continue
		}
		e := &l.batch.events[i]
		_, byIndex := slices.BinarySearch(res.throttled, n)
		userQuota, byUser := res.throttledIDs[e.user]
		deviceQuota, byDevice := res.throttledIDs[e.device]
		if !byIndex && !byUser && !byDevice {
			continue
		}
		wait := max(throttleWait, res.wait)
		if userQuota || deviceQuota {
			wait = quotaWait
		}
		l.throttle(e, wait)
		throttled++
	}
	if removed+throttled == 0 {
		// The lists do not match this request, so a 429 is about the whole project, and a 400 may be about any event.
		if res.status == http.StatusTooManyRequests {
			res.action, res.wait = actionPause, max(res.wait, projectWait)
			l.sender.pause(res.wait)
		} else {
			res.action, res.reason = actionBisect, event.ReasonRefused
		}
		return l.apply(res, sent)
	}
	l.rounds++
	rest := slices.DeleteFunc(sent, func(i int32) bool { return l.batch.events[i].state != statePending })
	if len(rest) > 0 && l.rounds > maxSiftRounds {
		l.fail(fmt.Errorf("too many consecutive answers list more events: %w", statusError{res}), 0)
		return nil, false
	}
	return [][]int32{rest}, true
}

// refuse narrows down a refusal that does not identify the event.
func (l *lane) refuse(res response, sent []int32) (next [][]int32, goOn bool) {
	l.refusals++
	if len(sent) == 1 {
		// Something between here and Amplitude may refuse the sender rather than the event: that is known once all
		// lanes are done.
		l.mu.Lock()
		early := l.accepted == 0
		l.mu.Unlock()
		l.suspect(&l.batch.events[sent[0]], &res, early)
	}
	if l.refusals > l.allowed {
		l.fail(statusError{res}, max(res.wait, refusalWait))
		return nil, false
	}
	if len(sent) == 1 {
		return nil, true
	}
	return halves(sent), true
}

// throttle makes an event and all later ones of its user and device wait.
func (l *lane) throttle(e *batchEvent, wait time.Duration) {
	if l.throttled == nil {
		l.throttled = map[event.Identity]time.Duration{}
	}
	for _, id := range [...]event.Identity{e.user, e.device} {
		if id != 0 {
			l.throttled[id] = max(l.throttled[id], wait)
		}
	}
	e.state, e.wait = stateThrottled, wait
}

// withoutThrottled removes the events that have to wait behind earlier ones of their user or device.
func (l *lane) withoutThrottled(run []int32) []int32 {
	if l.throttled == nil && l.resting == nil {
		return run
	}
	return slices.DeleteFunc(run, func(i int32) bool {
		e := &l.batch.events[i]
		userWait, byUser := l.throttled[e.user]
		deviceWait, byDevice := l.throttled[e.device]
		if !byUser && !byDevice && (l.resting == nil || !l.resting(e.user, e.device)) {
			return false
		}
		l.throttle(e, max(userWait, deviceWait))
		return true
	})
}

// suspect marks an event that was refused on its own; early: nothing had been accepted before.
func (d *delivery) suspect(e *batchEvent, res *response, early bool) {
	e.state, e.early = stateSuspect, early
	e.failure = event.Failure{Reason: cmp.Or(res.reason, event.ReasonFailing), Status: res.status}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.refusal = res
}

// markUndeliverable marks an event that can never be delivered.
func (d *delivery) markUndeliverable(i int32, why event.Failure) {
	d.batch.events[i].state, d.batch.events[i].failure = stateUndeliverable, why
}

// fail records why a lane stopped. A status says more than the pause that follows from it.
func (d *delivery) fail(err error, wait time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.failure == nil || errors.Is(d.failure, errPaused) {
		d.failure = err
	}
	d.wait = max(d.wait, wait)
}

// statusError is an answer that did not accept the events.
type statusError struct {
	response
}

// failure returns why the events of the request are left over.
func (res *response) failure() error {
	if res.err != nil {
		return res.err
	}
	return statusError{*res}
}

// Error returns the status and, if it is a documented one, the text. It contains no id, payload or key.
func (e statusError) Error() string {
	switch {
	case e.keyRefused():
		return errInvalidAPIKey.Error()
	case e.unexpected == unexpectedPage:
		return fmt.Sprintf("a web page answered with status %d instead of amplitude: a proxy, or a network that requires signing in", e.status)
	case e.location != "":
		return fmt.Sprintf("amplitude answered with status %d, a redirect to %s: it is not followed, because that would send the API key there; if that is the right place, set it as the endpoint", e.status, e.location)
	case e.text == "":
		return fmt.Sprintf("amplitude answered with status %d", e.status)
	}
	return fmt.Sprintf("amplitude answered with status %d: %s", e.status, e.text)
}

// keyRefused reports whether Amplitude refused the API key.
func (res *response) keyRefused() bool { return res.text == textInvalidAPIKey }
