// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package chaos

import (
	"io"
	"net"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// link is a wire between a Collector and its far side, which can be cut.
type link struct {
	address, target string

	mu       sync.Mutex
	listener net.Listener
	open     map[net.Conn]struct{}
}

func newLink(t *testing.T, target string) *link {
	t.Helper()
	l := &link{address: "127.0.0.1:0", target: target, open: map[net.Conn]struct{}{}}
	l.repair(t)
	t.Cleanup(l.cut)
	return l
}

// repair lets connections through again.
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
			l.open[near], l.open[far] = struct{}{}, struct{}{}
		}
		l.mu.Unlock()
		if !alive {
			_, _ = near.Close(), far.Close()
			return
		}
		go l.pass(near, far)
		go l.pass(far, near)
	}
}

func (l *link) pass(from, to net.Conn) {
	_, _ = io.Copy(to, from)
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range []net.Conn{from, to} {
		_ = c.Close()
		delete(l.open, c)
	}
}
