// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package sandbox // import "github.com/otelcol-amplitude/otelcol-amplitude/sandbox"

import (
	"bytes"
	"cmp"
	"context"
	"io"
	"net/http"
	"strconv"
	"time"
)

// suffer answers a request that hit a fault; handle performs the ordinary steps.
func (in *ingestion) suffer(w http.ResponseWriter, r *http.Request, f *Fault, handle func() answer) {
	in.log.fault = f.Action
	b := &in.behavior
	if !faultActions[f.Action].ingests {
		in.look(r)
	}
	switch f.Action {
	case FaultStatus:
		in.reply(w, f, in.failing(f, f.Code))
	case FaultIngestThenStatus:
		if a := handle(); a.status != http.StatusOK {
			in.respond(w, a)
			return
		}
		in.reply(w, f, in.failing(f, f.Code))
	case FaultIngestThenReset:
		if a := handle(); a.status != http.StatusOK {
			in.respond(w, a)
			return
		}
		in.reset(w)
	case FaultResetBeforeRead:
		in.reset(w)
	case FaultSlowHeaders:
		a := handle()
		in.pause(r.Context(), time.Duration(f.Delay))
		in.reply(w, f, a)
	case FaultSlowBody:
		in.trickle(w, r, f, handle())
	case FaultHang:
		in.hang(r.Context(), time.Duration(f.Delay))
		in.reset(w)
	case FaultSilent:
		in.wire.silence()
		in.hang(r.Context(), time.Duration(f.Delay))
		in.finishUnanswered()
		in.wire.close(w)
	case FaultGoAway:
		in.finishUnanswered()
		in.wire.goAway(w, r)
	case FaultStatusBeforeRead:
		in.replyUnread(w, r, f)
	case FaultWrongCode:
		a := answer{}
		if f.Code == http.StatusOK {
			if a = handle(); a.status == http.StatusOK {
				a.status = http.StatusBadRequest
			}
		} else {
			in.look(r)
			a = b.jsonAnswer(f.Code, member{"error", http.StatusText(f.Code)})
			a.status = http.StatusOK
		}
		in.reply(w, f, a)
	case FaultUnindexed400:
		text := f.Text
		if text == "" {
			text = errFields
		}
		in.reply(w, f, b.badRequest(text))
	case FaultBilling400:
		in.reply(w, f, b.badRequest("Event volume exceeded: upgrade the plan of this organization"))
	case FaultRedirect:
		code := cmp.Or(f.Code, redirects[0])
		a := b.jsonAnswer(code, member{"error", http.StatusText(code)})
		a.header = http.Header{"Location": {f.Location}}
		in.reply(w, f, a)
	case FaultCaptivePage:
		in.reply(w, f, answer{status: http.StatusOK, contentType: "text/html", body: []byte(captivePage)})
	}
}

// captivePage is what a hotel's network returns for every request until someone signs in.
const captivePage = "<html><head><title>Welcome</title></head><body><form>Sign in to use this network</form></body></html>"

// look reads a body that will not be ingested, for the request log: its size, key, events, and whether it is a retry.
func (in *ingestion) look(r *http.Request) {
	if _, failed := in.transport(r); failed {
		return
	}
	for _, step := range []func(*http.Request) (answer, bool){in.parse, in.shape, in.decode} {
		if _, failed := step(r); failed {
			return
		}
	}
	in.store.mu.Lock()
	defer in.store.mu.Unlock()
	in.log.retry = in.store.retries.seen(in.log.fingerprint)
}

// failing returns the answer of a fault with a status, in the form that the fault specifies.
func (in *ingestion) failing(f *Fault, status int) answer {
	text := http.StatusText(status)
	switch status {
	case http.StatusRequestEntityTooLarge:
		text = errTooLarge
	case http.StatusTooManyRequests:
		text = errProject
	}
	if f.Text != "" {
		text = f.Text
	}
	switch f.Body {
	case BodyHTML:
		return htmlAnswer(status, text)
	case BodyEmpty:
		return answer{status: status, contentType: "application/json"}
	case BodyJSON, BodyTruncated:
		return in.behavior.jsonAnswer(status, member{"error", text})
	default:
		return in.behavior.failure(status, text)
	}
}

// reply writes an answer with the fault's headers; a truncated body ends early.
func (in *ingestion) reply(w http.ResponseWriter, f *Fault, a answer) {
	if len(f.Headers) > 0 {
		if a.header == nil {
			a.header = http.Header{}
		}
		for name, value := range f.Headers {
			a.header.Set(name, value)
		}
	}
	if f.Body != BodyTruncated {
		in.respond(w, a)
		return
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(a.body)))
	a.body = a.body[:len(a.body)/2]
	in.respond(w, a)
	in.finish()
	in.wire.reset(w)
}

// trickle writes half of the answer, waits, and writes the rest.
func (in *ingestion) trickle(w http.ResponseWriter, r *http.Request, f *Fault, a answer) {
	rest := a.body[len(a.body)/2:]
	w.Header().Set("Content-Length", strconv.Itoa(len(a.body)))
	a.body = a.body[:len(a.body)/2]
	in.reply(w, f, a)
	_ = http.NewResponseController(w).Flush()
	in.pause(r.Context(), time.Duration(f.Delay))
	_, _ = w.Write(rest)
}

// pause waits for d by the wall clock, or until the client or the sandbox goes away.
func (in *ingestion) pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	case <-in.store.closed.Done():
	}
}

// hang waits forever when there is no delay.
func (in *ingestion) hang(ctx context.Context, d time.Duration) {
	if d > 0 {
		in.pause(ctx, d)
		return
	}
	select {
	case <-ctx.Done():
	case <-in.store.closed.Done():
	}
}

// reset closes the connection so that the client sees a reset and no answer.
func (in *ingestion) reset(w http.ResponseWriter) {
	in.finishUnanswered()
	in.wire.reset(w)
}

// finishUnanswered logs a request that gets no answer, before its connection is broken.
func (in *ingestion) finishUnanswered() {
	in.log.setAnswer(answer{})
	in.finish()
}

// replyUnread answers while the client may still be sending, and closes: the client sees the answer or a reset,
// depending on its timing.
func (in *ingestion) replyUnread(w http.ResponseWriter, r *http.Request, f *Fault) {
	a := in.failing(f, f.Code)
	if r.ProtoMajor > 1 {
		in.reply(w, f, a) // and the server ends the stream, since its body is unread
		return
	}
	connection, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		in.reply(w, f, a)
		return
	}
	in.log.setAnswer(a)
	head := http.Header{}
	ingestHeaders(head)
	head.Set("Content-Type", a.contentType)
	for name, value := range f.Headers {
		head.Set(name, value)
	}
	early := http.Response{
		StatusCode: a.status, ProtoMajor: 1, ProtoMinor: 1, Header: head,
		ContentLength: int64(len(a.body)), Body: io.NopCloser(bytes.NewReader(a.body)), Close: true,
	}
	in.finish()
	_ = early.Write(connection)
	_ = connection.Close()
}
