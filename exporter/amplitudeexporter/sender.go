// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudeexporter // import "github.com/otelcol-amplitude/otelcol-amplitude/exporter/amplitudeexporter"

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/amplitude/receipts"
)

// maxStrained is how many consecutive requests without an answer lower the byte target.
const maxStrained = 2

// errPaused is why a request was not sent while the project is throttled.
var errPaused = errors.New("amplitude throttles the project")

// sender sends requests, one per call, and interprets the answers.
type sender struct {
	envelope *envelope
	client   *client
	dryRun   bool
	clock    clock
	events   *rate.Limiter
	requests *rate.Limiter
	tel      *telemetry
	health   *health
	book     *receipts.Book
	// id is the id of the component.
	id string
	// pausedUntil is when the project may be sent to again. It keeps the monotonic clock reading; otherwise, setting
	// back the wall clock would extend the pause.
	pausedUntil atomic.Pointer[time.Time]
	// accepts counts the requests that Amplitude accepted.
	accepts atomic.Int64
	// strained counts the consecutive requests without an answer.
	strained atomic.Int32
}

func newSender(cfg *Config, env *envelope, tel *telemetry, h *health, c clock) *sender {
	s := &sender{envelope: env, health: h, dryRun: cfg.DryRun, clock: c, tel: tel}
	if eps := cfg.RateLimit.EventsPerSecond; eps > 0 {
		s.events = rate.NewLimiter(rate.Limit(eps), burst(eps))
	}
	if rps := cfg.RateLimit.RequestsPerSecond; rps > 0 {
		s.requests = rate.NewLimiter(rate.Limit(rps), 1)
	}
	return s
}

// burst returns what may be sent at once: the allowance of one second.
func burst(perSecond float64) int {
	return max(1, int(perSecond))
}

// pauseEnds returns when the project may be sent to again, which may be in the past.
func (s *sender) pauseEnds() time.Time {
	if until := s.pausedUntil.Load(); until != nil {
		return *until
	}
	return time.Time{}
}

func (s *sender) pause(d time.Duration) {
	until := s.clock.Now().Add(d)
	for {
		current := s.pausedUntil.Load()
		if (current != nil && !until.After(*current)) || s.pausedUntil.CompareAndSwap(current, &until) {
			return
		}
	}
}

// send sends the events of one request, in order, and returns the interpreted answer, or that there is none.
func (s *sender) send(ctx context.Context, b *batch, indexes []int32) response {
	if left := s.pauseEnds().Sub(s.clock.Now()); left > 0 {
		return response{action: actionPause, wait: left, err: errPaused}
	}
	if s.dryRun {
		return response{action: actionDone}
	}
	if err := s.admit(ctx, len(indexes)); err != nil {
		return response{action: actionPause, err: err}
	}
	body := s.client.newPayload()
	body.data = s.envelope.build(body.data, b, indexes)
	size := len(body.data)
	start := time.Now()
	res := response{action: actionRetry}
	if a, err := s.client.post(ctx, body); err != nil {
		res.err = err
		s.strain(ctx, size)
		s.unanswered(b, indexes)
	} else {
		res = interpret(a, len(indexes))
	}
	body.release()
	took := time.Since(start)
	s.tel.request(ctx, &res, len(indexes), size, took)
	s.notifyAnswered(b, indexes, &res, size, took)
	switch res.action {
	case actionDone:
		s.strained.Store(0)
		s.envelope.accepted(size)
	case actionHalve:
		s.envelope.tooLarge(size)
	case actionPause:
		s.pause(res.wait)
	}
	if res.misconfigured {
		s.health.misconfigured(res)
	}
	if res.unexpected != "" {
		s.tel.unexpected(ctx, res.unexpected)
		s.health.unexpected(res)
	}
	return res
}

// strain lowers the byte target after a few consecutive requests without an answer: a slow or lossy connection may
// manage smaller ones.
func (s *sender) strain(ctx context.Context, size int) {
	if ctx.Err() == nil && s.strained.Add(1) >= maxStrained {
		s.strained.Store(0)
		s.envelope.tooLarge(size)
	}
}

// admit waits until the rate limits let a request of n events through.
func (s *sender) admit(ctx context.Context, n int) error {
	if s.requests != nil {
		if err := s.requests.Wait(ctx); err != nil {
			return err
		}
	}
	if s.events != nil {
		return s.events.WaitN(ctx, n)
	}
	return nil
}
