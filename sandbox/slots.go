// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package sandbox // import "github.com/otelcol-amplitude/otelcol-amplitude/sandbox"

import (
	"context"
	"io"
	"net/http"
	"time"
)

const (
	// largeBody is the size from which a body waits for one of a few slots, and largeBodies is the number of these
	// slots: decoded, a body takes many times its size.
	largeBody   = 1 << 20
	largeBodies = 2
	// watchers is how many streams and waits may be open.
	watchers = 100
	// bodyTimeout is how long a body may take to arrive.
	bodyTimeout = time.Minute
)

// slots is a counting semaphore.
type slots chan struct{}

// take waits for a slot; false if ctx ends first.
func (s slots) take(ctx context.Context) bool {
	select {
	case s <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

// tryTake takes a slot if one is free.
func (s slots) tryTake() bool {
	select {
	case s <- struct{}{}:
		return true
	default:
		return false
	}
}

func (s slots) free() { <-s }

// watched bounds how many streams and waits are open.
func (s *store) watched(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if !s.watching.tryTake() {
			writeError(w, http.StatusServiceUnavailable, "too many streams and waits are open: close some of them")
			return
		}
		defer s.watching.free()
		next(w, r)
	}
}

// timely bounds the time that a body takes to arrive.
func timely(w http.ResponseWriter, r *http.Request) {
	control := http.NewResponseController(w)
	if r.Body == nil || r.Body == http.NoBody || control.SetReadDeadline(time.Now().Add(bodyTimeout)) != nil {
		return
	}
	r.Body = &timelyBody{r.Body, control}
}

// timelyBody removes the deadline once the body has arrived, because it would end the request.
type timelyBody struct {
	io.ReadCloser
	control *http.ResponseController
}

func (b *timelyBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil {
		_ = b.control.SetReadDeadline(time.Time{})
	}
	return n, err
}
