// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package sandbox // import "github.com/otelcol-amplitude/otelcol-amplitude/sandbox"

import (
	"context"
	"maps"
	"net/http"
)

// Records tells what became of the records from which events are made, before they come here: a Collector in the same process.
type Records interface {
	// ServeHTTP streams it to the page as server-sent events until the request's context is done.
	http.Handler
	// Counts are how many records there were, by outcome.
	Counts() map[string]uint64
}

// Mount makes the page show records, under its own origin. Call it before Serve.
func (s *Server) Mount(records Records) {
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	s.store.records = records
	s.store.forgetRecords()
}

// recordsAPI passes on what is told of records.
type recordsAPI struct{ *store }

func (s *recordsAPI) routes() routes {
	return routes{"GET /_sandbox/records": s.watched(s.getRecords)}
}

func (s *recordsAPI) getRecords(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	records := s.records
	s.mu.Unlock()
	if records == nil {
		writeError(w, http.StatusNotFound, "no Collector runs in this process that could tell of records")
		return
	}
	ctx, end := context.WithCancel(r.Context())
	defer end()
	defer context.AfterFunc(s.closed, end)()
	records.ServeHTTP(w, r.WithContext(ctx))
}

// forgetRecords makes the counts begin anew. The caller holds the lock or is alone.
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
		// A Collector that was configured anew counts anew.
		if counts[outcome] -= min(before, counts[outcome]); counts[outcome] == 0 {
			delete(counts, outcome)
		}
	}
	return counts
}
