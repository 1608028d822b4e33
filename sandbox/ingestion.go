// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package sandbox // import "github.com/otelcol-amplitude/otelcol-amplitude/sandbox"

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"mime"
	"net/http"
	"slices"
	"strings"
	"time"
)

// drainLimit bounds how much of an oversized body is read, so that the client sees the answer rather than a reset.
const drainLimit = 256 << 20

// ingestion is one request to the ingestion API on its way through the checks.
type ingestion struct {
	store    *store
	log      *request
	behavior Behavior // as it was when the request arrived
	endpoint Endpoint
	batch    bool
	formType bool // the content type is that of a form
	wire     *wire

	body    []byte
	parsed  *body
	project *project
	events  []*event

	// The outcome of reading the body, if a fault needed it early.
	read    bool
	large   bool // it holds a place for large bodies
	refused answer
	failed  bool

	finished bool // it is in the log
}

// handle performs the validation steps in order; the first that fails answers.
func (in *ingestion) handle(r *http.Request) answer {
	for _, step := range []func(*http.Request) (answer, bool){
		in.transport, in.firewall, in.parse, in.shape, in.authorize, in.count, in.decode,
	} {
		if a, failed := step(r); failed {
			return a
		}
	}
	return in.settle()
}

// transport is steps 3 to 6: content type, coding, presence and size of the body. The body is read in any case, so that
// the request log shows it.
func (in *ingestion) transport(r *http.Request) (answer, bool) {
	if in.read {
		return in.refused, in.failed
	}
	b := &in.behavior
	wire := &countingReader{in: r.Body}
	defer func() {
		_, _ = io.Copy(io.Discard, io.LimitReader(wire, drainLimit))
		in.log.wireBytes = wire.n
	}()
	plain, coded := in.uncompressed(r.Header.Get("Content-Encoding"), wire)
	limit := in.endpoint.MaxBytes
	if b.LimitBytesOf == BytesWire {
		limit = drainLimit
	}
	var buffer bytes.Buffer
	if n := r.ContentLength; n > 0 && n <= min(limit, largeBody) {
		buffer.Grow(int(n) + bytes.MinRead)
	}
	_, err := buffer.ReadFrom(io.LimitReader(plain, min(limit, largeBody)+1))
	if buffer.Len() > largeBody && limit > largeBody && err == nil {
		if in.large = in.store.large.take(r.Context()); in.large {
			_, err = buffer.ReadFrom(io.LimitReader(plain, limit-largeBody))
		} else {
			err = context.Cause(r.Context())
		}
	}
	in.body = buffer.Bytes()
	in.log.setBody(in.body, in.store.config.Retention.RequestBody)
	switch {
	case !in.acceptType(r.Header.Get("Content-Type")), !coded:
		return b.badRequest(errJSON), true
	case int64(len(in.body)) > limit, b.LimitBytesOf == BytesWire && wire.n > in.endpoint.MaxBytes:
		return b.failure(http.StatusRequestEntityTooLarge, errTooLarge), true
	case err != nil:
		return b.badRequest(errJSON), true
	case len(in.body) == 0:
		return b.badRequest(errNoBody), true
	}
	return answer{}, false
}

// Content types that a body may have.
const (
	typeJSON = "application/json"
	typeForm = "application/x-www-form-urlencoded"
)

// acceptType is step 3. It notes a form's type, which Amplitude's own examples send implicitly through curl --data.
func (in *ingestion) acceptType(contentType string) bool {
	mediaType, _, err := mime.ParseMediaType(contentType)
	switch {
	case err == nil && mediaType == typeJSON:
		return true
	case err == nil && mediaType == typeForm:
		in.formType = true
		return in.behavior.ContentType != Reject
	default:
		return in.behavior.ContentType == Accept
	}
}

// uncompressed is step 4: it returns the decoded body, or false and the original body if its encoding cannot be read.
func (in *ingestion) uncompressed(coding string, wire io.Reader) (io.Reader, bool) {
	switch strings.ToLower(strings.TrimSpace(coding)) {
	case "", "identity":
		return wire, true
	case "gzip":
		buffered := bufio.NewReader(wire)
		if _, err := buffered.Peek(1); err != nil {
			return buffered, in.behavior.AcceptGzip // empty
		}
		if start, _ := buffered.Peek(2); in.behavior.AcceptGzip && string(start) == "\x1f\x8b" {
			if unzip, err := gzip.NewReader(buffered); err == nil {
				return unzip, true
			}
		}
		return buffered, false
	default:
		return wire, false
	}
}

