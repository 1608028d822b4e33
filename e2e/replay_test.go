// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/otelcol-amplitude/otelcol-amplitude/e2e/harness"
)

// TestWalkThroughDeadLetters does what docs/operations.md says: a wrong setting, dead letters, fix, restart, replay;
// then the file may be deleted.
func TestWalkThroughDeadLetters(t *testing.T) {
	l := startLimited(t, "E2E_MIN_ID_LENGTH=30")
	const n = 20
	require.True(t, l.try(t, exposures(0, n)))
	file := filepath.Join(l.dir, "dead", "letters.jsonl")
	require.Eventually(t, func() bool {
		return l.Metric(t, "otelcol_exporter_amplitude_events", `outcome="dead_lettered"`) == n
	}, patience, 20*time.Millisecond)
	assert.Empty(t, l.far.Events(t))

	replay := func() (string, int) {
		out, err := exec.Command(harness.Binary(t, "otelcol-amplitude-replay"), "-file", file, "-endpoint", "http://"+l.OTLPHTTP+"/v1/logs").CombinedOutput()
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			return string(out), exit.ExitCode()
		}
		require.NoError(t, err, string(out))
		return string(out), 0
	}
	l.restart(t, "E2E_MIN_ID_LENGTH=5")
	out, code := replay()
	assert.Zero(t, code, out)
	assert.Contains(t, out, "20 letters: 20 delivered\n")
	l.storedOnce(t, n)
	out, code = replay()
	assert.Zero(t, code, out)
	assert.Contains(t, out, "20 letters: 20 handled before\n")
	l.storedOnce(t, n)

	require.NoError(t, os.Remove(file))
	l.restart(t, "E2E_MIN_ID_LENGTH=30")
	require.True(t, l.try(t, exposures(n, 1)))
	require.Eventually(t, func() bool {
		letters, err := os.ReadFile(file)
		return err == nil && bytes.Count(letters, []byte("\n")) == 1
	}, patience, 20*time.Millisecond, "the next letter is in a new file")
}
