// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package sandbox // import "github.com/otelcol-amplitude/otelcol-amplitude/sandbox"

import (
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// usersAPI shows users and groups, under the sandbox's own paths and under those of Amplitude's dashboards.
type usersAPI struct{ *store }

func (s *usersAPI) routes() routes {
	return routes{
		"GET /_sandbox/users":                 s.getUsers,
		"GET /_sandbox/users/{id...}":         s.getUser,
		"GET /_sandbox/groups/{type}/{value}": s.getGroup,

		"GET /api/2/usersearch":   s.getUserSearch,
		"GET /api/2/useractivity": s.getUserActivity,
		"GET /v1/userprofile":     s.getUserProfile,
		"GET /api/2/export":       s.getExport,
	}
}

// UserSummary is a user in a list.
type UserSummary struct {
	AmplitudeID int64             `json:"amplitude_id"`
	UserID      string            `json:"user_id,omitempty"`
	Devices     []string          `json:"devices"`
	Experiments map[string]string `json:"experiments"`
	Events      int               `json:"events"`
	Duplicates  int               `json:"duplicates"`
	Jumps       int               `json:"variant_changes"`
	FirstSeen   int64             `json:"first_seen"` // ms
	LastSeen    int64             `json:"last_seen"`  // ms
	MergedInto  int64             `json:"merged_into,omitempty"`
}

// User is everything known about one user.
type User struct {
	UserSummary
	Project          int            `json:"project"`
	UserProperties   map[string]any `json:"user_properties"`
	Groups           map[string]any `json:"groups"`
	Fields           map[string]any `json:"fields"` // device, location, language; null: reset
	History          []Change       `json:"history"`
	HistoryForgotten int            `json:"history_forgotten"`
	MergedFrom       []int64        `json:"merged_from,omitempty"`
}

func (u *user) summary() UserSummary {
	s := UserSummary{
		AmplitudeID: u.id, UserID: u.userID, Devices: slices.Clone(u.devices), Experiments: map[string]string{},
		Events: u.events, Duplicates: u.duplicates, FirstSeen: u.first.UnixMilli(), LastSeen: u.last.UnixMilli(), MergedInto: u.mergedInto,
	}
	if s.Devices == nil {
		s.Devices = []string{}
	}
	for name, value := range u.properties {
		if flag, ok := strings.CutPrefix(name, experimentPrefix); ok {
			s.Experiments[flag] = asText(value)
		}
	}
	for i := range u.history {
		if u.history[i].Jump {
			s.Jumps++
		}
	}
	return s
}

func (u *user) detail(p *project) User {
	d := User{
		UserSummary: u.summary(), Project: p.number, UserProperties: maps.Clone(map[string]any(u.properties)),
		Groups: maps.Clone(u.groups), Fields: maps.Clone(u.fields), History: slices.Clone(u.history),
		HistoryForgotten: u.forgotten, MergedFrom: slices.Clone(u.mergedFrom),
	}
	if d.Groups == nil {
		d.Groups = map[string]any{}
	}
	if d.Fields == nil {
		d.Fields = map[string]any{}
	}
	if d.History == nil {
		d.History = []Change{}
	}
	return d
}

// findUser searches every project for a user_id, a device_id or an Amplitude ID. The caller holds the lock.
func (s *store) findUser(id string) (*project, *user) {
	for _, p := range s.order {
		if u := p.identities.find(id); u != nil {
			return p, u
		}
	}
	if n, err := strconv.ParseInt(id, 10, 64); err == nil {
		for _, p := range s.order {
			if u := p.identities.byID[n]; u != nil {
				return p, u
			}
		}
	}
	return nil, nil
}

// getUser answers with one user.
func (s *usersAPI) getUser(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("id")
	s.mu.Lock()
	p, u := s.findUser(id)
	if u == nil {
		s.mu.Unlock()
		writeError(w, http.StatusNotFound, "no event of this user_id or device_id has been stored")
		return
	}
	d := u.detail(p)
	s.mu.Unlock()
	writeJSON(w, http.StatusOK, d)
}

// getUsers answers with the users seen last, newest first.
func (s *usersAPI) getUsers(w http.ResponseWriter, r *http.Request) {
	limit, err := number(r, "limit", standardLimit)
	if err != nil {
		writeError(w, http.StatusBadRequest, err.Error())
		return
	}
	text := strings.ToLower(r.URL.Query().Get("text"))
	s.mu.Lock()
	users, total := []UserSummary{}, 0
	for _, p := range s.order {
		total += len(p.identities.byID)
		for at := p.identities.recent.Back(); at != nil && len(users) < int(min(limit, 1<<31)); at = at.Prev() {
			u := at.Value.(*user)
			if text == "" || u.matches(text) {
				users = append(users, u.summary())
			}
		}
	}
	s.mu.Unlock()
	writeJSON(w, http.StatusOK, map[string]any{"users": users, "total": total})
}

func (u *user) matches(text string) bool {
	return containsFold(u.userID, text) || slices.ContainsFunc(u.devices, func(d string) bool { return containsFold(d, text) })
}

// getGroup answers with the properties of a group.
func (s *usersAPI) getGroup(w http.ResponseWriter, r *http.Request) {
	kind, value := r.PathValue("type"), r.PathValue("value")
	s.mu.Lock()
	var found map[string]any
	for _, p := range s.order {
		if g, ok := p.groups.byKey[groupKey(kind, value)]; ok && found == nil {
			found = map[string]any{"group_type": kind, "group_value": value, "project": p.number, "group_properties": maps.Clone(g.properties)}
		}
	}
	s.mu.Unlock()
	if found != nil {
		writeJSON(w, http.StatusOK, found)
		return
	}
	writeError(w, http.StatusNotFound, "no $groupidentify of this group has been received")
}
