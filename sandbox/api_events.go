// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package sandbox // import "github.com/otelcol-amplitude/otelcol-amplitude/sandbox"

import (
	"bytes"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// eventsAPI shows events and what became of them.
type eventsAPI struct{ *store }

func (s *eventsAPI) routes() routes {
	return routes{
		"GET /_sandbox/events":       s.getEvents,
		"GET /_sandbox/events/{seq}": s.getEvent,
		"GET /_sandbox/duplicates":   s.verdictAlias(Duplicate),
		"GET /_sandbox/dropped":      s.verdictAlias(Dropped),
		"GET /_sandbox/identifies":   s.verdictAlias(Identify),
		"GET /_sandbox/export":       s.getExport,
	}
}

// Meta is what the sandbox adds to an event, under "sandbox".
type Meta struct {
	Seq             uint64    `json:"seq"`
	Project         int       `json:"project"`
	ReceivedAt      int64     `json:"received_at"` // ms
	EventTime       int64     `json:"event_time"`  // ms
	RequestID       uint64    `json:"request_id"`
	Index           int       `json:"index"`
	Endpoint        string    `json:"endpoint"`
	Verdict         Verdict   `json:"verdict"`
	Reason          string    `json:"reason,omitempty"`
	Problems        []Problem `json:"problems,omitempty"`
	AmplitudeID     int64     `json:"amplitude_id,omitempty"`
	UserID          string    `json:"user_id,omitempty"`
	DeviceID        string    `json:"device_id,omitempty"`
	DerivedDeviceID bool      `json:"derived_device_id,omitempty"`
	Flags           []string  `json:"flags,omitempty"`
	Variant         string    `json:"variant,omitempty"`
	ExperimentKey   string    `json:"experiment_key,omitempty"`
	TransformedFrom any       `json:"transformed_from,omitempty"`
	FirstSeq        uint64    `json:"first_seq,omitempty"`
	FirstReceivedAt int64     `json:"first_received_at,omitempty"`
	FirstAgeMS      int64     `json:"first_age_ms,omitempty"`
	Changes         []Change  `json:"changes,omitempty"`
	Warnings        []string  `json:"warnings,omitempty"`
}

func (e *entry) meta() Meta {
	m := Meta{
		Seq: e.seq, Project: e.project.number, ReceivedAt: e.receivedAt.UnixMilli(), EventTime: e.eventTime,
		RequestID: e.request, Index: e.index, Endpoint: e.endpoint, Verdict: e.verdict, Reason: e.reason, Problems: e.problems,
		AmplitudeID: e.amplitudeID, UserID: e.userID, DeviceID: e.deviceID, DerivedDeviceID: e.derived,
		Flags: e.flags, Variant: e.variant, ExperimentKey: e.run, Changes: e.changes, Warnings: e.warnings,
	}
	if e.before != "" {
		m.TransformedFrom = raw(e.before)
	}
	if e.verdict == Duplicate {
		m.FirstSeq, m.FirstReceivedAt = e.firstSeq, e.firstAt.UnixMilli()
		m.FirstAgeMS = e.receivedAt.Sub(e.firstAt).Milliseconds()
	}
	return m
}

// appendJSON appends the event with "sandbox" as its last member.
func (e *entry) appendJSON(out []byte) []byte {
	text := strings.TrimRight(e.event, " \t\r\n")
	body := strings.TrimRight(text[:len(text)-1], " \t\r\n")
	out = append(out, body...)
	if len(body) > 1 {
		out = append(out, ',')
	}
	out = append(out, `"sandbox":`...)
	out = append(out, encode(e.meta())...)
	return append(out, '}')
}

// appendLine is appendJSON on one line, since line breaks separate messages in a stream.
func (e *entry) appendLine(out []byte) []byte {
	if !strings.ContainsAny(e.event, "\r\n") && !strings.ContainsAny(e.before, "\r\n") {
		return e.appendJSON(out)
	}
	var line bytes.Buffer
	if err := json.Compact(&line, e.appendJSON(nil)); err != nil {
		return append(out, "null"...)
	}
	return append(out, line.Bytes()...)
}

// queryFilter parses the filter of a query; without a verdict, it selects only stored events.
func queryFilter(r *http.Request) (*filter, error) {
	q := r.URL.Query()
	f := &filter{
		userID: q.Get("user_id"), deviceID: q.Get("device_id"), eventType: q.Get("event_type"), flag: q.Get("flag"),
		text: strings.ToLower(q.Get("text")), verdicts: map[Verdict]bool{Stored: true},
	}
	if v := q.Get("verdict"); v == "all" {
		f.verdicts = nil
	} else if v != "" {
		f.verdicts = map[Verdict]bool{}
		for _, one := range strings.Split(v, ",") {
			f.verdicts[Verdict(one)] = true
		}
	}
	for name, to := range map[string]*uint64{"after": &f.after, "before": &f.before, "request_id": &f.request} {
		n, err := number(r, name, 0)
		if err != nil {
			return nil, err
		}
		*to = n
	}
	return f, nil
}

// standardLimit is the default number of items in an answer.
const standardLimit = 1000

// selectEvents returns the matching entries in order of arrival: the first limit of them, or the last when newest is set.
func (s *store) selectEvents(f *filter, limit int, newest bool) []*entry {
	s.mu.Lock()
	kept := s.newer(f.after)
	s.mu.Unlock()
	var found []*entry
	if newest {
		for i := len(kept) - 1; i >= 0 && len(found) < limit; i-- {
			if f.matches(kept[i]) {
				found = append(found, kept[i])
			}
		}
		slices.Reverse(found)
		return found
	}
	for i := 0; i < len(kept) && len(found) < limit; i++ {
		if f.matches(kept[i]) {
			found = append(found, kept[i])
		}
	}
	return found
}

// newer returns the entries after seq, in order. They do not change, so callers can search their text without holding
// the lock. The caller of newer holds the lock.
func (s *store) newer(seq uint64) []*entry {
	from := 0
	if s.events.n > 0 && seq >= s.events.at(0).seq { // seqs have no gaps
		from = int(min(seq-s.events.at(0).seq+1, uint64(s.events.n)))
	}
	list := make([]*entry, s.events.n-from)
	for i := range list {
		list[i] = s.events.at(from + i)
	}
	return list
}

// getEvents answers with events in order of arrival; with after, those that came later.
func (s *eventsAPI) getEvents(w http.ResponseWriter, r *http.Request) {
	f, err := queryFilter(r)
	if err != nil {
		writeError(w, http.StatusBadRequest, err.Error())
		return
	}
	limit, err := number(r, "limit", standardLimit)
	if err != nil {
		writeError(w, http.StatusBadRequest, err.Error())
		return
	}
	found := s.selectEvents(f, int(min(limit, 1<<31)), r.URL.Query().Get("newest") == "true")
	w.Header().Set("Content-Type", "application/json")
	writeEvents(w, found)
}

// writeEvents streams {"events":[...]}.
func writeEvents(w http.ResponseWriter, found []*entry) {
	const flushAt = 64 << 10
	buffer := []byte(`{"events":[`)
	for i, e := range found {
		if i > 0 {
			buffer = append(buffer, ',')
		}
		buffer = e.appendLine(buffer)
		if len(buffer) > flushAt {
			if _, err := w.Write(buffer); err != nil {
				return
			}
			buffer = buffer[:0]
		}
	}
	_, _ = w.Write(append(buffer, "]}\n"...))
}

// eventDetail is one event with the profile of its user right after it.
type eventDetail struct {
	Event          json.RawMessage `json:"event"`
	UserProperties properties      `json:"user_properties_after"` // null when the history does not reach back
}

// getEvent answers with one event by its seq.
func (s *eventsAPI) getEvent(w http.ResponseWriter, r *http.Request) {
	seq, err := strconv.ParseUint(r.PathValue("seq"), 10, 64)
	if err != nil {
		writeError(w, http.StatusBadRequest, "the seq of an event must be a number")
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
		writeError(w, http.StatusNotFound, "no such event, or it is no longer kept")
		return
	}
	writeJSON(w, http.StatusOK, eventDetail{Event: e.appendJSON(nil), UserProperties: after})
}

// entryAt finds an entry in one step, because seqs have no gaps. The caller holds the lock.
func (s *store) entryAt(seq uint64) *entry {
	if s.events.n == 0 {
		return nil
	}
	oldest := s.events.at(0).seq
	if seq < oldest || seq >= oldest+uint64(s.events.n) {
		return nil
	}
	return s.events.at(int(seq - oldest))
}

// verdictAlias is a path that lists the events of one verdict, such as /_sandbox/duplicates.
func (s *eventsAPI) verdictAlias(v Verdict) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		q.Set("verdict", string(v))
		r.URL.RawQuery = q.Encode()
		s.getEvents(w, r)
	}
}

// getExport answers with events as JSON lines.
func (s *eventsAPI) getExport(w http.ResponseWriter, r *http.Request) {
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
