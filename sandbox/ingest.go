// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package sandbox // import "github.com/otelcol-amplitude/otelcol-amplitude/sandbox"

import (
	"net/http"
	"slices"
	"strings"
	"time"
)

// uploads is the ingestion API: it runs requests through the checks of the service, and applies their events.
type uploads struct{ *store }

// ServeHTTP answers requests to Amplitude's ingestion API and to unknown paths.
func (s *uploads) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := strings.TrimSuffix(r.URL.Path, "/")
	switch {
	case r.Method == http.MethodOptions && slices.Contains([]string{pathHTTPV2, pathBatch, pathIdentify, pathGroupIdentify}, path):
		preflight(w)
	case r.Method != http.MethodPost:
		s.invalidPath(w, r)
	case path == pathHTTPV2, path == pathBatch:
		s.ingest(w, r)
	case path == pathIdentify:
		s.identify(w, r, eventIdentify)
	case path == pathGroupIdentify:
		s.identify(w, r, eventGroupIdentify)
	default:
		s.invalidPath(w, r)
	}
}

// preflight lets a page in a browser send events, as Amplitude does.
func preflight(w http.ResponseWriter) {
	ingestHeaders(w.Header())
	w.Header().Del("Content-Type")
	w.Header().Set("Access-Control-Allow-Headers", "Content-Type, Content-Encoding")
	w.WriteHeader(http.StatusNoContent)
}

// invalidPath is step 2.
func (s *uploads) invalidPath(w http.ResponseWriter, r *http.Request) {
	in := s.begin(r)
	defer in.finish()
	_, _ = in.transport(r) // for the request log
	path := strings.TrimSuffix(r.URL.Path, "/")
	if otlpPaths[path] {
		in.log.warn(otlpHint)
		in.respond(w, in.behavior.badRequest(errPath, member{"hint", otlpHint}))
		return
	}
	if api := notModeled(path); api != "" {
		text := r.Method + " " + path + " belongs to " + api + ", which the sandbox does not model"
		in.log.warn(text)
		in.respond(w, in.behavior.jsonAnswer(http.StatusNotImplemented, member{"error", text}))
		return
	}
	in.respond(w, in.behavior.badRequest(errPath))
}

// otlpPaths are where OpenTelemetry's exporters send: here they reach the wrong end of the pipeline.
var otlpPaths = map[string]bool{"/v1/logs": true, "/v1/traces": true, "/v1/metrics": true}

const otlpHint = "this is Amplitude's side, which takes events at /2/httpapi; send OTLP to the Collector, whose receiver listens on port 4318 (HTTP) or 4317 (gRPC) by default"

// ingest answers POST /2/httpapi and POST /batch, and returns the number of the request.
func (s *uploads) ingest(w http.ResponseWriter, r *http.Request) uint64 {
	in := s.begin(r)
	defer in.finish()
	fault, needBody := s.takeFault(in)
	if needBody {
		// The decision depends on the body: read it now, and perform the remaining steps.
		in.refused, in.failed = in.transport(r)
		in.read = true
		fault, _ = s.takeFault(in)
	}
	handle := func() answer { return in.handle(r) }
	if fault != nil {
		in.suffer(w, r, fault, handle)
		return in.log.id
	}
	in.respond(w, handle())
	return in.log.id
}

// begin notes the request.
func (s *uploads) begin(r *http.Request) *ingestion {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests++
	in := &ingestion{
		store: s.store, behavior: s.behavior,
		batch: strings.TrimSuffix(r.URL.Path, "/") == pathBatch,
		log:   newRequest(s.requests, r, s.clock.now()),
		wire:  wireOf(r),
	}
	in.endpoint = in.behavior.V2
	if in.batch {
		in.endpoint = in.behavior.Batch
	}
	return in
}

// takeFault consumes the fault that the request hits, if any.
func (s *uploads) takeFault(in *ingestion) (fault *Fault, needBody bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.script.take(in.log, in.body, in.read)
}

// keep stores an entry for readers.
func (s *store) keep(e *entry) {
	s.events.push(e)
	s.stats.entry(e)
	for _, text := range e.warnings {
		s.warn(warning{At: e.receivedAt.UnixMilli(), Request: e.request, Seq: e.seq, Text: text})
	}
}

func ingestHeaders(h http.Header) {
	h.Set("Content-Type", "application/json")
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("Access-Control-Allow-Methods", "GET, POST")
	h.Set("Strict-Transport-Security", "max-age=15768000")
}

// finish adds the request to the log, once. Where the sandbox breaks the connection it is called before, so that a client
// that has seen the end of its request finds it in the log.
func (in *ingestion) finish() {
	s := in.store
	s.mu.Lock()
	defer s.mu.Unlock()
	if in.finished {
		return
	}
	in.finished = true
	in.leave()
	if in.large {
		s.large.free()
	}
	in.log.took = time.Since(in.log.started)
	s.log.push(in.log)
	s.stats.request(in.log)
	s.notify()
}
