// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package sandbox // import "github.com/otelcol-amplitude/otelcol-amplitude/sandbox"

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strconv"
)

// controlRoutes are the page, the read API and the control API, which README.md and openapi.json describe.
func (s *Server) controlRoutes() map[string]http.HandlerFunc {
	return map[string]http.HandlerFunc{
		"GET /{$}":                     s.getPage,
		"GET /_sandbox/page/{file...}": s.getPageFile,
		"GET /_sandbox/openapi.json":   getOpenAPI,
		"GET /_sandbox/stream":         s.getStream,

		"GET /_sandbox/events":                s.getEvents,
		"GET /_sandbox/events/{seq}":          s.getEvent,
		"GET /_sandbox/duplicates":            s.verdictAlias(Duplicate),
		"GET /_sandbox/dropped":               s.verdictAlias(Dropped),
		"GET /_sandbox/identifies":            s.verdictAlias(Identify),
		"GET /_sandbox/export":                s.getExport,
		"GET /_sandbox/users":                 s.getUsers,
		"GET /_sandbox/users/{id...}":         s.getUser,
		"GET /_sandbox/groups/{type}/{value}": s.getGroup,
		"GET /_sandbox/experiments":           s.getExperiments,
		"GET /_sandbox/requests":              s.getRequests,
		"GET /_sandbox/requests/{id}":         s.getRequest,
		"GET /_sandbox/warnings":              s.getWarnings,
		"GET /_sandbox/projects":              s.getProjects,
		"GET /_sandbox/keys":                  s.getKeys,
		"GET /_sandbox/stats":                 s.getStats,
		"GET /_sandbox/await":                 s.getAwait,
		"GET /_sandbox/send":                  s.getSend,
		"POST /_sandbox/send":                 s.postSend,

		"POST /_sandbox/reset":         s.postReset,
		"GET /_sandbox/config":         s.getConfig,
		"PUT /_sandbox/config":         s.putConfig,
		"GET /_sandbox/faults":         s.getFaults,
		"POST /_sandbox/faults":        s.postFaults,
		"DELETE /_sandbox/faults":      s.deleteFaults,
		"DELETE /_sandbox/faults/{id}": s.deleteFaults,
		"POST /_sandbox/throttle":      s.postForced(s.Throttle),
		"POST /_sandbox/quota":         s.postForced(s.ExceedQuota),
		"POST /_sandbox/silence":       s.postSilence,
		"DELETE /_sandbox/throttle":    s.deleteForced("throttle"),
		"DELETE /_sandbox/quota":       s.deleteForced("quota"),
		"DELETE /_sandbox/silence":     s.deleteForced("silence"),
		"GET /_sandbox/clock":          s.getClock,
		"POST /_sandbox/clock":         s.postClock,

		"GET /api/2/usersearch":   s.getUserSearch,
		"GET /api/2/useractivity": s.getUserActivity,
		"GET /v1/userprofile":     s.getUserProfile,
	}
}

func noSuchPath(w http.ResponseWriter, r *http.Request) {
	writeError(w, http.StatusNotFound, "no such path: "+r.Method+" "+r.URL.Path+"; see /_sandbox/openapi.json")
}

// writeJSON answers with v.
func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(encode(v), '\n'))
}

func writeError(w http.ResponseWriter, status int, text string) {
	writeJSON(w, status, map[string]string{"error": text})
}

// postReset forgets everything: events, users, requests, faults, the clock's advance.
func (s *Server) postReset(w http.ResponseWriter, _ *http.Request) {
	s.Reset()
	writeJSON(w, http.StatusOK, map[string]bool{"reset": true})
}

// Reset forgets everything that was sent and everything that was forced or configured since the start.
func (s *Server) Reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clock.reset()
	s.clear()
	s.epoch++
	s.notify()
}

// number reads a query parameter; absent is standard.
func number(r *http.Request, name string, standard uint64) (uint64, error) {
	text := r.URL.Query().Get(name)
	if text == "" {
		return standard, nil
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return 0, errQuery(name + " must be a whole number (got " + strconv.Quote(text) + ")")
	}
	return n, nil
}

// errQuery is a query that cannot be answered.
type errQuery string

func (e errQuery) Error() string { return string(e) }

// raw is JSON text as it is.
func raw(text string) json.RawMessage { return json.RawMessage(text) }

// Routes lists the page, the read API and the control API as "METHOD /path".
func (s *Server) Routes() []string { return slices.Sorted(maps.Keys(s.controlRoutes())) }
