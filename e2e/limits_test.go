// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/otelcol-amplitude/otelcol-amplitude/e2e/harness"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/cleanenv"
)

// patience bounds waits; the machine may be slow.
const patience = 60 * time.Second

// limited is a sending Collector with low limits, and its far side.
type limited struct {
	*harness.Collector
	far *harness.Collector
	dir string
	env []string
}

func startLimited(t *testing.T, env ...string) *limited {
	t.Helper()
	l := &limited{far: harness.Start(t, "testdata/sandbox.yaml", harness.Options{}), dir: t.TempDir()}
	l.env = append([]string{"E2E_ENDPOINT=http://" + l.far.Sandbox + "/2/httpapi"}, env...)
	l.Collector = harness.Start(t, "testdata/limits.yaml", harness.Options{Dir: l.dir, Env: l.env})
	return l
}

// restart restarts the Collector with its files and additional variables.
func (l *limited) restart(t *testing.T, env ...string) {
	t.Helper()
	l.Stop(t)
	l.Collector = harness.Start(t, "testdata/limits.yaml", harness.Options{Addresses: l.Addresses, Dir: l.dir, Env: append(l.env, env...)})
}

// try sends logs once and reports whether they were acknowledged; a refusal must be temporary.
func (l *limited) try(t *testing.T, logs plog.Logs) bool {
	t.Helper()
	body, err := (&plog.ProtoMarshaler{}).MarshalLogs(logs)
	require.NoError(t, err)
	status, err := l.PostLogs("application/x-protobuf", "", body)
	if status/100 == 2 {
		return true
	}
	require.Equal(t, http.StatusServiceUnavailable, status, "a refusal asks the sender to retry: %v", err)
	return false
}

// storedOnce waits until the far side has n events, each of a different user.
func (l *limited) storedOnce(t *testing.T, n int) {
	t.Helper()
	users := map[string]bool{}
	events := l.far.WaitForEvents(t, n)
	for _, event := range events {
		users[event.Text("user_id")] = true
	}
	assert.Len(t, events, n)
	assert.Len(t, users, n)
}

// TestMemoryLimiterMakesSendersWait starts with no memory to spare, and then with enough.
func TestMemoryLimiterMakesSendersWait(t *testing.T) {
	l := startLimited(t, "E2E_LIMIT_MIB=1")
	require.Eventually(t, func() bool { return !l.try(t, exposures(0, 10)) }, patience, 50*time.Millisecond, "the limiter looks at the memory now and then")
	before := len(l.far.Events(t))
	require.False(t, l.try(t, exposures(10, 10)))
	l.restart(t, "E2E_LIMIT_MIB=512")
	// What was refused does not count as sent.
	require.True(t, l.try(t, exposures(0, 20)))
	l.storedOnce(t, 20)
	assert.LessOrEqual(t, before, 10)
}

// TestFullQueueMakesSendersWait fills the queue during an outage.
func TestFullQueueMakesSendersWait(t *testing.T) {
	l := startLimited(t, "E2E_QUEUE=100")
	l.far.SandboxPost(t, "/_sandbox/faults", map[string]any{"times": -1, "action": "status", "code": 503})
	sent := 0
	for l.try(t, exposures(sent, 20)) {
		sent += 20
		require.LessOrEqual(t, sent, 100)
	}
	assert.Equal(t, 100, sent)
	assert.Positive(t, l.Metric(t, "otelcol_exporter_enqueue_failed_log_records"), "the refusal is counted")
	l.far.SandboxPost(t, "/_sandbox/reset", nil)
	require.Eventually(t, func() bool { return l.try(t, exposures(sent, 20)) }, patience, 20*time.Millisecond)
	l.storedOnce(t, sent+20)
}

// TestStorageThatCannotBeOpened is reported at startup rather than later.
func TestStorageThatCannotBeOpened(t *testing.T) {
	noise := func(file string) func(t *testing.T, dir string) {
		return func(t *testing.T, dir string) {
			require.NoError(t, os.Mkdir(filepath.Join(dir, "storage"), 0o700))
			require.NoError(t, os.WriteFile(filepath.Join(dir, "storage", file), []byte(strings.Repeat("no database", 10_000)), 0o600))
		}
	}
	spoiled := map[string]func(t *testing.T, dir string){
		"a file in the place of the directory": func(t *testing.T, dir string) {
			require.NoError(t, os.WriteFile(filepath.Join(dir, "storage"), nil, 0o600))
		},
	}
	files := []string{"exporter_amplitude__logs", "exporter_amplitude__slow_lane", "exporter_amplitude__dead_letters", "processor_amplitude_experiment__dedup"}
	for _, file := range files {
		spoiled[file] = noise(file)
	}
	for name, spoil := range spoiled {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			spoil(t, dir)
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			cmd := exec.CommandContext(ctx, harness.Binary(t, "otelcol-amplitude"), "--config", "testdata/limits.yaml")
			cmd.Env = cleanenv.Environ(append(harness.NewAddresses(t).Environ(dir), "E2E_ENDPOINT=http://127.0.0.1:1/2/httpapi")...)
			out, err := cmd.CombinedOutput()
			require.Error(t, err)
			require.NoError(t, ctx.Err(), "it ends by itself\n%s", out)
			assert.Contains(t, string(out), "file_storage")
			assert.NotContains(t, string(out), "panic:")
			if slices.Contains(files, name) {
				assert.Contains(t, string(out), "file "+name+" in its directory")
			}
		})
	}
}
