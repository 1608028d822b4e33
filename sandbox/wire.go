// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package sandbox // import "github.com/otelcol-amplitude/otelcol-amplitude/sandbox"

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"sync/atomic"
)

// wire is the connection of a request, for the faults that break it below HTTP. It is nil if another server runs the
// handler; its methods then do what HTTP allows.
type wire struct {
	net.Conn           // what HTTP reads and writes: TLS, if there is any
	under    *muteable // the TCP connection
}

// muteable is a connection that can be muted: what is written to it from then on is dropped.
type muteable struct {
	net.Conn
	mute atomic.Bool
}

func (c *muteable) Write(p []byte) (int, error) {
	if c.mute.Load() {
		return len(p), nil
	}
	return c.Conn.Write(p)
}

// muteableListener accepts connections that can be muted.
type muteableListener struct{ net.Listener }

func (l muteableListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &muteable{Conn: c}, nil
}

type wireKey struct{}

// withWire stores the connection in the context of its requests.
func withWire(ctx context.Context, c net.Conn) context.Context {
	under := c
	if secure, ok := c.(*tls.Conn); ok {
		under = secure.NetConn()
	}
	if m, ok := under.(*muteable); ok {
		return context.WithValue(ctx, wireKey{}, &wire{Conn: c, under: m})
	}
	return ctx
}

// withoutWire is for a request without its own connection.
func withoutWire(ctx context.Context) context.Context {
	return context.WithValue(ctx, wireKey{}, (*wire)(nil))
}

func wireOf(r *http.Request) *wire {
	w, _ := r.Context().Value(wireKey{}).(*wire)
	return w
}

// silence makes the server send nothing more, whatever the client sends.
func (c *wire) silence() {
	if c != nil {
		c.under.mute.Store(true)
	}
}

// close ends the connection without an answer.
func (c *wire) close(w http.ResponseWriter) {
	if c != nil {
		_ = c.under.Close()
		return
	}
	c.reset(w)
}

// reset closes the connection so that the client sees a reset, after sending what was already written.
func (c *wire) reset(w http.ResponseWriter) {
	connection, _, err := http.NewResponseController(w).Hijack()
	switch {
	case c != nil:
		if err != nil { // HTTP/2
			_ = http.NewResponseController(w).Flush()
		}
		if tcp, ok := c.under.Conn.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0)
		}
		_ = c.under.Close()
	case err == nil:
		_ = connection.Close()
	}
}

// goAwayFrame tells an HTTP/2 client that the connection ends and that none of its streams was processed.
var goAwayFrame = []byte{
	0, 0, 8, 7, 0, 0, 0, 0, 0, // 8 bytes, type GOAWAY, no flags, stream 0
	0, 0, 0, 0, // last stream processed: none
	0, 0, 0, 0, // NO_ERROR
}

// goAway ends the connection without an answer.
func (c *wire) goAway(w http.ResponseWriter, r *http.Request) {
	if r.ProtoMajor > 1 && c != nil {
		_, _ = c.Write(goAwayFrame)
		_ = c.Close()
		return
	}
	if connection, _, err := http.NewResponseController(w).Hijack(); err == nil {
		_ = connection.Close() // TLS, if present, closes before TCP
	}
}