// firewall is step 7.
func (in *ingestion) firewall(*http.Request) (answer, bool) {
	in.store.mu.Lock()
	patterns := in.store.waf
	in.store.mu.Unlock()
	for _, pattern := range patterns {
		if pattern.Match(in.body) {
			return in.behavior.failure(http.StatusForbidden, errForbidden), true
		}
	}
	return answer{}, false
}

// parse is step 8.
func (in *ingestion) parse(*http.Request) (answer, bool) {
	parsed, err := parseBody(in.body, in.endpoint.MaxEvents)
	if errors.Is(err, errTooMany) {
		return in.behavior.failure(http.StatusRequestEntityTooLarge, errTooLarge), true
	}
	if err != nil || (parsed.duplicateKeys && in.behavior.RejectDuplicateKeys) {
		return in.behavior.badRequest(errJSON), true
	}
	in.parsed = parsed
	return answer{}, false
}

// shape is steps 9 and 10: the members of the top object.
func (in *ingestion) shape(*http.Request) (answer, bool) {
	key, ok := in.parsed.fields["api_key"].(string)
	if !ok || key == "" {
		return in.behavior.missingField("api_key"), true
	}
	in.log.setKey(key)
	if !in.parsed.hasEvents || (len(in.parsed.events) == 0 && in.behavior.EmptyEvents == Reject) {
		return in.behavior.missingField("events"), true
	}
	in.log.events = in.parsed.count
	return answer{}, false
}

// authorize is step 11.
func (in *ingestion) authorize(*http.Request) (answer, bool) {
	key, _ := in.parsed.fields["api_key"].(string)
	s := in.store
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.projects[key]
	if p == nil || p.region != s.config.Region {
		if in.behavior.InvalidKey == InvalidKeyUnauthorized {
			return in.behavior.failure(http.StatusUnauthorized, errUnauthorized), true
		}
		return in.behavior.badRequest(errKey + key), true
	}
	in.project = p
	return answer{}, false
}

// count is step 12.
func (in *ingestion) count(*http.Request) (answer, bool) {
	n := in.parsed.count
	if n > in.endpoint.MaxEvents || (in.behavior.Strict2000 && n >= in.endpoint.MaxEvents) {
		return in.behavior.failure(http.StatusRequestEntityTooLarge, errTooLarge), true
	}
	return answer{}, false
}

// decode is step 13.
func (in *ingestion) decode(*http.Request) (answer, bool) {
	for i, value := range in.parsed.events {
		fields, ok := value.(map[string]any)
		if !ok {
			return in.behavior.badRequest(errEventJSON), true
		}
		in.events = append(in.events, &event{index: i, raw: in.parsed.texts[i], fields: fields})
	}
	in.log.fingerprint = fingerprint(in.parsed.texts)
	return answer{}, false
}

// settle is steps 14 to 16: validation of the events, rates and quotas, and application.
func (in *ingestion) settle() answer {
	s, b := in.store, &in.behavior
	c := &validator{behavior: b, endpoint: in.endpoint, apiKey: in.project.apiKey, minLength: minIDLength(in.parsed, b.MinIDLength)}
	v := c.validate(in.events)
	counts := requestCounts(in.events)

	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.notify() // show what arrived even if its answer takes longer
	in.arrive()
	if a, refused := v.answer(b); refused {
		if b.ThrottleBeforeValidation {
			if a, refused := in.limits(counts); refused {
				return a
			}
		}
		var valid []*event
		if b.PartialRequests {
			all := in.events
			in.events = nil
			for _, e := range all {
				if v.problems[e.index] == nil {
					valid = append(valid, e)
				} else {
					in.events = append(in.events, e)
				}
			}
		}
		in.refuse(func(e *event) (Verdict, string, []Problem) {
			if problems := v.problems[e.index]; problems != nil {
				return Invalid, "", problems
			}
			return Refused, "another event of its request is invalid", nil
		})
		if in.events = valid; len(valid) > 0 {
			in.apply(requestCounts(valid))
		}
		return a
	}
	if a, refused := in.limits(counts); refused {
		return a
	}
	return in.apply(counts)
}

