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
)

// Server is a redis-server of a test's own. It keeps nothing on disk and ends with the test.
type Server struct {
	// Address is the host:port that it listens on, also after Revive.
	Address string

	t         testing.TB
	arguments []string
	process   *exec.Cmd
}

// Start runs redis-server on a free loopback port, with further command-line arguments.
func Start(t testing.TB, arguments ...string) *Server {
	t.Helper()
	address, err := loopback.FreeAddress()
	require.NoError(t, err)
	s := &Server{t: t, Address: address, arguments: arguments}
	t.Cleanup(s.Kill)
	s.Revive()
	return s
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
	binary, err := exec.LookPath("redis-server")
	require.NoError(s.t, err, "this test needs redis-server: apt-get install -y redis-server")
	arguments := append([]string{}, s.arguments...)
	arguments = append(arguments, "--port", s.Port(), "--bind", "127.0.0.1", "--dir", s.t.TempDir(), "--save", "", "--appendonly", "no")
	s.process = exec.CommandContext(context.Background(), binary, arguments...) //nolint:gosec // the server under test
	s.process.Env = cleanenv.Environ()
	require.NoError(s.t, s.process.Start())
	require.Eventually(s.t, s.answers, startTimeout, pollInterval, "redis-server does not answer")
}

// answers tells whether the server answers a PING, be it with an error.
func (s *Server) answers() bool {
	conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(context.Background(), "tcp", s.Address)
	if err != nil {
		return false
	}
	defer func() { _ = conn.Close() }() // nothing is kept
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

// Kill ends the server at once.
func (s *Server) Kill() {
	if s.process == nil {
		return
	}
	_ = s.process.Process.Kill()
	_ = s.process.Wait() // reports the kill
	s.process = nil
}
