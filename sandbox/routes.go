// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package sandbox // import "github.com/otelcol-amplitude/otelcol-amplitude/sandbox"

import (
	"maps"
	"net/http"
)

// controlPrefix starts every path that does not exist at Amplitude.
const controlPrefix = "/_sandbox"

// routes are handlers by "METHOD /path".
type routes map[string]http.HandlerFunc

// merged returns the routes of all parts.
func merged(parts ...routes) routes {
	all := routes{}
	for _, part := range parts {
		maps.Copy(all, part)
	}
	return all
}

// newHandler returns the handler for all paths. Unknown ones get Amplitude's answer.
func newHandler(g *gate, control routes, up *uploads) http.Handler {
	mux := http.NewServeMux()
	for pattern, handler := range control {
		mux.Handle(pattern, g.guard(handler))
	}
	mux.Handle(controlPrefix+"/", g.guard(http.HandlerFunc(noSuchPath)))
	mux.HandleFunc("/", g.fromHere(up.ServeHTTP))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		timely(w, r)
		mux.ServeHTTP(w, r)
	})
}