// minIDLength returns the minimum id length for the request.
func minIDLength(parsed *body, standard int) int {
	options, _ := parsed.fields["options"].(map[string]any)
	if n, ok := options["min_id_length"].(interface{ Int64() (int64, error) }); ok {
		if i, err := n.Int64(); err == nil && i >= 1 && i <= maxText {
			return int(i)
		}
	}
	return standard
}

// limits is step 15: silenced devices, the project's rate, each id's rate and quota.
func (in *ingestion) limits(counts map[idKey]int) (answer, bool) {
	s, b, p := in.store, &in.behavior, in.project
	now := s.clock.now()
	t := p.accounts.check(b, in.endpoint, s.forced, now, in.batch, in.events, counts)
	silenced := map[string]bool{}
	var silencedEvents []int
	for _, e := range in.events {
		if s.forced.silence[e.deviceID] || contains(b.SilencedDevices, e.deviceID) {
			silenced[e.deviceID] = true
			silencedEvents = append(silencedEvents, e.index)
		}
	}
	throttledEvents := map[int]bool{}
	for _, i := range t.events {
		throttledEvents[i] = true
	}
	verdict := func(e *event) (Verdict, string, []Problem) {
		switch {
		case silenced[e.deviceID]:
			return Silenced, "its device is silenced", nil
		case throttledEvents[e.index]:
			return Throttled, "its user or device exceeds its rate or quota", nil
		default:
			return Refused, "another event of its request is throttled or silenced", nil
		}
	}
	var a answer
	switch {
	case len(silenced) > 0:
		a = b.silenced(in.endpoint, silenced, silencedEvents, t)
	case p.accounts.overProject(b, in.endpoint, now, in.batch, len(in.events)):
		verdict = func(*event) (Verdict, string, []Problem) { return Throttled, "the project exceeds its rate", nil }
		a = b.projectThrottled()
	case t.any():
		a = b.throttled(in.endpoint, t)
	default:
		return answer{}, false
	}
	if b.CountRejected {
		p.accounts.add(b, in.endpoint, now, in.batch, counts, len(in.events))
	}
	in.refuse(verdict)
	return a, true
}

// refuse notes the events of a request that is refused as a whole.
func (in *ingestion) refuse(verdict func(*event) (Verdict, string, []Problem)) {
	up := in.upload()
	for _, e := range in.events {
		out := up.newEntry(e)
		out.verdict, out.reason, out.problems = verdict(e)
		in.store.keep(out)
	}
}

func (in *ingestion) upload() *upload {
	return &upload{store: in.store, project: in.project, endpoint: in.log.path, request: in.log.id, receivedAt: in.log.receivedAt, gap: in.gap()}
}

// clockSkew is the gap from which Amplitude corrects a client's clock.
const clockSkew = time.Minute

// gap returns how far the client's clock is behind the server's, or 0 if it is close.
func (in *ingestion) gap() time.Duration {
	text, _ := in.parsed.fields["client_upload_time"].(string)
	sent, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return 0
	}
	if gap := in.log.receivedAt.Sub(sent); gap >= clockSkew || gap <= -clockSkew {
		return gap
	}
	return 0
}

// apply is step 16.
func (in *ingestion) apply(counts map[idKey]int) answer {
	s, b, p := in.store, &in.behavior, in.project
	now := s.clock.now()
	in.log.receivedAt = now
	p.accounts.add(b, in.endpoint, now, in.batch, counts, len(in.events))
	in.lint(now)
	up := in.upload()
	ingested := 0
	events := in.events
	if !b.EventsInOrder {
		events = slices.Clone(events)
		slices.Reverse(events)
	}
	for _, e := range events {
		out := up.apply(e)
		s.keep(out)
		in.log.warn(out.warnings...)
		if out.verdict != Duplicate || b.DedupeCountsAsIngested {
			ingested++
		}
	}
	return b.accepted(now.UnixMilli(), len(in.body), ingested)
}

// respond writes the answer with the headers that Amplitude sends.
func (in *ingestion) respond(w http.ResponseWriter, a answer) {
	in.log.setAnswer(a)
	ingestHeaders(w.Header())
	for name, values := range a.header {
		w.Header()[name] = values
	}
	w.Header().Set("Content-Type", a.contentType)
	w.WriteHeader(a.status)
	_, _ = w.Write(a.body)
}

// countingReader counts what passes.
type countingReader struct {
	in io.Reader
	n  int64
}

func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.in.Read(p)
	c.n += int64(n)
	return n, err
}
