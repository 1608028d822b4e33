// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudeexporter

import (
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// connections counts the connections that a server gets.
func connections(server *script) *atomic.Int32 {
	var n atomic.Int32
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			n.Add(1)
		}
	}
	return &n
}

// TestConnectionsAreRenewed once they are older than max_connection_age, also those that are in use at that moment.
func TestConnectionsAreRenewed(t *testing.T) {
	server := newScript(t)
	opened := connections(server)
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

	// One request is in flight when the age is over, and another one comes.
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
	assert.Greater(t, opened.Load(), before, "neither is used for ever")
	before = opened.Load()
	send()
	assert.Equal(t, before, opened.Load(), "kept again")
}

// TestClosedConnectionCostsNoTry: a balancer closes a kept connection as the next request comes.
func TestClosedConnectionCostsNoTry(t *testing.T) {
	server := newScript(t)
	var cut atomic.Int32
	served := map[string]bool{}
	var mu sync.Mutex
	handler := server.Config.Handler
	server.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		mu.Lock()
		again := served[q.RemoteAddr]
		served[q.RemoteAddr] = true
		mu.Unlock()
		if again {
			cut.Add(1)
			panic(http.ErrAbortHandler)
		}
		assert.Empty(t, q.Header.Values("Idempotency-Key"))
		handler.ServeHTTP(w, q)
	})
	r := newRig(t, map[string]any{"endpoint": server.url()}, nil)
	for range 5 {
		require.NoError(t, r.ConsumeLogs(t.Context(), numbered(2)))
	}
	assert.Equal(t, int32(4), cut.Load())
	assert.Equal(t, map[string]int{"delivered": 10}, r.counts("events", "outcome"))
}

// TestRequestsShrinkOnAWayThatCarriesOnlySmallOnes, without an answer that says so.
func TestRequestsShrinkOnAWayThatCarriesOnlySmallOnes(t *testing.T) {
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
