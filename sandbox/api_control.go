// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package sandbox // import "github.com/otelcol-amplitude/otelcol-amplitude/sandbox"

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// controlBody bounds the body of a request to the control API.
const controlBody = 1 << 20

// readJSON reads a body into v; unknown members are refused, since they are most likely misspelt.
func readJSON(w http.ResponseWriter, r *http.Request, v any) bool {
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, controlBody))
	d.DisallowUnknownFields()
	err := d.Decode(v)
	if err == nil {
		if _, err = d.Token(); errors.Is(err, io.EOF) {
			return true
		}
		err = errors.New("more than one JSON value")
	}
	writeError(w, http.StatusBadRequest, "the body is not as documented: "+err.Error())
	return false
}

// postFaults appends to the fault script: one fault, an array of them, or {"faults":[...]}.
func (s *Server) postFaults(w http.ResponseWriter, r *http.Request) {
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
	if _, err := s.AddFaults(faults...); err != nil {
		writeError(w, http.StatusBadRequest, err.Error())
		return
	}
	s.getFaults(w, r)
}

func (s *Server) getFaults(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, map[string]any{"faults": s.Faults(), "forced": s.forcedIDs()})
}

func (s *Server) deleteFaults(w http.ResponseWriter, r *http.Request) {
	id := 0
	if text := r.PathValue("id"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n <= 0 {
			writeError(w, http.StatusBadRequest, "the id of a fault is a positive number")
			return
		}
		id = n
	}
	if !s.RemoveFault(id) && id != 0 {
		writeError(w, http.StatusNotFound, "no such fault")
		return
	}
	s.getFaults(w, r)
}

// forcedIDs lists what is forced: ids to the end of it in ms, 0 for no end.
func (s *Server) forcedIDs() map[string]any {
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

// Throttle answers 429 for these users and devices until d has passed by the sandbox's clock; 0 is forever.
func (s *Server) Throttle(d time.Duration, ids ...string) { s.force(s.throttleSet, d, ids) }

// ExceedQuota answers as if these users and devices were over their daily quota, until d has passed.
func (s *Server) ExceedQuota(d time.Duration, ids ...string) { s.force(s.quotaSet, d, ids) }

func (s *Server) throttleSet() map[string]time.Time { return s.forced.throttle }
func (s *Server) quotaSet() map[string]time.Time    { return s.forced.quota }

func (s *Server) force(set func() map[string]time.Time, d time.Duration, ids []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var end time.Time
	if d > 0 {
		end = s.clock.now().Add(d)
	}
	for _, id := range ids {
		if len(set()) < forcedKept {
			set()[id] = end
		}
	}
	s.notify()
}

// Silence answers 400 for these devices until Reset.
func (s *Server) Silence(devices ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, id := range devices {
		if len(s.forced.silence) < forcedKept {
			s.forced.silence[id] = true
		}
	}
	s.notify()
}

// parseUntil reads "+30s", an RFC 3339 time, or "" for no end, as a duration from now.
func (s *Server) parseUntil(text string) (time.Duration, error) {
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
func (s *Server) postForced(force func(time.Duration, ...string)) http.HandlerFunc {
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
		force(d, in.IDs...)
		s.getFaults(w, r)
	}
}

// postSilence is POST /_sandbox/silence.
func (s *Server) postSilence(w http.ResponseWriter, r *http.Request) {
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
	s.Silence(in.Devices...)
	s.getFaults(w, r)
}

// deleteForced is DELETE of one of throttle, quota and silence.
func (s *Server) deleteForced(kind string) http.HandlerFunc {
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

// postClock moves the clock of every window forward.
func (s *Server) postClock(w http.ResponseWriter, r *http.Request) {
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
	s.Advance(time.Duration(in.Advance))
	s.getClock(w, r)
}

func (s *Server) getClock(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, map[string]any{
		"now": s.clock.now().UTC().Format(time.RFC3339Nano), "advanced": Duration(s.clock.offset.Load()),
	})
}

// Advance moves the clock of every window forward, for instance past a throttling or the de-duplication window.
func (s *Server) Advance(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clock.advance(d)
	s.notify()
}

// SetBehavior changes how the sandbox answers from now on, until Reset.
func (s *Server) SetBehavior(change func(*Behavior)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.behavior
	change(&b)
	if err := b.validate(); err != nil {
		return err
	}
	s.setBehavior(b)
	return nil
}

func (s *Server) getConfig(w http.ResponseWriter, _ *http.Request) {
	s.mu.Lock()
	b := s.behavior
	s.mu.Unlock()
	writeJSON(w, http.StatusOK, map[string]any{"behavior": b.json(), "weights": s.config.Weights, "retention": s.config.Retention})
}

// putConfig changes some switches; those that are not named stay.
func (s *Server) putConfig(w http.ResponseWriter, r *http.Request) {
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
	if err := s.SetBehavior(func(to *Behavior) { *to = b }); err != nil {
		writeError(w, http.StatusBadRequest, err.Error())
		return
	}
	s.getConfig(w, r)
}

// strict decodes JSON text; members that are not known are refused.
func strict(text []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	return d.Decode(into)
}
