// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

// Package redistest runs real Redis servers for tests.
package redistest // import "github.com/otelcol-amplitude/otelcol-amplitude/internal/redistest"

import (
	"context"
	"net"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/cleanenv"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/loopback"
)

const (
	startTimeout = time.Minute
	pollInterval = 10 * time.Millisecond
	tries        = 5
)

// Server is a redis-server for one test. It stores nothing on disk and ends with the test.
type Server struct {
	// Address is the host:port that it listens on, even after Revive.
	Address string

	t         testing.TB
	arguments []string
	process   *exec.Cmd
	ended     chan struct{} // closed when the process has ended
}

// Start runs redis-server on a free loopback port, with further command-line arguments.
func Start(t testing.TB, arguments ...string) *Server {
	t.Helper()
	s := &Server{t: t, arguments: arguments}
	t.Cleanup(s.Kill)
	// A cluster node listens on a second port, 10,000 above, which may be in use. Then it exits, and another port may
	// work.
	for range tries {
		address, err := loopback.FreeAddress()
		require.NoError(t, err)
		s.Address = address
		if s.begin() {
			return s
		}
	}
	require.FailNow(t, "redis-server ends as soon as it is started", "with %q", arguments)
	return nil
}

// Port is the port of Address.
func (s *Server) Port() string {
	s.t.Helper()
	_, port, err := net.SplitHostPort(s.Address)
	require.NoError(s.t, err)
	return port
}

// Revive starts the server again, empty, after Kill.
func (s *Server) Revive() {
	s.t.Helper()
	require.True(s.t, s.begin(), "redis-server ended")
}

// begin starts the server and waits until it answers, or has ended.
func (s *Server) begin() (answers bool) {
	s.t.Helper()
	binary, err := exec.LookPath("redis-server")
	require.NoError(s.t, err, "this test needs redis-server: apt-get install -y redis-server")
	arguments := append([]string{}, s.arguments...)
	arguments = append(arguments, "--port", s.Port(), "--bind", "127.0.0.1", "--dir", s.t.TempDir(), "--save", "", "--appendonly", "no")
	s.process = exec.CommandContext(context.Background(), binary, arguments...) //nolint:gosec // the server under test
	s.process.Env = cleanenv.Environ()
	require.NoError(s.t, s.process.Start())
	s.ended = make(chan struct{})
	go func() {
		_ = s.process.Wait() // reports the kill
		close(s.ended)
	}()
	require.Eventually(s.t, func() bool {
		answers = s.answers()
		return answers || s.hasEnded()
	}, startTimeout, pollInterval, "redis-server does not answer")
	return answers
}

func (s *Server) hasEnded() bool {
	select {
	case <-s.ended:
		return true
	default:
		return false
	}
}

// answers reports whether the server answers a PING, even with an error.
func (s *Server) answers() bool {
	conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(context.Background(), "tcp", s.Address)
	if err != nil {
		return false
	}
	defer func() { _ = conn.Close() }() // nothing to save
	if conn.SetDeadline(time.Now().Add(time.Second)) != nil {
		return false
	}
	if _, err = conn.Write([]byte("PING\r\n")); err != nil {
		return false
	}
	n, _ := conn.Read(make([]byte, 1))
	return n == 1
}

// Signal sends the server a signal, such as the one that freezes it.
func (s *Server) Signal(signal os.Signal) {
	s.t.Helper()
	require.NoError(s.t, s.process.Process.Signal(signal))
}

// Kill ends the server immediately.
func (s *Server) Kill() {
	if s.process == nil {
		return
	}
	_ = s.process.Process.Kill()
	<-s.ended
	s.process = nil
}
