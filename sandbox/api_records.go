// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package sandbox // import "github.com/otelcol-amplitude/otelcol-amplitude/sandbox"

import (
	"context"
	"maps"
	"net/http"
)

// Records is a Collector in the same process, which reports what became of records before their events arrive here.
type Records interface {
	// ServeHTTP streams decisions to the page as server-sent events until the request's context is done.
	http.Handler
	// Counts returns the number of records by outcome.
	Counts() map[string]uint64
}

// Mount makes the page show records, from its own origin. Call it before Serve.
func (s *Server) Mount(records Records) {
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	s.store.records = records
	s.store.forgetRecords()
}

// recordsAPI passes on what a Collector reports about records.
type recordsAPI struct{ *store }

func (s *recordsAPI) routes() routes {
	return routes{"GET /_sandbox/records": s.watched(s.getRecords)}
}

func (s *recordsAPI) getRecords(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	records := s.records
	s.mu.Unlock()
	if records == nil {
		writeError(w, http.StatusNotFound, "no Collector runs in this process, so there are no records to show")
		return
	}
	ctx, end := context.WithCancel(r.Context())
	defer end()
	defer context.AfterFunc(s.closed, end)()
	records.ServeHTTP(w, r.WithContext(ctx))
}

// forgetRecords resets the counts. The caller holds the lock, or no other goroutine is running.
func (s *store) forgetRecords() {
	if s.records != nil {
		s.recordsBefore = s.records.Counts()
	}
}

// recordCounts counts the records since the start or the last reset, by outcome; nil without a Collector. The caller holds the lock.
func (s *store) recordCounts() map[string]uint64 {
	if s.records == nil {
		return nil
	}
	counts := maps.Clone(s.records.Counts())
	for outcome, before := range s.recordsBefore {
		// A reconfigured Collector restarts its counts.
		if counts[outcome] -= min(before, counts[outcome]); counts[outcome] == 0 {
			delete(counts, outcome)
		}
	}
	return counts
}
