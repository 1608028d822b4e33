// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/otelcol-amplitude/otelcol-amplitude/e2e/harness"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/cleanenv"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/pooling"
)

// validate runs the Collector's own check of a configuration, and returns what it wrote.
func validate(t *testing.T, config string, sets ...string) (string, error) {
	t.Helper()
	arguments := []string{"validate", "--config", config}
	for _, set := range sets {
		arguments = append(arguments, "--config", "yaml:"+set)
	}
	cmd := exec.Command(harness.Binary(t, "otelcol-amplitude"), arguments...)
	cmd.Env = cleanenv.Environ(harness.NewAddresses(t).Environ(t.TempDir())...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func TestShippedConfigurationsAreValid(t *testing.T) {
	configs, err := filepath.Glob(filepath.Join(harness.Root(), "examples", "*", "*.yaml"))
	require.NoError(t, err)
	more, err := filepath.Glob(filepath.Join(harness.Root(), "examples", "*.yaml"))
	require.NoError(t, err)
	configs = append(append(configs, more...), filepath.Join(harness.Root(), "config.example.yaml"))
	for _, config := range configs {
		if filepath.Base(filepath.Dir(config)) == "scale-out" {
			continue // for a separate Collector: e2e/scale
		}
		t.Run(filepath.Base(config), func(t *testing.T) {
			content, err := os.ReadFile(config)
			require.NoError(t, err)
			var sets []string
			if !strings.Contains(string(content), "\nservice:") { // it is merged over the example
				config, sets = filepath.Join(harness.Root(), "config.example.yaml"), []string{string(content)}
			}
			out, err := validate(t, config, sets...)
			require.NoError(t, err, out)
		})
	}
}

// TestProtoPoolingIsRefused: with pooling enabled, the Collector itself loses records.
func TestProtoPoolingIsRefused(t *testing.T) {
	config := filepath.Join(harness.Root(), "config.example.yaml")
	for component, pipeline := range map[string]string{
		"amplitude":            "{receivers: [otlp], processors: [], exporters: [amplitude]}",
		"amplitude_experiment": "{receivers: [otlp], processors: [amplitude_experiment], exporters: [debug]}",
	} {
		t.Run(component, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			cmd := exec.CommandContext(ctx, harness.Binary(t, "otelcol-amplitude"), "--feature-gates", pooling.Gate, "--config", config,
				"--config", "yaml:service::pipelines::logs: "+pipeline, "--config", "yaml:exporters::debug: {}", "--config", "yaml:service::telemetry::metrics::level: none")
			cmd.Env = cleanenv.Environ(harness.NewAddresses(t).Environ(t.TempDir())...)
			out, err := cmd.CombinedOutput()
			require.Error(t, err, "it exits")
			assert.Contains(t, string(out), "the feature gate pdata.useProtoPooling is enabled")
			assert.NotContains(t, string(out), "panic")
		})
	}
}

// TestWrongValuesAreNamed changes one key of the example configuration to a wrong value: the error names the key.
func TestWrongValuesAreNamed(t *testing.T) {
	example := filepath.Join(harness.Root(), "config.example.yaml")
	for _, tc := range []struct{ name, set, key string }{
		{"no api_key", "exporters::amplitude::api_key: ''", "api_key"},
		{"unknown region", "exporters::amplitude::region: mars", "region"},
		{"unknown api", "exporters::amplitude::api: v1", "api"},
		{"endpoint without scheme", "exporters::amplitude::endpoint: 127.0.0.1:8585", "endpoint"},
		{"endpoint of another scheme", "exporters::amplitude::endpoint: ftp://127.0.0.1/2/httpapi", "endpoint"},
		{"compression that Amplitude does not accept", "exporters::amplitude::compression: zstd", "compression"},
		{"negative concurrency", "exporters::amplitude::concurrency: -1", "concurrency"},
		{"negative id length", "exporters::amplitude::min_id_length: -5", "min_id_length"},
		{"negative rate", "exporters::amplitude::rate_limit::events_per_second: -1", "events_per_second"},
		{"negative queue size", "exporters::amplitude::sending_queue::queue_size: -1", "queue_size"},
		{"unknown exporter key", "exporters::amplitude::apikey: x", "apikey"},
		{"unknown key in a section of the exporter", "exporters::amplitude::dead_letter::file: x", "file"},
		{"unknown key of the HTTP client", "exporters::amplitude::tls::ca: x", "'tls' has invalid keys: ca"},
		{"unknown wire form", "processors::amplitude_experiment::exposure::wire: json", "wire"},
		{"unknown un-exposure form", "processors::amplitude_experiment::exposure::unassigned: later", "unassigned"},
		{"unknown context id use", "processors::amplitude_experiment::identity::context_id_as: group", "context_id_as"},
		{"negative entries", "processors::amplitude_experiment::dedup::max_entries: -1", "max_entries"},
		{"unknown mode", "processors::amplitude_experiment::dedup::mode: first", "mode"},
		{"unknown window", "processors::amplitude_experiment::dedup::window: week", "window"},
		{"unknown time zone", "processors::amplitude_experiment::dedup::time_zone: Mars/Olympus", "time_zone"},
		{"unknown use of other records", "processors::amplitude_experiment::other_records: keep", "other_records"},
		{"unknown insert_id format", "processors::amplitude_experiment::insert_id::format: uuid", "format"},
		{"negative property budget", "processors::amplitude_experiment::max_experiment_properties: -1", "max_experiment_properties"},
		{"no attribute for the flag key", "processors::amplitude_experiment::exposure::flag_key: []", "flag_key"},
		{"one event name for two kinds", "processors::amplitude_experiment::exposure::event_names: [feature_flag]", "event_names"},
		{"unknown processor key", "processors::amplitude_experiment::dedupe: {}", "dedupe"},
		{"sandbox without address", "extensions::amplitude_sandbox::endpoint: ''", "endpoint"},
		{"sandbox without key", "extensions::amplitude_sandbox::api_keys: []", "api_keys"},
		{"unknown sandbox key", "extensions::amplitude_sandbox::port: 1", "port"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			out, err := validate(t, example, tc.set)
			require.Error(t, err, "accepted: %s", out)
			assert.Contains(t, out, tc.key)
			assert.NotContains(t, out, "goroutine", "an explanation, not a stack")
		})
	}
}

// TestKeyNeverShows, even if the far side refuses the key and echoes it in its answer.
func TestKeyNeverShows(t *testing.T) {
	const key = "0123456789abcdefSECRET"
	far := harness.Start(t, "testdata/sandbox.yaml", harness.Options{})
	sender := harness.Start(t, "testdata/sender.yaml", harness.Options{
		Env: []string{"E2E_TARGET=" + far.Sandbox, "E2E_KEY=" + key, "E2E_LOG_LEVEL=debug"},
	})
	sender.SendLogs(t, exposures(0, 3))
	require.Eventually(t, func() bool { return strings.Contains(strings.ToLower(sender.Logs()), "api key") }, patience, 20*time.Millisecond,
		"the log explains that the key is refused")
	sender.Stop(t)
	assert.NotContains(t, sender.Logs(), key)
	assert.NotContains(t, far.Logs(), key)
	assert.Empty(t, far.Events(t))
}
