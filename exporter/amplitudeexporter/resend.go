// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudeexporter // import "github.com/otelcol-amplitude/otelcol-amplitude/exporter/amplitudeexporter"

import (
	"net"
	"net/http"
	"net/http/httptrace"
	"sync"
)

// do sends a request with this body. If a kept connection breaks before the first byte of the answer, it was most
// likely closed while idle, and the request is immediately sent again over another one. That is safe: an event that
// arrives twice counts once, by its insert_id. Each time removes a connection from the kept ones, so it ends with a new
// one.
func (c *client) do(request *http.Request, p *payload) (*http.Response, error) {
	var before net.Conn
	for again := c.kept; ; again-- {
		t := &trip{}
		request.Body = p.reader()
		res, err := c.http.Do(request.WithContext(httptrace.WithClientTrace(request.Context(), t.trace())))
		if err == nil || again == 0 || isTimeout(err) || request.Context().Err() != nil {
			return res, err
		}
		broken := t.brokenIdle()
		if broken == nil || broken == before {
			return res, err // in HTTP/2, it may be only a stream that was reset
		}
		before = broken
	}
}

// trip is what is known about the connection of a request.
type trip struct {
	mu               sync.Mutex
	conn             net.Conn
	reused, answered bool
}

func (t *trip) trace() *httptrace.ClientTrace {
	return &httptrace.ClientTrace{
		// The transport resends some requests itself: the last connection counts.
		GotConn: func(info httptrace.GotConnInfo) {
			t.mu.Lock()
			defer t.mu.Unlock()
			t.conn, t.reused = info.Conn, info.Reused
		},
		GotFirstResponseByte: func() {
			t.mu.Lock()
			defer t.mu.Unlock()
			t.answered = true
		},
	}
}

// brokenIdle returns the kept connection on which the request got no byte of an answer, or nil.
func (t *trip) brokenIdle() net.Conn {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.reused || t.answered {
		return nil
	}
	return t.conn
}
