// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/otelcol-amplitude/otelcol-amplitude/e2e/harness"
)

// TestKeyIsNowhere looks for a key that works, and for one that is refused, in everything that can be
// read of both sides: log, metrics, pages, dead letter, files.
func TestKeyIsNowhere(t *testing.T) {
	for name, key := range map[string]string{"a key that works": "e2e-key", "a key that is refused": "0123456789abcdefSECRET"} {
		t.Run(name, func(t *testing.T) {
			l := startLimited(t, "E2E_KEY="+key, "E2E_LOG_LEVEL=debug", "E2E_RETRY_FOR=1s")
			l.far.SandboxPost(t, "/_sandbox/silence", map[string]any{"devices": []string{"silenced-device"}})
			logs := exposures(0, 3)
			logs.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().At(0).Attributes().PutStr("device_id", "silenced-device")
			l.SendLogs(t, logs)
			require.Eventually(t, func() bool {
				return l.Metric(t, "otelcol_exporter_amplitude_events", `outcome="dead_lettered"`) > 0
			}, patience, 20*time.Millisecond)

			for _, path := range []string{
				l.Metrics + "/metrics", l.Health, l.OTLPGRPC + "/debug/servicez", l.OTLPGRPC + "/debug/pipelinez",
				l.OTLPGRPC + "/debug/extensionz", l.OTLPGRPC + "/debug/featurez",
				l.far.Sandbox + "/", l.far.Sandbox + "/_sandbox/events?verdict=all", l.far.Sandbox + "/_sandbox/requests",
				l.far.Sandbox + "/_sandbox/projects", l.far.Sandbox + "/_sandbox/stats", l.far.Sandbox + "/_sandbox/config",
				l.far.Sandbox + "/_sandbox/warnings", l.far.Sandbox + "/_sandbox/export", l.far.Sandbox + "/_sandbox/requests/1",
			} {
				_, body := get(t, "http://"+path)
				assert.NotContains(t, body, key, path)
			}
			l.Stop(t)
			assert.NotContains(t, l.Logs(), key)
			assert.NotContains(t, l.far.Logs(), key)
			files := 0
			require.NoError(t, filepath.WalkDir(l.dir, func(path string, entry fs.DirEntry, err error) error {
				if err != nil || entry.IsDir() {
					return err
				}
				content, err := os.ReadFile(path)
				assert.NotContains(t, string(content), key, path)
				info, statErr := entry.Info()
				require.NoError(t, statErr)
				assert.Zero(t, info.Mode().Perm()&0o077, "%s is for its owner only", path)
				files++
				return err
			}))
			assert.GreaterOrEqual(t, files, 3, "queue, de-duplication state, dead letter")
		})
	}
}

// TestWrongKeyLosesNothing: a project whose key is refused waits, for as long as the configuration says, then its events
// are in the dead letter file; with the right key they arrive.
func TestWrongKeyLosesNothing(t *testing.T) {
	l := startLimited(t, "E2E_KEY=wrong", "E2E_RETRY_FOR=1s")
	require.True(t, l.try(t, exposures(0, 5)))
	require.Eventually(t, func() bool {
		return l.Metric(t, "otelcol_exporter_amplitude_requests", `status="invalid_api_key"`) > 1
	}, patience, 20*time.Millisecond)
	require.Eventually(t, func() bool {
		return l.Metric(t, "otelcol_exporter_amplitude_events", `outcome="dead_lettered"`) == 5
	}, patience, 20*time.Millisecond)
	letters, err := os.ReadFile(filepath.Join(l.dir, "dead", "letters.jsonl"))
	require.NoError(t, err)
	assert.Contains(t, string(letters), `"retries_ended"`)
	assert.Empty(t, l.far.Events(t))
	l.Stop(t)

	// With the right key, the letters posted again arrive.
	right := harness.Start(t, "testdata/limits.yaml", harness.Options{Env: []string{"E2E_ENDPOINT=http://" + l.far.Sandbox + "/2/httpapi"}})
	for line := range strings.Lines(string(letters)) {
		_, err := right.PostLogs("application/json", "", []byte(line))
		require.NoError(t, err)
	}
	assert.Len(t, l.far.WaitForEvents(t, 5), 5)
}
