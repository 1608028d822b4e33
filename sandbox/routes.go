// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package sandbox // import "github.com/otelcol-amplitude/otelcol-amplitude/sandbox"

import (
	"net/http"
	"strings"
)

// controlPrefix starts every path that Amplitude does not have.
const controlPrefix = "/_sandbox"

// routes is the handler of everything. Paths that are neither Amplitude's nor ours get Amplitude's answer.
func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	for pattern, handler := range s.controlRoutes() {
		mux.Handle(pattern, s.guard(handler))
	}
	mux.Handle(controlPrefix+"/", s.guard(http.HandlerFunc(noSuchPath)))
	upload := func(w http.ResponseWriter, r *http.Request) { s.ingest(w, r) }
	ingest := map[string]http.HandlerFunc{
		pathHTTPV2: upload,
		pathBatch:  upload,

		pathIdentify:      s.identify(eventIdentify),
		pathGroupIdentify: s.identify(eventGroupIdentify),
	}
	mux.HandleFunc("/", s.fromHere(func(w http.ResponseWriter, r *http.Request) {
		handler, known := ingest[strings.TrimSuffix(r.URL.Path, "/")]
		switch {
		case known && r.Method == http.MethodPost:
			handler(w, r)
		case known && r.Method == http.MethodOptions:
			preflight(w)
		default:
			s.invalidPath(w, r)
		}
	}))
	return mux
}

// preflight lets a page in a browser send events, as Amplitude does.
func preflight(w http.ResponseWriter) {
	ingestHeaders(w.Header())
	w.Header().Del("Content-Type")
	w.Header().Set("Access-Control-Allow-Headers", "Content-Type, Content-Encoding")
	w.WriteHeader(http.StatusNoContent)
}

// invalidPath is step 2.
func (s *Server) invalidPath(w http.ResponseWriter, r *http.Request) {
	in := s.begin(r)
	defer s.finish(in)
	_, _ = in.transport(r) // for the request log
	in.respond(w, in.behavior.badRequest(errPath))
}
