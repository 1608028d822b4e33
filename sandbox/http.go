// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package sandbox // import "github.com/otelcol-amplitude/otelcol-amplitude/sandbox"

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
)

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

// number parses a query parameter, or returns standard if it is absent.
func number(r *http.Request, name string, standard uint64) (uint64, error) {
	text := r.URL.Query().Get(name)
	if text == "" {
		return standard, nil
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return 0, errQuery(name + " must be an integer (got " + strconv.Quote(text) + ")")
	}
	return n, nil
}

// errQuery is an invalid query.
type errQuery string

func (e errQuery) Error() string { return string(e) }

// raw is unmodified JSON text.
func raw(text string) json.RawMessage { return json.RawMessage(text) }

// controlBody bounds the body of a request to the control API.
const controlBody = 1 << 20

// readJSON reads a body into v; unknown members are refused, because they are probably misspelled.
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
	writeError(w, http.StatusBadRequest, "invalid body: "+err.Error())
	return false
}

// strict decodes JSON text and refuses unknown members.
func strict(text []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	return d.Decode(into)
}
