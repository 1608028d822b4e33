// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

// Package sandbox is a local Amplitude: the HTTP V2, batch, identify and group identify APIs with the answers of
// the real service, a page that shows what arrived, and an API that tests read.
//
// In a Go test:
//
//	amplitude := sandbox.New(t)
//	sendTo(amplitude.URL() + "/2/httpapi")
//
// What it does not know of the real service is a switch in Behavior.
package sandbox // import "github.com/otelcol-amplitude/otelcol-amplitude/sandbox"

import (
	"context"
	"net"
	"time"
)

// TB is the subset of testing.TB that New needs.
type TB interface {
	Helper()
	Cleanup(func())
	Fatalf(format string, args ...any)
}

// Option changes the sandbox that New starts.
type Option func(*options)

type options struct {
	config Config
	now    func() time.Time
}

// WithConfig changes the configuration, starting from DefaultConfig.
func WithConfig(change func(*Config)) Option {
	return func(o *options) { change(&o.config) }
}

// WithBehavior changes the behavior, starting from DefaultBehavior.
func WithBehavior(change func(*Behavior)) Option {
	return func(o *options) { change(&o.config.Behavior) }
}

// WithClock sets the clock that every window uses.
func WithClock(now func() time.Time) Option {
	return func(o *options) { o.now = now }
}

// stopTimeout is how long a test waits for requests in progress when it ends.
const stopTimeout = 5 * time.Second

// New starts a sandbox on a free port of the loopback interface, and stops it when the test ends. Its only API key is
// "sandbox".
func New(t TB, opts ...Option) *Server {
	t.Helper()
	o := options{config: DefaultConfig(), now: time.Now}
	for _, opt := range opts {
		opt(&o)
	}
	s, err := NewServer(o.config)
	if err != nil {
		t.Fatalf("sandbox: %v", err)
		return nil
	}
	s.store.clock.base = o.now
	s.store.stats.since = o.now()
	listener, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("sandbox: %v", err)
		return nil
	}
	if err := s.Serve(listener); err != nil {
		t.Fatalf("sandbox: %v", err)
		return nil
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
		defer cancel()
		_ = s.Shutdown(ctx)
	})
	return s
}

// URL returns the address of the sandbox, such as http://127.0.0.1:43210; empty before Serve.
func (s *Server) URL() string {
	if s.address == nil {
		return ""
	}
	return "http://" + s.address.String()
}
