// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package harness // import "github.com/otelcol-amplitude/otelcol-amplitude/e2e/harness"

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/cleanenv"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/loopback"
)

const (
	startTimeout = 2 * time.Minute
	stopTimeout  = time.Minute
	pollInterval = 20 * time.Millisecond
)

// Root returns the root directory of the repository.
func Root() string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Join(filepath.Dir(file), "..", "..")
}

// Binary returns the path of a program that `make` has built in bin/, and fails the test if it does not exist.
func Binary(t testing.TB, name string) string {
	t.Helper()
	path := filepath.Join(Root(), "bin", name)
	_, err := os.Stat(path) //nolint:gosec // whoever runs the tests names the program
	require.NoError(t, err, "run `make build bin/%s` first", name)
	return path
}

// Addresses are the free loopback addresses of one Collector, each as host:port.
type Addresses struct {
	OTLPHTTP, OTLPGRPC, Sandbox, Health, Metrics string
}

// NewAddresses returns addresses on which nothing listens.
func NewAddresses(t testing.TB) Addresses {
	t.Helper()
	free := func() string {
		address, err := loopback.FreeAddress()
		require.NoError(t, err)
		return address
	}
	return Addresses{free(), free(), free(), free(), free()}
}

// Environ returns the variables by which a configuration finds the addresses.
func (a Addresses) Environ(dir string) []string {
	_, metricsPort, _ := net.SplitHostPort(a.Metrics)
	return []string{
		"E2E_OTLP_HTTP=" + a.OTLPHTTP,
		"E2E_OTLP_GRPC=" + a.OTLPGRPC,
		"E2E_SANDBOX=" + a.Sandbox,
		"E2E_HEALTH=" + a.Health,
		"E2E_METRICS=" + a.Metrics,
		"E2E_METRICS_PORT=" + metricsPort,
		"E2E_DIR=" + dir,
	}
}

// Isolated returns a command with its own network ports if the system allows it, so that the usual ports are free.
// Otherwise, it uses the machine's.
func Isolated(name string, arguments ...string) *exec.Cmd {
	const up = "ip link set lo up"
	if exec.Command("unshare", "-rn", "sh", "-c", up).Run() != nil {
		return exec.Command(name, arguments...) //nolint:gosec // the test names it
	}
	return exec.Command("unshare", append([]string{"-rn", "sh", "-c", up + ` && exec "$0" "$@"`, name}, arguments...)...) //nolint:gosec // as above
}

// Collector is a running Collector process.
type Collector struct {
	Addresses
	cmd  *exec.Cmd
	logs *buffer
	done chan error
}

// Options change how a Collector is started.
type Options struct {
	// Program is the name of the Collector in bin/; empty means otelcol-amplitude.
	Program string
	// Addresses to use; the zero value means new ones. A restarted Collector keeps its addresses.
	Addresses Addresses
	// Dir is E2E_DIR; empty means a new temporary directory.
	Dir string
	// Env holds more variables, each NAME=value.
	Env []string
	// More are configuration files that are merged over the first.
	More []string
	// DataLimit bounds the memory of the process in bytes (RLIMIT_DATA), as a container does; 0 is no limit.
	DataLimit int
	// Sets are changes to the configuration, each as "path::to::key: value".
	Sets []string
}

// Start runs the Collector with a configuration file and waits until its health_check reports that it is ready. It is
// killed when the test ends. E2E_COLLECTOR names another program in bin/, such as one with the race detector.
func Start(t testing.TB, config string, options Options) *Collector {
	t.Helper()
	if options.Addresses == (Addresses{}) {
		options.Addresses = NewAddresses(t)
	}
	if options.Dir == "" {
		options.Dir = t.TempDir()
	}
	arguments := []string{"--config", config}
	for _, more := range options.More {
		arguments = append(arguments, "--config", more)
	}
	for _, set := range options.Sets {
		arguments = append(arguments, "--config", "yaml:"+set)
	}
	program := Binary(t, cmp.Or(options.Program, os.Getenv("E2E_COLLECTOR"), "otelcol-amplitude"))
	if options.DataLimit > 0 {
		arguments = append([]string{"-c", fmt.Sprintf(`ulimit -d %d && exec "$0" "$@"`, options.DataLimit>>10), program}, arguments...)
		program = "sh"
	}
	c := &Collector{
		Addresses: options.Addresses,
		cmd:       exec.Command(program, arguments...), //nolint:gosec // the test names its own binary
		logs:      &buffer{},
		done:      make(chan error, 1),
	}
	c.cmd.Env = cleanenv.Environ(append(c.Environ(options.Dir), options.Env...)...)
	c.cmd.Stdout, c.cmd.Stderr = c.logs, c.logs
	require.NoError(t, c.cmd.Start())
	go func() { c.done <- c.cmd.Wait() }()
	t.Cleanup(func() {
		c.Kill()
		if strings.Contains(c.Logs(), "WARNING: DATA RACE") {
			t.Error("the race detector has found something in the Collector")
		}
		if t.Failed() {
			t.Logf("log of the Collector with %s:\n%s", config, c.Logs())
		}
	})
	deadline := time.Now().Add(startTimeout)
	for !c.healthy() {
		select {
		case err := <-c.done:
			c.done <- err
			require.FailNow(t, "the Collector ended before it was ready", "%v\n%s", err, c.Logs())
		case <-time.After(pollInterval):
		}
		require.False(t, time.Now().After(deadline), "the Collector was not ready after %s\n%s", startTimeout, c.Logs())
	}
	return c
}

func (c *Collector) healthy() bool {
	response, err := http.Get("http://" + c.Health)
	if err != nil {
		return false
	}
	defer func() { _ = response.Body.Close() }()
	return response.StatusCode == http.StatusOK
}

// Stop asks the Collector to exit, like a service manager, and waits for it.
func (c *Collector) Stop(t testing.TB) {
	t.Helper()
	require.NoError(t, c.cmd.Process.Signal(syscall.SIGTERM))
	require.NoError(t, c.Wait(t), "the Collector ended with an error\n%s", c.Logs())
}

// Wait waits until the process has ended, and returns its state.
func (c *Collector) Wait(t testing.TB) error {
	t.Helper()
	select {
	case err := <-c.done:
		c.done <- err
		return err
	case <-time.After(stopTimeout):
		require.FailNow(t, "the Collector did not end", "after %s\n%s", stopTimeout, c.Logs())
		return nil
	}
}

// Kill ends the process immediately, as a power cut would, and waits until it is gone.
func (c *Collector) Kill() {
	err := c.cmd.Process.Kill()
	if err == nil || errors.Is(err, os.ErrProcessDone) {
		c.done <- <-c.done
	}
}

// Logs returns what the process has written so far.
func (c *Collector) Logs() string { return c.logs.String() }

// PID returns the process id.
func (c *Collector) PID() int { return c.cmd.Process.Pid }

// buffer is a bytes.Buffer that a process writes while a test reads.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}
