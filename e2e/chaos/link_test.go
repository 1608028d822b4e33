// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package chaos

import (
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// link is a wire between a Collector and its far side, which can be cut, silently go dead, or become slow.
type link struct {
	address, target string

	mu       sync.Mutex
	listener net.Listener
	// open are the connections; true means that nothing arrives from them anymore.
	open map[net.Conn]bool
	// uplink is how many bytes per second reach the far side; 0 means no limit.
	uplink int
}

func newLink(t *testing.T, target string) *link {
	t.Helper()
	l := &link{address: "127.0.0.1:0", target: target, open: map[net.Conn]bool{}}
	l.repair(t)
	t.Cleanup(l.cut)
	return l
}

// repair allows connections again.
func (l *link) repair(t *testing.T) {
	t.Helper()
	listener, err := net.Listen("tcp", l.address)
	require.NoError(t, err)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.listener, l.address = listener, listener.Addr().String()
	go l.serve(listener)
}

// cut ends all connections in the middle of whatever they carry, and refuses new ones.
func (l *link) cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.listener != nil {
		_ = l.listener.Close()
		l.listener = nil
	}
	for c := range l.open {
		_ = c.Close()
	}
}

func (l *link) serve(listener net.Listener) {
	for {
		near, err := listener.Accept()
		if err != nil {
			return
		}
		far, err := net.Dial("tcp", l.target)
		if err != nil {
			_ = near.Close()
			continue
		}
		l.mu.Lock()
		alive := l.listener == listener
		if alive {
			l.open[near], l.open[far] = false, false
		}
		l.mu.Unlock()
		if !alive {
			_, _ = near.Close(), far.Close()
			return
		}
		go l.pass(near, far, true)
		go l.pass(far, near, false)
	}
}

// swallow silently drops everything on the current connections. Later ones are not affected.
func (l *link) swallow() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for c := range l.open {
		l.open[c] = true
	}
}

// slow bounds what reaches the far side; 0 means no limit.
func (l *link) slow(bytesPerSecond int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.uplink = bytesPerSecond
}

// way is one direction of a connection.
type way struct {
	link *link
	to   net.Conn
	up   bool
}

// Write hands on what arrives, at the limited rate.
func (w way) Write(p []byte) (int, error) {
	const step = 1 << 10
	for written := 0; written < len(p); {
		w.link.mu.Lock()
		dead, rate := w.link.open[w.to], w.link.uplink
		w.link.mu.Unlock()
		next := p[written:]
		if w.up && rate > 0 && !dead {
			next = next[:min(step, len(next))]
			<-time.After(time.Duration(len(next)) * time.Second / time.Duration(rate))
		}
		if !dead {
			if _, err := w.to.Write(next); err != nil {
				return written, err
			}
		}
		written += len(next)
	}
	return len(p), nil
}

func (l *link) pass(from, to net.Conn, up bool) {
	_, _ = io.Copy(way{l, to, up}, from)
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range []net.Conn{from, to} {
		_ = c.Close()
		delete(l.open, c)
	}
}
