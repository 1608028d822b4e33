// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/otelcol-amplitude/otelcol-amplitude/e2e/harness"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/cleanenv"
)

// nobody is an address on which nothing listens.
const nobody = "http://127.0.0.1:1"

// hostile is an environment that would break everything that used it.
var hostile = []string{
	"AMPLITUDE_API_KEY=0123456789abcdef0123456789abcdef", "AMPLITUDE_REGION=eu", "AMPLITUDE_ENDPOINT=" + nobody,
	"OTEL_EXPORTER_OTLP_ENDPOINT=" + nobody, "OTEL_EXPORTER_OTLP_HEADERS=authorization=theirs", "OTEL_EXPORTER_OTLP_TIMEOUT=1",
	"OTEL_EXPORTER_OTLP_CERTIFICATE=/no/such/file", "OTEL_EXPORTER_OTLP_CLIENT_KEY=/no/such/file", "OTEL_BLRP_MAX_QUEUE_SIZE=1",
	"OTEL_BLRP_SCHEDULE_DELAY=3600000", "OTEL_LOGRECORD_ATTRIBUTE_COUNT_LIMIT=1", "OTEL_SDK_DISABLED=true", "OTEL_RESOURCE_ATTRIBUTES=a=b,c",
	"HTTP_PROXY=" + nobody, "http_proxy=" + nobody, "HTTPS_PROXY=" + nobody, "https_proxy=" + nobody, "ALL_PROXY=" + nobody, "all_proxy=" + nobody,
	"NO_PROXY=example.com", "no_proxy=example.com", "NODE_USE_ENV_PROXY=1",
	"GOGC=1", "GOMEMLIMIT=1MiB", "GODEBUG=http2client=0", "PORT=1", "DRY_RUN=true", "SHOP_COLLECTOR=" + nobody,
}

// runDemo does what "make run ONCE=1" does, with a configuration, and returns the output.
func runDemo(t *testing.T, config string, arguments, env []string) (string, error) {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(dir, "bin"), 0o750))
	for _, program := range []string{"otelcol-amplitude", "shop-go"} {
		require.NoError(t, os.Symlink(harness.Binary(t, program), filepath.Join(dir, "bin", program)))
	}
	require.NoError(t, os.WriteFile(filepath.Join(dir, "config.example.yaml"), []byte(config), 0o600))
	require.NoError(t, os.Symlink(filepath.Join(harness.Root(), "examples"), filepath.Join(dir, "examples")))
	cmd := harness.Isolated(harness.Binary(t, "demo"), append(arguments, "-once")...)
	cmd.Dir, cmd.Env = dir, cleanenv.Environ(env...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func exampleConfig(t *testing.T) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(harness.Root(), "config.example.yaml"))
	require.NoError(t, err)
	return string(content)
}

// TestDemoInAnyEnvironment also runs a configuration that uses the caller's environment, as a reader's may.
func TestDemoInAnyEnvironment(t *testing.T) {
	own := exampleConfig(t)
	for name, config := range map[string]string{
		"as it is":                 own,
		"with the caller's values": strings.Replace(own, "api_key: sandbox", "api_key: ${env:AMPLITUDE_API_KEY:-sandbox}", 1),
	} {
		t.Run(name, func(t *testing.T) {
			out, err := runDemo(t, config, nil, hostile)
			require.NoError(t, err, out)
			assert.Contains(t, out, "Everything arrived as the shop says")
			assert.Contains(t, out, "orders by variant of checkout-flow:  control ")
		})
	}
}

// TestDemoSaysWhyNothingArrived gives the exporter a key that the sandbox refuses.
func TestDemoSaysWhyNothingArrived(t *testing.T) {
	out, err := runDemo(t, strings.Replace(exampleConfig(t), "api_key: sandbox", "api_key: another", 1), []string{"-wait", "10s"}, nil)
	require.Error(t, err, out)
	for _, said := range []string{
		"NOT as the shop says", "exposures: the shop says 160, found 0",
		"The Collector's first error", "Amplitude refuses the API key", "hint: check api_key",
		"What to do:", "git diff config.example.yaml", "docs/troubleshooting.md",
	} {
		assert.Contains(t, out, said)
	}
	assert.NotContains(t, out, "goroutine")
}
