// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package sandbox // import "github.com/otelcol-amplitude/otelcol-amplitude/sandbox"

import (
	"encoding/json"
	"net/http"
	"strconv"
)

// The read side of the real service, as far as a smoke test of an integration needs it. It accepts any credentials.

// getUserSearch is GET /api/2/usersearch?user=<user_id, device_id or Amplitude ID>.
func (s *usersAPI) getUserSearch(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	_, u := s.findUser(r.URL.Query().Get("user"))
	type match struct {
		UserID      string `json:"user_id,omitempty"`
		AmplitudeID int64  `json:"amplitude_id"`
	}
	answer := struct {
		Matches []match `json:"matches"`
		Type    string  `json:"type"`
	}{[]match{}, "nomatch"}
	if u != nil {
		answer.Type = "match_user_or_device_id"
		answer.Matches = append(answer.Matches, match{u.userID, u.id})
	}
	s.mu.Unlock()
	writeJSON(w, http.StatusOK, answer)
}

// activityLimit is the default number of events in a user's activity.
const activityLimit = 1000

// getUserActivity is GET /api/2/useractivity?user=<Amplitude ID>: the user's events, newest first.
func (s *usersAPI) getUserActivity(w http.ResponseWriter, r *http.Request) {
	limit, err := number(r, "limit", activityLimit)
	if err != nil {
		writeError(w, http.StatusBadRequest, err.Error())
		return
	}
	id, err := strconv.ParseInt(r.URL.Query().Get("user"), 10, 64)
	if err != nil {
		writeError(w, http.StatusBadRequest, "user must be an Amplitude ID, as usersearch returns it")
		return
	}
	s.mu.Lock()
	p, u := s.findUser(strconv.FormatInt(id, 10))
	if u == nil {
		s.mu.Unlock()
		writeError(w, http.StatusNotFound, "no such user")
		return
	}
	events := []json.RawMessage{}
	for i := s.events.n - 1; i >= 0 && uint64(len(events)) < limit; i-- {
		if e := s.events.at(i); e.amplitudeID == u.id && e.project == p && e.verdict == Stored {
			events = append(events, raw(e.event))
		}
	}
	d := u.detail(p)
	s.mu.Unlock()
	writeJSON(w, http.StatusOK, map[string]any{
		"events": events,
		"userData": map[string]any{
			"user_id": d.UserID, "canonical_amplitude_id": d.AmplitudeID, "device_ids": d.Devices,
			"num_events": d.Events, "properties": d.UserProperties,
		},
	})
}

// getUserProfile is GET /v1/userprofile?user_id=...&get_amp_props=true.
func (s *usersAPI) getUserProfile(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	id := q.Get("user_id")
	if id == "" {
		id = q.Get("device_id")
	}
	s.mu.Lock()
	p, u := s.findUser(id)
	if u == nil {
		s.mu.Unlock()
		writeError(w, http.StatusBadRequest, "User id and device id not seen before")
		return
	}
	d := u.detail(p)
	s.mu.Unlock()
	data := map[string]any{"user_id": nil, "device_id": nil, "amp_props": nil}
	if d.UserID != "" {
		data["user_id"] = d.UserID
	}
	if len(d.Devices) > 0 {
		data["device_id"] = d.Devices[len(d.Devices)-1]
	}
	if q.Get("get_amp_props") == "true" {
		data["amp_props"] = d.UserProperties
	}
	writeJSON(w, http.StatusOK, map[string]any{"userData": data})
}
