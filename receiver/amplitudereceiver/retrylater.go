// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudereceiver // import "github.com/otelcol-amplitude/otelcol-amplitude/receiver/amplitudereceiver"

import (
	"errors"
	"net/http"
)

var errMiddleware = errors.New("a middleware in front of this receiver refuses requests, as the memory limiter does when memory is low")

// retryLater replaces a middleware's 429 by 503. To Amplitude's clients, a 429 concerns the users that it lists: without a
// list, they use up all their retries immediately and then drop the events.
func (h *handler) retryLater(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(&retryLaterWriter{ResponseWriter: w, instead: func() {
			h.refusedByNext(w, r, endpointOf(r), 0, errMiddleware)
		}}, r)
	})
}

// retryLaterWriter writes another answer instead of a 429.
type retryLaterWriter struct {
	http.ResponseWriter
	instead func()
	// answered: the other answer was written, and further writes are dropped.
	answered bool
}

func (w *retryLaterWriter) WriteHeader(status int) {
	if status != http.StatusTooManyRequests {
		w.ResponseWriter.WriteHeader(status)
		return
	}
	w.answered = true
	w.instead()
}

func (w *retryLaterWriter) Write(body []byte) (int, error) {
	if w.answered {
		return len(body), nil
	}
	return w.ResponseWriter.Write(body)
}

// Unwrap is for [http.ResponseController].
func (w *retryLaterWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
