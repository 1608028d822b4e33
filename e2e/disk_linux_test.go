// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// setDisk bounds the size of each file that the process may write, like a full disk; "unlimited" removes the limit.
func setDisk(t *testing.T, pid int, bytes string) {
	t.Helper()
	out, err := exec.Command("prlimit", "--pid", strconv.Itoa(pid), "--fsize="+bytes+":unlimited").CombinedOutput()
	require.NoError(t, err, "%s", out)
}

// TestFullDiskMakesSendersWait: files cannot grow while events arrive during an outage.
func TestFullDiskMakesSendersWait(t *testing.T) {
	l := startLimited(t)
	require.True(t, l.try(t, exposures(0, 10)))
	l.storedOnce(t, 10)
	l.far.SandboxPost(t, "/_sandbox/faults", map[string]any{"times": -1, "action": "status", "code": 503})

	setDisk(t, l.PID(), "65536")
	sent := 10
	for l.try(t, exposures(sent, 100)) {
		sent += 100
		require.Less(t, sent, 10_000, "the disk is full at some point")
	}
	refused := sent
	assert.Positive(t, l.Metric(t, "otelcol_exporter_enqueue_failed_log_records"), "the refusal is counted")
	assert.NotContains(t, l.Logs(), "panic:")

	setDisk(t, l.PID(), "unlimited")
	l.far.SandboxDelete(t, "/_sandbox/faults")
	require.Eventually(t, func() bool { return l.try(t, exposures(refused, 100)) }, patience, 50*time.Millisecond)
	l.storedOnce(t, refused+100)

	// After a restart, nothing arrives twice.
	l.restart(t)
	require.True(t, l.try(t, exposures(refused+100, 1)))
	l.storedOnce(t, refused+101)
}

// TestFullDiskOfTheDeadLetter: if the dead letter file cannot grow, its events wait.
func TestFullDiskOfTheDeadLetter(t *testing.T) {
	l := startLimited(t)
	require.True(t, l.try(t, exposures(0, 5)))
	l.storedOnce(t, 5)
	path := filepath.Join(l.dir, "dead", "letters.jsonl")
	logs := exposures(5, 2)
	logs.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().At(0).Attributes().PutStr("device_id", "silenced-device")
	l.far.SandboxPost(t, "/_sandbox/silence", map[string]any{"devices": []string{"silenced-device"}})
	// No file may grow beyond four megabytes, and this one has them.
	require.NoError(t, os.WriteFile(path, []byte(strings.Repeat(strings.Repeat(" ", 1023)+"\n", 4096)), 0o600))
	setDisk(t, l.PID(), "4194304")
	require.True(t, l.try(t, logs))
	l.storedOnce(t, 6)
	require.Eventually(t, func() bool { return strings.Contains(l.Logs(), "dead letter file") }, patience, 20*time.Millisecond, "the log says so")
	assert.Zero(t, l.Metric(t, "otelcol_exporter_amplitude_events", `outcome="dead_lettered"`))

	setDisk(t, l.PID(), "unlimited")
	require.Eventually(t, func() bool {
		return l.Metric(t, "otelcol_exporter_amplitude_events", `outcome="dead_lettered"`) == 1
	}, patience, 20*time.Millisecond)
	letters, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.Equal(t, 1, strings.Count(string(letters), "silenced-device")-strings.Count(string(letters), "user-000005 silenced-device"))
	info, err := os.Stat(path)
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o600), info.Mode().Perm())
}
