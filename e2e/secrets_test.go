// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/otelcol-amplitude/otelcol-amplitude/e2e/harness"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/cleanenv"
)

// TestKeyIsNowhere looks for a valid key, and for one that is refused, in everything that can be read on both sides:
// log, metrics, pages, dead letters, files.
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

// secret is what no output may contain.
const secret = "s3cr3tmarker"

// TestSecretsAreNowhere writes a secret into every key that can hold one, in valid and invalid forms, and looks for it
// in everything that `validate` and a start print.
func TestSecretsAreNowhere(t *testing.T) {
	redis := func(settings string) string {
		return `processors: {amplitude_experiment: {dedup: {redis: {` + settings + `}}}}`
	}
	exporter := func(settings string) string { return `exporters: {amplitude: {` + settings + `}}` }
	sandbox := func(settings string) string { return `extensions: {amplitude_sandbox: {` + settings + `}}` }
	for name, overlay := range map[string]string{
		"key":                                exporter(`api_key: @@`),
		"key that is a list":                 exporter(`api_key: [@@]`),
		"key that is a map":                  exporter(`api_key: {a: @@}`),
		"key from a variable that is YAML":   exporter(`api_key: "${env:E2E_SECRET}"`),
		"endpoint":                           exporter(`endpoint: "http://joe:@@@127.0.0.1:1/2/httpapi"`),
		"endpoint with a query":              exporter(`endpoint: "http://127.0.0.1:1/2/httpapi?token=@@"`),
		"endpoint to be escaped":             exporter(`endpoint: "http://joe:%@@@127.0.0.1:1/2/httpapi"`),
		"endpoint without scheme":            exporter(`endpoint: "joe:@@@127.0.0.1:1"`),
		"endpoint without path":              exporter(`endpoint: "http://joe:@@@127.0.0.1:1?token=@@"`),
		"endpoint of another kind":           exporter(`endpoint: "ftp://joe:@@@127.0.0.1:1/x?token=@@"`),
		"endpoint that is a list":            exporter(`endpoint: [@@]`),
		"proxy":                              exporter(`proxy_url: "http://joe:@@@127.0.0.1:1"`),
		"proxy to be escaped":                exporter(`proxy_url: "http://joe:%@@@127.0.0.1:1"`),
		"proxy with a hash":                  exporter(`proxy_url: "http://joe:#@@@127.0.0.1:1"`),
		"proxy whose port is a word":         exporter(`proxy_url: "http://joe:@@@127.0.0.1:port"`),
		"proxy without scheme":               exporter(`proxy_url: "joe:@@@127.0.0.1:1"`),
		"proxy that is a map":                exporter(`proxy_url: {url: @@}`),
		"proxy around a variable":            exporter(`proxy_url: "http://joe:${env:E2E_SECRET}@127.0.0.1:1"`),
		"header":                             exporter(`headers: {Authorization: @@}`),
		"header that cannot be sent":         exporter(`headers: {Authorization: "@@\n"}`),
		"headers that are text":              exporter(`headers: @@`),
		"headers that are a list":            exporter(`headers: [@@]`),
		"header that is a list":              exporter(`headers: {Authorization: [@@]}`),
		"private key":                        exporter(`tls: {key_pem: @@, cert_pem: @@}`),
		"private key that is a list":         exporter(`tls: {key_pem: [@@]}`),
		"authority":                          exporter(`tls: {ca_pem: @@}`),
		"owner of the TPM":                   exporter(`tls: {key_pem: @@, cert_pem: @@, tpm: {enabled: true, path: /dev/null, owner_auth: @@, auth: @@}}`),
		"queue that is text":                 exporter(`sending_queue: @@`),
		"Redis":                              redis(`endpoint: "127.0.0.1:1", password: @@`),
		"Redis, password that is a list":     redis(`endpoint: "127.0.0.1:1", password: [@@]`),
		"Redis, sentinels":                   redis(`addresses: ["127.0.0.1:1"], master_name: m, sentinel_password: @@`),
		"Redis, sentinels, a map":            redis(`addresses: ["127.0.0.1:1"], master_name: m, sentinel_password: {a: @@}`),
		"Redis by URL":                       redis(`endpoint: "redis://joe:@@@127.0.0.1:1"`),
		"Redis by URL among addresses":       redis(`addresses: ["redis://:@@@127.0.0.1:1/0"]`),
		"Redis by something like a URL":      redis(`endpoint: "@@@127.0.0.1:1"`),
		"Redis, private key":                 redis(`endpoint: "127.0.0.1:1", tls: {key_pem: @@, cert_pem: @@}`),
		"Redis that is text":                 `processors: {amplitude_experiment: {dedup: {redis: @@}}}`,
		"keys of the sandbox":                sandbox(`api_keys: [@@]`),
		"keys of the sandbox, one twice":     sandbox(`api_keys: [@@, @@, ""]`),
		"keys of the sandbox that are a map": sandbox(`api_keys: {a: @@}`),
		"storage that is none":               `extensions: {file_storage: {directory: "${env:E2E_DIR}/storage", create_directory: [@@]}}`,
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			file := filepath.Join(dir, "overlay.yaml")
			require.NoError(t, os.WriteFile(file, []byte(strings.ReplaceAll(overlay, "@@", secret)), 0o600))
			run := func(arguments ...string) string {
				ctx, cancel := context.WithTimeout(t.Context(), patience)
				defer cancel()
				cmd := exec.CommandContext(ctx, harness.Binary(t, "otelcol-amplitude"), append(arguments, "--config", "testdata/secrets.yaml", "--config", file)...)
				cmd.Env = cleanenv.Environ(append(harness.NewAddresses(t).Environ(dir), "E2E_SECRET={a: "+secret+"}")...)
				out := &untilReady{end: cancel}
				cmd.Stdout, cmd.Stderr = out, out
				_ = cmd.Run()
				return out.String()
			}
			assert.NotContains(t, run("validate"), secret)
			out := run()
			assert.NotEmpty(t, out)
			assert.NotContains(t, out, secret)
		})
	}
}

// untilReady collects what a Collector prints, and ends it when it says that it is ready.
type untilReady struct {
	mu  sync.Mutex
	out strings.Builder
	end func()
}

func (u *untilReady) Write(p []byte) (int, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.out.Write(p)
	if strings.Contains(u.out.String(), "Everything is ready") {
		u.end()
	}
	return len(p), nil
}

func (u *untilReady) String() string {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.out.String()
}

// TestWrongKeyLosesNothing: if the key is refused, events wait for as long as the configuration says, and then go to
// the dead letter file; with the right key, they arrive.
func TestWrongKeyLosesNothing(t *testing.T) {
	l := startLimited(t, "E2E_KEY=wrong", "E2E_RETRY_FOR=3s") // time for a second attempt even on a busy machine
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

	// With the right key, the letters arrive when they are posted again.
	right := harness.Start(t, "testdata/limits.yaml", harness.Options{Env: []string{"E2E_ENDPOINT=http://" + l.far.Sandbox + "/2/httpapi"}})
	for line := range strings.Lines(string(letters)) {
		_, err := right.PostLogs("application/json", "", []byte(line))
		require.NoError(t, err)
	}
	assert.Len(t, l.far.WaitForEvents(t, 5), 5)
}
