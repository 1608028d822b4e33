// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package sandbox // import "github.com/otelcol-amplitude/otelcol-amplitude/sandbox"

import (
	"encoding/json"
	"maps"
	"net/http"
	"strconv"
	"time"
	"unicode/utf8"
)

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
	Warnings   []string    `json:"warnings,omitempty"` // what Amplitude may not have taken, or takes in silence
	Answer     any         `json:"answer,omitempty"`
	Headers    http.Header `json:"headers,omitempty"`
	Body       any         `json:"body,omitempty"`
	Cut        bool        `json:"body_cut,omitempty"`
	Note       string      `json:"body_note,omitempty"` // why no body can be shown although there is one
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

// jsonOrText is text as the JSON that it is, else as a string.
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
func (s *Server) getRequests(w http.ResponseWriter, r *http.Request) {
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
func (s *Server) getRequest(w http.ResponseWriter, r *http.Request) {
	id, err := strconv.ParseUint(r.PathValue("id"), 10, 64)
	if err != nil {
		writeError(w, http.StatusBadRequest, "the id of a request is a number")
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
		writeError(w, http.StatusNotFound, "no such request, or no longer kept")
		return
	}
	writeJSON(w, http.StatusOK, found.view(true))
}

// eventDetail is one event with the profile of its user right after it.
type eventDetail struct {
	Event          json.RawMessage `json:"event"`
	UserProperties properties      `json:"user_properties_after"` // null when the history does not reach back
}

// getEvent answers with one event by its seq.
func (s *Server) getEvent(w http.ResponseWriter, r *http.Request) {
	seq, err := strconv.ParseUint(r.PathValue("seq"), 10, 64)
	if err != nil {
		writeError(w, http.StatusBadRequest, "the seq of an event is a number")
		return
	}
	s.mu.Lock()
	e := s.entryAt(seq)
	var after properties
	if e != nil && e.amplitudeID != 0 {
		if u := e.project.identities.byID[e.amplitudeID]; u != nil {
			after, _ = u.at(seq)
		}
	}
	s.mu.Unlock()
	if e == nil {
		writeError(w, http.StatusNotFound, "no such event, or no longer kept")
		return
	}
	writeJSON(w, http.StatusOK, eventDetail{Event: e.appendJSON(nil), UserProperties: after})
}

// entryAt finds an entry: seqs have no gaps, so it is a step and no search. The caller holds the lock.
func (s *Server) entryAt(seq uint64) *entry {
	if s.events.n == 0 {
		return nil
	}
	oldest := s.events.at(0).seq
	if seq < oldest || seq >= oldest+uint64(s.events.n) {
		return nil
	}
	return s.events.at(int(seq - oldest))
}

// getWarnings answers with the newest warnings, newest first.
func (s *Server) getWarnings(w http.ResponseWriter, r *http.Request) {
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

// getGroup answers with the properties of a group.
func (s *Server) getGroup(w http.ResponseWriter, r *http.Request) {
	kind, value := r.PathValue("type"), r.PathValue("value")
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.order {
		if props, ok := p.groups[groupKey(kind, value)]; ok {
			writeJSON(w, http.StatusOK, map[string]any{
				"group_type": kind, "group_value": value, "project": p.number, "group_properties": maps.Clone(props),
			})
			return
		}
	}
	writeError(w, http.StatusNotFound, "no $groupidentify of this group has been received")
}

// getProjects lists the projects with their masked keys.
func (s *Server) getProjects(w http.ResponseWriter, _ *http.Request) {
	type view struct {
		Project int    `json:"project"`
		APIKey  string `json:"api_key"`
		Region  string `json:"region"`
	}
	views := []view{}
	s.mu.Lock()
	for _, p := range s.order {
		views = append(views, view{p.number, MaskKey(p.apiKey), p.region})
	}
	s.mu.Unlock()
	writeJSON(w, http.StatusOK, map[string]any{"projects": views, "region": s.config.Region})
}

// getKeys lists the keys that were made up for this sandbox, in clear: the page puts them into the commands that it
// offers to copy.
func (s *Server) getKeys(w http.ResponseWriter, _ *http.Request) {
	type view struct {
		Project int    `json:"project"`
		APIKey  string `json:"api_key"`
	}
	views := []view{}
	s.mu.Lock()
	for _, p := range s.order {
		if !realKey.MatchString(p.apiKey) {
			views = append(views, view{p.number, p.apiKey})
		}
	}
	s.mu.Unlock()
	writeJSON(w, http.StatusOK, map[string]any{"keys": views})
}

// verdictAlias is a path that lists the events of one verdict, such as /_sandbox/duplicates.
func (s *Server) verdictAlias(v Verdict) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		q.Set("verdict", string(v))
		r.URL.RawQuery = q.Encode()
		s.getEvents(w, r)
	}
}

// getExport answers with events as JSON lines.
func (s *Server) getExport(w http.ResponseWriter, r *http.Request) {
	f, err := queryFilter(r)
	if err != nil {
		writeError(w, http.StatusBadRequest, err.Error())
		return
	}
	w.Header().Set("Content-Type", "application/x-ndjson")
	w.Header().Set("Content-Disposition", `attachment; filename="amplitude-sandbox.jsonl"`)
	for _, e := range s.selectEvents(f, 1<<31, false) {
		if _, err := w.Write(append(e.appendLine(nil), '\n')); err != nil {
			return
		}
	}
}
