// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package chaos

import (
	"net"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// redisServer is a Redis that keeps nothing on disk: when it is killed, all it knew is gone.
type redisServer struct {
	address string
	cmd     *exec.Cmd
}

func startRedis(t *testing.T) *redisServer {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	r := &redisServer{address: listener.Addr().String()}
	require.NoError(t, listener.Close())
	r.start(t)
	t.Cleanup(r.kill)
	return r
}

func (r *redisServer) start(t *testing.T) {
	t.Helper()
	path, err := exec.LookPath("redis-server")
	require.NoError(t, err, "install redis-server: apt-get install redis-server")
	host, port, err := net.SplitHostPort(r.address)
	require.NoError(t, err)
	r.cmd = exec.Command(path, "--bind", host, "--port", port, "--save", "", "--appendonly", "no", "--dir", t.TempDir())
	require.NoError(t, r.cmd.Start())
	require.Eventually(t, func() bool {
		c, err := net.Dial("tcp", r.address)
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	}, 10*time.Second, 10*time.Millisecond, "redis-server listens")
}

func (r *redisServer) kill() {
	_ = r.cmd.Process.Kill()
	_ = r.cmd.Wait()
}

func (r *redisServer) freeze() { _ = r.cmd.Process.Signal(syscall.SIGSTOP) }
func (r *redisServer) thaw()   { _ = r.cmd.Process.Signal(syscall.SIGCONT) }
