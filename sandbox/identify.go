// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package sandbox // import "github.com/otelcol-amplitude/otelcol-amplitude/sandbox"

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/url"
)

// Answers of the form APIs, which are plain text.
const (
	formSuccess      = "success"
	formMissingEvent = "missing_event"
	formInvalidKey   = "invalid_api_key"
	formInvalidEvent = "invalid_event"
)

// identify answers POST /identify and POST /groupidentify: form fields api_key and identification, an object or
// an array of objects.
func (s *uploads) identify(w http.ResponseWriter, r *http.Request, eventType string) {
	in := s.begin(r)
	defer in.finish()
	fault, needBody := s.takeFault(in)
	var form url.Values
	tooLarge := false
	if fault == nil || fault.Action != FaultResetBeforeRead {
		form, tooLarge = in.readForm(r)
	}
	in.read, in.failed = true, true // the ordinary steps cannot read a form
	if needBody {
		fault, _ = s.takeFault(in)
	}
	handle := func() answer {
		if tooLarge {
			return in.behavior.failure(http.StatusRequestEntityTooLarge, errTooLarge)
		}
		return in.identifications(form, eventType)
	}
	if fault != nil {
		in.suffer(w, r, fault, handle)
		return
	}
	in.respond(w, handle())
}

// readForm reads the form of the body, and of the query as the form APIs allow.
func (in *ingestion) readForm(r *http.Request) (form url.Values, tooLarge bool) {
	wire := &countingReader{in: r.Body}
	text, err := io.ReadAll(io.LimitReader(wire, in.endpoint.MaxBytes+1))
	_, _ = io.Copy(io.Discard, io.LimitReader(wire, drainLimit))
	in.body, in.log.wireBytes = text, wire.n
	in.log.setBody(text, in.store.config.Retention.RequestBody)
	if int64(len(text)) > in.endpoint.MaxBytes {
		return nil, true
	}
	r.Body = io.NopCloser(bytes.NewReader(text))
	if perr := r.ParseMultipartForm(in.endpoint.MaxBytes); err != nil || (perr != nil && !errors.Is(perr, http.ErrNotMultipart)) { //nolint:gosec // the body is bounded above
		return nil, false
	}
	return r.Form, false
}

func plainAnswer(status int, text string) answer {
	return answer{status: status, contentType: "text/plain; charset=utf-8", body: []byte(text)}
}

// identifications applies the form's identifications as events.
func (in *ingestion) identifications(form url.Values, eventType string) answer {
	s := in.store
	key := form.Get("api_key")
	if key != "" {
		in.log.setKey(key)
	}
	value, err := parseValue([]byte(form.Get("identification")))
	if err != nil {
		return plainAnswer(http.StatusBadRequest, formMissingEvent)
	}
	s.mu.Lock()
	p := s.projects[key]
	s.mu.Unlock()
	if p == nil || p.region != s.config.Region {
		return plainAnswer(http.StatusBadRequest, formInvalidKey)
	}
	in.project = p
	if len(asList(value)) > in.endpoint.MaxEvents {
		return in.behavior.failure(http.StatusRequestEntityTooLarge, errTooLarge)
	}
	for i, one := range asList(value) {
		fields, ok := one.(map[string]any)
		if !ok {
			return plainAnswer(http.StatusBadRequest, formMissingEvent)
		}
		if eventType == eventGroupIdentify && (idText(fields["group_type"]) == "" || fields["group_value"] == nil) {
			return plainAnswer(http.StatusBadRequest, formInvalidEvent)
		}
		fields = identificationEvent(fields, eventType)
		in.events = append(in.events, &event{index: i, raw: encode(fields), fields: fields})
	}
	if len(in.events) == 0 {
		return plainAnswer(http.StatusBadRequest, formMissingEvent)
	}
	in.log.events = len(in.events)
	in.parsed = &body{fields: map[string]any{}}
	if a := in.settle(); a.status != http.StatusOK {
		if a.status == http.StatusBadRequest {
			return plainAnswer(http.StatusBadRequest, formInvalidEvent)
		}
		return a
	}
	return plainAnswer(http.StatusOK, formSuccess)
}

// identificationEvent returns the event for an identification. That of a group has no user and gets its own device, as
// in clients.
func identificationEvent(identification map[string]any, eventType string) map[string]any {
	fields := map[string]any{}
	for name, value := range identification {
		fields[name] = value
	}
	fields[fieldEventType] = eventType
	if eventType != eventGroupIdentify {
		return fields
	}
	kind := idText(fields["group_type"])
	if kind != "" {
		fields[fieldGroups] = map[string]any{kind: fields["group_value"]}
		delete(fields, "group_type")
		delete(fields, "group_value")
	}
	if fields[fieldUserID] == nil && fields[fieldDeviceID] == nil {
		name := idText(identification["group_value"])
		if name == "" {
			name = string(encode(identification["group_value"]))
		}
		fields[fieldDeviceID] = "group-" + kind + "-" + name
	}
	return fields
}
