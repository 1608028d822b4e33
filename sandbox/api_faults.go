// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package sandbox // import "github.com/otelcol-amplitude/otelcol-amplitude/sandbox"

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// faultsAPI arms what goes wrong: the fault script, and the ids that are throttled, over their quota or silenced.
type faultsAPI struct{ *store }

func (s *faultsAPI) routes() routes {
	return routes{
		"GET /_sandbox/faults":         s.getFaults,
		"POST /_sandbox/faults":        s.postFaults,
		"DELETE /_sandbox/faults":      s.deleteFaults,
		"DELETE /_sandbox/faults/{id}": s.deleteFaults,
		"POST /_sandbox/throttle":      s.postForced(throttledIDs),
		"POST /_sandbox/quota":         s.postForced(overQuotaIDs),
		"POST /_sandbox/silence":       s.postSilence,
		"DELETE /_sandbox/throttle":    s.deleteForced("throttle"),
		"DELETE /_sandbox/quota":       s.deleteForced("quota"),
		"DELETE /_sandbox/silence":     s.deleteForced("silence"),
	}
}

// addFaults appends to the fault script and returns the faults with their ids.
func (s *store) addFaults(faults []Fault) ([]Fault, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.script.add(faults); err != nil {
		return nil, err
	}
	s.notify()
	return faults, nil
}

// removeFault deletes a fault, or all of them when id is 0; it tells whether there was one.
func (s *store) removeFault(id int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.notify()
	return s.script.remove(id)
}

func (s *store) faults() []Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.script.list()
}

// postFaults appends to the fault script: one fault, an array of them, or {"faults":[...]}.
func (s *faultsAPI) postFaults(w http.ResponseWriter, r *http.Request) {
	var text json.RawMessage
	if !readJSON(w, r, &text) {
		return
	}
	var faults []Fault
	var wrapped struct {
		Faults []Fault `json:"faults"`
	}
	one := Fault{}
	switch {
	case strings.HasPrefix(strings.TrimSpace(string(text)), "["):
		if err := strict(text, &faults); err != nil {
			writeError(w, http.StatusBadRequest, err.Error())
			return
		}
	case strict(text, &wrapped) == nil:
		faults = wrapped.Faults
	default:
		if err := strict(text, &one); err != nil {
			writeError(w, http.StatusBadRequest, err.Error())
			return
		}
		faults = []Fault{one}
	}
	if _, err := s.addFaults(faults); err != nil {
		writeError(w, http.StatusBadRequest, err.Error())
		return
	}
	s.getFaults(w, r)
}

func (s *faultsAPI) getFaults(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, map[string]any{"faults": s.faults(), "forced": s.forcedIDs()})
}

func (s *faultsAPI) deleteFaults(w http.ResponseWriter, r *http.Request) {
	id := 0
	if text := r.PathValue("id"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n <= 0 {
			writeError(w, http.StatusBadRequest, "the id of a fault must be a positive integer")
			return
		}
		id = n
	}
	if !s.removeFault(id) && id != 0 {
		writeError(w, http.StatusNotFound, "no such fault")
		return
	}
	s.getFaults(w, r)
}

// forcedIDs lists what is forced: ids with their end in ms, 0 for no end.
func (s *faultsAPI) forcedIDs() map[string]any {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.clock.now()
	ends := func(until map[string]time.Time) map[string]int64 {
		out := map[string]int64{}
		for id, end := range until {
			switch {
			case end.IsZero():
				out[id] = 0
			case now.Before(end):
				out[id] = end.UnixMilli()
			}
		}
		return out
	}
	silenced := []string{}
	for id := range s.forced.silence {
		silenced = append(silenced, id)
	}
	return map[string]any{"throttle": ends(s.forced.throttle), "quota": ends(s.forced.quota), "silence": silenced}
}

// forcedKept bounds the ids that can be forced.
const forcedKept = 100_000

// force throttles ids or puts them over their quota, until d has passed by the sandbox's clock; 0 is forever.
func (s *store) force(ids func(*forced) map[string]time.Time, d time.Duration, names []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var end time.Time
	if d > 0 {
		end = s.clock.now().Add(d)
	}
	into := ids(&s.forced)
	for _, id := range names {
		if len(into) < forcedKept {
			into[id] = end
		}
	}
	s.notify()
}

func throttledIDs(f *forced) map[string]time.Time { return f.throttle }
func overQuotaIDs(f *forced) map[string]time.Time { return f.quota }

// silence makes requests of the devices get a 400.
func (s *store) silence(devices []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, id := range devices {
		if len(s.forced.silence) < forcedKept {
			s.forced.silence[id] = true
		}
	}
	s.notify()
}

// parseUntil parses "+30s", an RFC 3339 time, or "" for no end, as a duration from now.
func (s *faultsAPI) parseUntil(text string) (time.Duration, error) {
	if text == "" {
		return 0, nil
	}
	d, err := time.ParseDuration(strings.TrimPrefix(text, "+"))
	if err != nil {
		end, err := time.Parse(time.RFC3339Nano, text)
		if err != nil {
			return 0, fmt.Errorf(`until must be a duration such as "+30s" or an RFC 3339 time (got %q)`, text)
		}
		d = end.Sub(s.clock.now())
	}
	if d <= 0 {
		return 0, fmt.Errorf("until must be in the future (got %q)", text)
	}
	return d, nil
}

// postForced is POST /_sandbox/throttle and /_sandbox/quota.
func (s *faultsAPI) postForced(ids func(*forced) map[string]time.Time) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var in struct {
			IDs   []string `json:"ids"`
			Until string   `json:"until"`
		}
		if !readJSON(w, r, &in) {
			return
		}
		d, err := s.parseUntil(in.Until)
		if err == nil && len(in.IDs) == 0 {
			err = errors.New("ids must name at least one user or device")
		}
		if err != nil {
			writeError(w, http.StatusBadRequest, err.Error())
			return
		}
		s.force(ids, d, in.IDs)
		s.getFaults(w, r)
	}
}

// postSilence is POST /_sandbox/silence.
func (s *faultsAPI) postSilence(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Devices []string `json:"devices"`
	}
	if !readJSON(w, r, &in) {
		return
	}
	if len(in.Devices) == 0 {
		writeError(w, http.StatusBadRequest, "devices must name at least one device")
		return
	}
	s.silence(in.Devices)
	s.getFaults(w, r)
}

// deleteForced is DELETE of one of throttle, quota and silence.
func (s *faultsAPI) deleteForced(kind string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		switch kind {
		case "throttle":
			clear(s.forced.throttle)
		case "quota":
			clear(s.forced.quota)
		case "silence":
			clear(s.forced.silence)
		}
		s.notify()
		s.mu.Unlock()
		s.getFaults(w, r)
	}
}
