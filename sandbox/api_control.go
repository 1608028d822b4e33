// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package sandbox // import "github.com/otelcol-amplitude/otelcol-amplitude/sandbox"

import (
	"encoding/json"
	"net/http"
	"time"
)

// controlAPI is the sandbox itself: its counts, projects, switches and clock, and the reset.
type controlAPI struct{ *store }

func (s *controlAPI) routes() routes {
	return routes{
		"GET /_sandbox/stats":    s.getStats,
		"GET /_sandbox/projects": s.getProjects,
		"GET /_sandbox/keys":     s.getKeys,
		"POST /_sandbox/reset":   s.postReset,
		"GET /_sandbox/config":   s.getConfig,
		"PUT /_sandbox/config":   s.putConfig,
		"GET /_sandbox/clock":    s.getClock,
		"POST /_sandbox/clock":   s.postClock,
	}
}

func (s *controlAPI) getStats(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, s.overview())
}

// getProjects lists the projects with their masked keys.
func (s *controlAPI) getProjects(w http.ResponseWriter, _ *http.Request) {
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

// getKeys lists the keys that were made up for this sandbox, unmasked: the page puts them into the commands that it
// offers to copy.
func (s *controlAPI) getKeys(w http.ResponseWriter, _ *http.Request) {
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

// postReset forgets everything: events, users, requests, faults, the clock's advance.
func (s *controlAPI) postReset(w http.ResponseWriter, _ *http.Request) {
	s.reset()
	writeJSON(w, http.StatusOK, map[string]bool{"reset": true})
}

// postClock moves the clock of every window forward.
func (s *controlAPI) postClock(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Advance Duration `json:"advance"`
	}
	if !readJSON(w, r, &in) {
		return
	}
	if in.Advance < 0 {
		writeError(w, http.StatusBadRequest, "advance must not be negative: the clock cannot go back")
		return
	}
	s.advance(time.Duration(in.Advance))
	s.getClock(w, r)
}

func (s *controlAPI) getClock(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, map[string]any{
		"now": s.clock.now().UTC().Format(time.RFC3339Nano), "advanced": Duration(s.clock.offset.Load()),
	})
}

func (s *controlAPI) getConfig(w http.ResponseWriter, _ *http.Request) {
	s.mu.Lock()
	b := s.behavior
	s.mu.Unlock()
	writeJSON(w, http.StatusOK, map[string]any{"behavior": b.json(), "weights": s.config.Weights, "retention": s.config.Retention})
}

// putConfig changes the given switches, and leaves the others alone.
func (s *controlAPI) putConfig(w http.ResponseWriter, r *http.Request) {
	var text json.RawMessage
	if !readJSON(w, r, &text) {
		return
	}
	var wrapped struct {
		Behavior json.RawMessage `json:"behavior"`
	}
	if strict(text, &wrapped) == nil && wrapped.Behavior != nil {
		text = wrapped.Behavior
	}
	s.mu.Lock()
	b := s.behavior
	s.mu.Unlock()
	if err := strict(text, b.json()); err != nil {
		writeError(w, http.StatusBadRequest, err.Error())
		return
	}
	if err := s.changeBehavior(func(to *Behavior) { *to = b }); err != nil {
		writeError(w, http.StatusBadRequest, err.Error())
		return
	}
	s.getConfig(w, r)
}
