// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package sandbox // import "github.com/otelcol-amplitude/otelcol-amplitude/sandbox"

import (
	"encoding/json"
	"net/http"
	"strconv"
	"time"
	"unicode/utf8"
)

// requestsAPI shows the request log and the warnings.
type requestsAPI struct{ *store }

func (s *requestsAPI) routes() routes {
	return routes{
		"GET /_sandbox/requests":      s.getRequests,
		"GET /_sandbox/requests/{id}": s.getRequest,
		"GET /_sandbox/warnings":      s.getWarnings,
	}
}

// requestView is one request of the log; the key is masked everywhere in it.
type requestView struct {
	ID         uint64      `json:"id"`
	Method     string      `json:"method"`
	Path       string      `json:"path"`
	ReceivedAt int64       `json:"received_at"` // ms
	TookMS     float64     `json:"took_ms"`
	Status     int         `json:"status"` // 0: the connection was closed without an answer
	Events     int         `json:"events"`
	BytesWire  int64       `json:"bytes_wire"`
	Bytes      int         `json:"bytes"` // decompressed
	Encoding   string      `json:"encoding,omitempty"`
	Key        string      `json:"api_key,omitempty"`
	Retry      int         `json:"retry"` // how often the same events came before
	Fault      string      `json:"fault,omitempty"`
	Warnings   []string    `json:"warnings,omitempty"` // what Amplitude may reject, or accepts silently
	Answer     any         `json:"answer,omitempty"`
	Headers    http.Header `json:"headers,omitempty"`
	Body       any         `json:"body,omitempty"`
	Cut        bool        `json:"body_cut,omitempty"`
	Note       string      `json:"body_note,omitempty"` // why a body that exists is not shown
}

func (q *request) view(full bool) requestView {
	v := requestView{
		ID: q.id, Method: q.method, Path: q.path, ReceivedAt: q.receivedAt.UnixMilli(),
		TookMS: float64(q.took.Microseconds()) / float64(time.Millisecond/time.Microsecond), Status: q.status, Events: q.events,
		BytesWire: q.wireBytes, Bytes: q.bodyBytes, Encoding: q.header.Get("Content-Encoding"), Key: q.key,
		Retry: q.retry, Fault: q.fault, Warnings: q.warnings, Answer: jsonOrText(q.answer), Cut: q.cut, Note: q.bodyNote(),
	}
	if full {
		v.Headers = q.header
		if v.Note == "" {
			v.Body = jsonOrText(q.body)
		}
	}
	return v
}

// jsonOrText returns text as JSON if it is valid, else as a string.
func jsonOrText(text string) any {
	switch {
	case text == "":
		return nil
	case utf8.ValidString(text) && json.Valid([]byte(text)):
		return raw(text)
	default:
		return text
	}
}

// getRequests answers with the newest requests, newest first.
func (s *requestsAPI) getRequests(w http.ResponseWriter, r *http.Request) {
	limit, err := number(r, "limit", standardLimit)
	if err != nil {
		writeError(w, http.StatusBadRequest, err.Error())
		return
	}
	after, err := number(r, "after", 0)
	if err != nil {
		writeError(w, http.StatusBadRequest, err.Error())
		return
	}
	q := r.URL.Query()
	s.mu.Lock()
	var found []*request
	for i := s.log.n - 1; i >= 0 && uint64(len(found)) < limit; i-- {
		one := s.log.at(i)
		if one.id > after && (q.Get("path") == "" || q.Get("path") == one.path) && (q.Get("status") == "" || q.Get("status") == strconv.Itoa(one.status)) {
			found = append(found, one)
		}
	}
	s.mu.Unlock()
	views := make([]requestView, 0, len(found))
	for _, one := range found {
		views = append(views, one.view(q.Get("full") == "true"))
	}
	writeJSON(w, http.StatusOK, map[string]any{"requests": views})
}

// getRequest answers with one request, its headers and body.
func (s *requestsAPI) getRequest(w http.ResponseWriter, r *http.Request) {
	id, err := strconv.ParseUint(r.PathValue("id"), 10, 64)
	if err != nil {
		writeError(w, http.StatusBadRequest, "the id of a request must be a number")
		return
	}
	s.mu.Lock()
	var found *request
	for i := s.log.n - 1; i >= 0 && found == nil; i-- {
		if one := s.log.at(i); one.id == id {
			found = one
		}
	}
	s.mu.Unlock()
	if found == nil {
		writeError(w, http.StatusNotFound, "no such request, or it is no longer kept")
		return
	}
	writeJSON(w, http.StatusOK, found.view(true))
}

// getWarnings answers with the newest warnings, newest first.
func (s *requestsAPI) getWarnings(w http.ResponseWriter, r *http.Request) {
	limit, err := number(r, "limit", standardLimit)
	if err != nil {
		writeError(w, http.StatusBadRequest, err.Error())
		return
	}
	s.mu.Lock()
	found := []warning{}
	for i := s.warnings.n - 1; i >= 0 && uint64(len(found)) < limit; i-- {
		found = append(found, s.warnings.at(i))
	}
	total := s.stats.warnings
	s.mu.Unlock()
	writeJSON(w, http.StatusOK, map[string]any{"warnings": found, "total": total})
}
