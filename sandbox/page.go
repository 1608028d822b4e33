// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package sandbox // import "github.com/otelcol-amplitude/otelcol-amplitude/sandbox"

import (
	"embed"
	"io/fs"
	"net/http"
)

//go:embed page
var pageFiles embed.FS

// pageFS holds the page's files without their directory.
var pageFS = func() fs.FS {
	sub, err := fs.Sub(pageFiles, "page")
	if err != nil {
		panic(err) // the directory is embedded above
	}
	return sub
}()

func pageRoutes() routes {
	return routes{
		"GET /{$}":                     getPage,
		"GET /_sandbox/page/{file...}": getPageFile,
		"GET /_sandbox/openapi.json":   getOpenAPI,
	}
}

// getPage answers with the page itself.
func getPage(w http.ResponseWriter, r *http.Request) {
	pageHeaders(w.Header())
	http.ServeFileFS(w, r, pageFS, "index.html")
}

// getPageFile answers with a file of the page.
func getPageFile(w http.ResponseWriter, r *http.Request) {
	pageHeaders(w.Header())
	name := r.PathValue("file")
	if info, err := fs.Stat(pageFS, name); err != nil || info.IsDir() {
		noSuchPath(w, r)
		return
	}
	http.ServeFileFS(w, r, pageFS, name)
}

//go:embed openapi.json
var openAPI []byte

func getOpenAPI(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(openAPI)
}

// pageHeaders isolate the page: no foreign or inline scripts and styles, no framing, no sniffing.
func pageHeaders(h http.Header) {
	h.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "+
		"base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", "no-cache")
}
