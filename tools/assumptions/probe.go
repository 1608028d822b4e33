// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package main // import "github.com/otelcol-amplitude/otelcol-amplitude/tools/assumptions"

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Verdicts of a row.
const (
	verdictAssumed   = "as assumed"
	verdictOtherwise = "OTHERWISE"
	verdictNotAsked  = "not asked"
	verdictNoAnswer  = "NO ANSWER"
)

// result is the result of a row.
type result struct {
	row            row
	verdict, found string
	user           string // whose events show the result; "" if the answers do
}

func (r *result) conclude(found string, err error) {
	switch {
	case err != nil:
		r.verdict, r.found = verdictNoAnswer, err.Error()
	case found == r.row.assumed:
		r.verdict, r.found = verdictAssumed, found
	default:
		r.verdict, r.found = verdictOtherwise, found
	}
}

// probe talks to one project.
type probe struct {
	options
	hosts
	client *http.Client
	run    string // part of every id that is sent
	ends   time.Time
}

const requestTimeout = time.Minute

func newProbe(o options, h hosts, transport http.RoundTripper) *probe {
	id := make([]byte, 4)
	_, _ = rand.Read(id)
	run := o.readRun
	if run == "" {
		run = time.Now().UTC().Format(exportHour) + "-" + hex.EncodeToString(id)
	}
	return &probe{
		options: o, hosts: h, run: run,
		client: &http.Client{
			Transport: transport, Timeout: requestTimeout,
			// A redirect would send the keys elsewhere.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
}

// begin asks what an answer can show, and sends what is read back later.
func (p *probe) begin(ctx context.Context, r row) result {
	out := result{row: r}
	switch {
	case r.heavy && !p.heavy:
		out.verdict, out.found = verdictNotAsked, "needs HEAVY=1"
	case r.read != nil && p.secretKey == "":
		out.verdict, out.found = verdictNotAsked, "needs SECRET_KEY"
	case r.read != nil:
		out.user = p.id(r.id)
		if err := r.send(ctx, p, out.user); err != nil {
			out.conclude("", err)
			return out
		}
		// Once a user's last event can be read, so can the rest.
		if err := p.must(ctx, exposure(out.user, markerFlag, "seen", event{"insert_id": out.user + " marker"})); err != nil {
			out.conclude("", err)
		}
	default:
		out.conclude(r.ask(ctx, p))
	}
	return out
}

// end reads back what was sent.
func (p *probe) end(ctx context.Context, r *result) {
	if r.verdict != "" {
		return
	}
	a, err := p.activity(ctx, r.user)
	if err != nil {
		r.conclude("", err)
		return
	}
	r.conclude(r.row.read(a), nil)
}

// id names a user or device of this run.
func (p *probe) id(name string) string { return "check-amplitude-" + p.run + "-" + name }

// event is an event of the HTTP V2 API.
type event map[string]any

// Flags of what is sent: they cost one experiment user property of the project each.
const (
	flagKey    = "check-amplitude"
	markerFlag = "check-amplitude-marker"

	eventExposure    = "[Experiment] Exposure"
	propertyFlag     = "[Experiment] Flag Key"
	propertyVariant  = "[Experiment] Variant"
	experimentPrefix = "[Experiment] "
)

// exposure returns an exposure as the exporter sends it; more is merged into it, and nil removes a field.
func exposure(user, flag, variant string, more ...event) event {
	e := event{
		"event_type": eventExposure, "user_id": user, "time": time.Now().UnixMilli(), "insert_id": user + " " + variant,
		"event_properties": event{propertyFlag: flag, propertyVariant: variant},
		"user_properties":  event{"$set": event{experimentPrefix + flag: variant}},
	}
	for _, m := range more {
		maps.Copy(e, m)
	}
	maps.DeleteFunc(e, func(_ string, value any) bool { return value == nil })
	return e
}

// identify changes user properties and does not count toward event volume.
func identify(user, insertID string, properties event) event {
	return event{"event_type": "$identify", "user_id": user, "insert_id": insertID, "user_properties": properties}
}

// reply is an answer of the ingestion API.
type reply struct {
	status int
	text   string
	fields map[string]any // of an answer in JSON
}

func (a reply) error() string {
	text, _ := a.fields["error"].(string)
	return text
}

// accepted returns the answer to what most rows ask: "accepted", or the status.
func (a reply) accepted() string {
	if a.status == http.StatusOK {
		return "accepted"
	}
	return strconv.Itoa(a.status)
}

// request is what is posted; empty fields are filled in as the exporter does.
type request struct {
	path, contentType string
	body              []byte
	zip               bool
}

func (p *probe) post(ctx context.Context, in request) (reply, error) {
	body, header := in.body, http.Header{"Content-Type": {"application/json"}}
	if in.contentType != "" {
		header.Set("Content-Type", in.contentType)
	}
	if in.zip {
		var zipped bytes.Buffer
		w := gzip.NewWriter(&zipped)
		_, _ = w.Write(body)
		_ = w.Close()
		body = zipped.Bytes()
		header.Set("Content-Encoding", "gzip")
	}
	if in.path == "" {
		in.path = "/2/httpapi"
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, p.ingestURL+in.path, bytes.NewReader(body))
	if err != nil {
		return reply{}, err
	}
	r.Header = header
	status, text, err := p.do(r)
	out := reply{status: status, text: text}
	_ = json.Unmarshal([]byte(text), &out.fields)
	return out, err
}

// do returns the answer without the API key, which some answers repeat.
func (p *probe) do(r *http.Request) (status int, text string, err error) {
	const limit = 16 << 20
	status, body, err := p.raw(r, limit)
	return status, strings.ReplaceAll(string(body), p.apiKey, "****"), err
}

// raw returns the unmodified answer, up to a limit.
func (p *probe) raw(r *http.Request, limit int64) (status int, body []byte, err error) {
	response, err := p.client.Do(r)
	if err != nil {
		return 0, nil, err
	}
	defer func() { _ = response.Body.Close() }()
	body, err = io.ReadAll(io.LimitReader(response.Body, limit))
	return response.StatusCode, body, err
}

// payload is the body of a request with events.
func (p *probe) payload(events []event, more event) []byte {
	if events == nil {
		events = []event{}
	}
	top := event{"api_key": p.apiKey, "events": events}
	maps.Copy(top, more)
	var body bytes.Buffer
	encoder := json.NewEncoder(&body)
	encoder.SetEscapeHTML(false) // as the exporter
	_ = encoder.Encode(top)
	return body.Bytes()
}

// send posts events to the HTTP V2 API.
func (p *probe) send(ctx context.Context, events ...event) (reply, error) {
	return p.post(ctx, request{body: p.payload(events, nil)})
}

// must sends events that have to be accepted for the row to show anything.
func (p *probe) must(ctx context.Context, events ...event) error {
	return p.all(ctx, events)
}

// all sends requests one after the other, as the exporter does for one user.
func (p *probe) all(ctx context.Context, requests ...[]event) error {
	for _, events := range requests {
		a, err := p.send(ctx, events...)
		if err != nil {
			return err
		}
		if a.status != http.StatusOK {
			return fmt.Errorf("what the row sends got a %d: %.200s", a.status, a.text)
		}
	}
	return nil
}

// activity is a user as the user APIs show it.
type activity struct {
	properties map[string]any
	events     []activityEvent
}

type activityEvent struct {
	Type       string         `json:"event_type"`
	Properties map[string]any `json:"event_properties"`
}

// count is the number of events of the row, of whatever type.
func (a *activity) count() int {
	n := 0
	for _, e := range a.events {
		if e.Properties[propertyFlag] == flagKey || e.Properties["flag_key"] == flagKey {
			n++
		}
	}
	return n
}

// variant is the value of the row's experiment property, "unset" without one.
func (a *activity) variant() string {
	if v, ok := a.properties[experimentPrefix+flagKey]; ok && v != nil {
		return fmt.Sprint(v)
	}
	return "unset"
}

// pollEvery keeps within the 360 requests an hour that the user APIs allow.
const pollEvery = 10 * time.Second

// activity waits until the marker of a user can be read, and returns what is there.
func (p *probe) activity(ctx context.Context, user string) (*activity, error) {
	if p.ends.IsZero() {
		p.ends = time.Now().Add(p.wait) // all rows wait for the same servers
	}
	for {
		a, err := p.read(ctx, user)
		if err != nil {
			return nil, err
		}
		if a != nil {
			return a, nil
		}
		left := time.Until(p.ends)
		if left <= 0 {
			return nil, fmt.Errorf("what was sent cannot be read back after %s", p.wait)
		}
		timer := time.NewTimer(min(pollEvery, left))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return nil, ctx.Err()
		}
	}
}

// read is the user's activity, nil while the marker is not there.
func (p *probe) read(ctx context.Context, user string) (*activity, error) {
	var found struct {
		Matches []struct {
			ID json.Number `json:"amplitude_id"`
		} `json:"matches"`
	}
	if err := p.get(ctx, "/api/2/usersearch?user="+url.QueryEscape(user), &found); err != nil {
		return nil, err
	}
	if len(found.Matches) == 0 {
		return nil, nil
	}
	var in struct {
		Events []activityEvent `json:"events"`
		User   struct {
			Properties map[string]any `json:"properties"`
		} `json:"userData"`
	}
	if err := p.get(ctx, "/api/2/useractivity?limit=1000&user="+found.Matches[0].ID.String(), &in); err != nil {
		return nil, err
	}
	for _, e := range in.Events {
		if e.Properties[propertyFlag] == markerFlag {
			return &activity{in.User.Properties, in.Events}, nil
		}
	}
	return nil, nil
}

func (p *probe) get(ctx context.Context, path string, into any) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, p.readURL+path, nil)
	if err != nil {
		return err
	}
	r.SetBasicAuth(p.apiKey, p.secretKey)
	status, text, err := p.do(r)
	switch {
	case err != nil:
		return err
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		return errors.New("the user APIs refuse the keys: SECRET_KEY is that of the project, and the region is the project's")
	case status != http.StatusOK:
		return fmt.Errorf("the user APIs answered %d: %.200s", status, text)
	}
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	return d.Decode(into)
}
