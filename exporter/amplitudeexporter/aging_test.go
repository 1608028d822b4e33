// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudeexporter

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestConnectionsAreRenewed once they are older than max_connection_age, including those in use at that moment.
func TestConnectionsAreRenewed(t *testing.T) {
	server := newScript(t)
	opened := &server.opened
	release, entered := make(chan struct{}), make(chan struct{}, 10)
	var hold atomic.Bool
	handler := server.Config.Handler
	server.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		if hold.Load() {
			entered <- struct{}{}
			<-release
		}
		handler.ServeHTTP(w, q)
	})
	const kept = 3
	r := newRig(t, map[string]any{"endpoint": server.url(), "max_connection_age": "1m", "concurrency": kept - 1}, nil)
	send := func() { require.NoError(t, r.ConsumeLogs(t.Context(), numbered(1))) }
	send()
	send()
	assert.Equal(t, int32(1), opened.Load(), "kept")
	r.clock.Advance(time.Minute)
	for range kept + 3 {
		send()
	}
	assert.Equal(t, int32(1+kept), opened.Load(), "the old one is closed, and a new one kept after a while")

	// One request is in flight when the age is reached, and another one starts.
	hold.Store(true)
	var both sync.WaitGroup
	both.Go(send)
	<-entered
	r.clock.Advance(time.Minute)
	both.Go(send)
	<-entered
	hold.Store(false)
	close(release)
	both.Wait()
	before := opened.Load()
	for range kept + 3 {
		send()
	}
	assert.Greater(t, opened.Load(), before, "neither is used forever")
	before = opened.Load()
	send()
	assert.Equal(t, before, opened.Load(), "kept again")
}

// serve starts a server for a protocol and returns the settings for reaching it.
func (s *script) serve(protocol string, handler http.HandlerFunc) map[string]any {
	s.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		assert.Equal(s.t, protocol, q.Proto)
		handler(w, q)
	}))
	s.Config.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
		return context.WithValue(ctx, connectionOf{}, c)
	}
	s.t.Cleanup(func() { s.Close() })
	if protocol == "HTTP/1.1" {
		s.Start()
		return map[string]any{"endpoint": s.url()}
	}
	s.EnableHTTP2 = true
	s.StartTLS()
	return map[string]any{"endpoint": s.url(), "tls": map[string]any{"insecure_skip_verify": true}}
}

type connectionOf struct{}

// breakConnection resets the connection of a request.
func breakConnection(t testing.TB, q *http.Request) {
	c := q.Context().Value(connectionOf{}).(net.Conn)
	if over, ok := c.(*tls.Conn); ok {
		c = over.NetConn()
	}
	if err := c.(*net.TCPConn).SetLinger(0); err != nil {
		t.Error(err)
	}
	_ = c.Close()
}

// TestClosedConnectionDoesNotCountAsAttempt: a load balancer closes an idle connection just as the next request starts,
// before or while its body is written.
func TestClosedConnectionDoesNotCountAsAttempt(t *testing.T) {
	for _, protocol := range []string{"HTTP/1.1", "HTTP/2.0"} {
		for _, events := range []int{2, 1900} {
			t.Run(fmt.Sprint(protocol, " ", events), func(t *testing.T) {
				server := &script{t: t}
				var cut atomic.Int32
				var served sync.Map
				r := newRig(t, server.serve(protocol, func(w http.ResponseWriter, q *http.Request) {
					if _, again := served.LoadOrStore(q.RemoteAddr, true); again {
						cut.Add(1)
						breakConnection(t, q)
						return
					}
					assert.Empty(t, q.Header.Values("Idempotency-Key"))
					server.ServeHTTP(w, q)
				}), nil)
				for range 5 {
					require.NoError(t, r.ConsumeLogs(t.Context(), numbered(events)))
				}
				assert.Equal(t, int32(4), cut.Load())
				assert.Equal(t, map[string]int{"delivered": 5 * events}, r.counts("events", "outcome"))
			})
		}
	}
}

// TestFailingServerIsNotRetriedImmediately: only a reused connection may have been closed while it was idle.
func TestFailingServerIsNotRetriedImmediately(t *testing.T) {
	for _, protocol := range []string{"HTTP/1.1", "HTTP/2.0"} {
		t.Run(protocol, func(t *testing.T) {
			server := &script{t: t, answers: []scriptedAnswer{{Status: 200}, {Reset: true, Times: -1}}}
			r := newRig(t, server.serve(protocol, server.ServeHTTP), nil)
			require.NoError(t, r.ConsumeLogs(t.Context(), numbered(1)))
			for range 3 {
				before := len(server.received())
				require.Error(t, r.ConsumeLogs(t.Context(), numbered(1)))
				assert.LessOrEqual(t, len(server.received())-before, 2)
			}
		})
	}
}

// TestRequestsShrinkWhenLargeOnesFail without an answer, as on a path that only carries small ones.
func TestRequestsShrinkWhenLargeOnesFail(t *testing.T) {
	const carried = 100_000
	server := newScript(t)
	handler := server.Config.Handler
	server.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		if q.ContentLength > carried {
			panic(http.ErrAbortHandler)
		}
		handler.ServeHTTP(w, q)
	})
	r := newRig(t, map[string]any{
		"endpoint":         server.url(),
		"sending_queue":    map[string]any{"enabled": true, "batch": map[string]any{"flush_timeout": "1ms"}},
		"retry_on_failure": map[string]any{"enabled": true, "initial_interval": "1ms", "max_interval": "1ms"},
	}, nil)
	require.NoError(t, r.ConsumeLogs(t.Context(), numbered(2500)))
	require.Eventually(t, func() bool { return r.counts("events", "outcome")["delivered"] == 2500 }, patience, poll)
}
