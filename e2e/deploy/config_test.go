// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package deploy

import (
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.yaml.in/yaml/v3"

	"github.com/otelcol-amplitude/otelcol-amplitude/e2e/harness"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/cleanenv"
)

// in returns a path in deploy/.
func in(elements ...string) string {
	return filepath.Join(append([]string{harness.Root(), "deploy"}, elements...)...)
}

func read(t *testing.T, path string, into any) {
	t.Helper()
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	require.NoError(t, yaml.Unmarshal(content, into), path)
}

// extract writes the configuration in a chart's values to a separate file.
func extract(t *testing.T, values string) string {
	t.Helper()
	var content struct {
		Config map[string]any `yaml:"alternateConfig"`
	}
	read(t, values, &content)
	require.NotEmpty(t, content.Config, values)
	encoded, err := yaml.Marshal(content.Config)
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), filepath.Base(values))
	require.NoError(t, os.WriteFile(path, encoded, 0o600))
	return path
}

// fromCompose returns the Collector's arguments in compose.yaml, with the paths of the image's files replaced.
func fromCompose(t *testing.T) []string {
	t.Helper()
	var compose struct {
		Services map[string]struct {
			Command []string `yaml:"command"`
		} `yaml:"services"`
	}
	read(t, in("docker", "compose.yaml"), &compose)
	arguments := compose.Services["collector"].Command
	require.NotEmpty(t, arguments)
	for i := range arguments {
		arguments[i] = strings.Replace(arguments[i], "/etc/otelcol-amplitude/config.yaml", in("docker", "config.yaml"), 1)
	}
	return arguments
}

func TestConfigurationsAreValid(t *testing.T) {
	key := filepath.Join(t.TempDir(), "api_key")
	require.NoError(t, os.WriteFile(key, []byte("0123456789012345678901234567890e\n"), 0o600))
	values := extract(t, in("helm", "values.yaml"))
	cases := []struct {
		name, from string
		arguments  []string
	}{
		{"image", "docker/config.yaml", []string{"--config", in("docker", "config.yaml")}},
		{"compose", "docker/compose.yaml", fromCompose(t)},
		{"package", "systemd/config.yaml", []string{"--config", in("systemd", "config.yaml")}},
		{"package with a credential", "systemd/config.yaml", []string{
			"--config", in("systemd", "config.yaml"), "--config", "yaml:exporters::amplitude::api_key: ${file:" + key + "}",
		}},
		{"chart", "helm/values.yaml", []string{"--config", values}},
		// The Collector merges configurations like Helm merges values.
		{"chart with replicas", "helm/values-replicas.yaml", []string{"--config", values, "--config", extract(t, in("helm", "values-replicas.yaml"))}},
		{"chart of gateways", "helm/values-gateway.yaml", []string{"--config", values, "--config", extract(t, in("helm", "values-gateway.yaml"))}},
		{"chart of edges", "helm/values-edge.yaml", []string{"--config", extract(t, in("helm", "values-edge.yaml"))}},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			cmd := exec.Command(harness.Binary(t, "otelcol-amplitude"), append([]string{"validate"}, tc.arguments...)...)
			cmd.Env = cleanenv.Environ("AMPLITUDE_API_KEY=0123456789abcdef", "MY_POD_IP=127.0.0.1", "REDIS_PASSWORD=secret")
			out, err := cmd.CombinedOutput()
			require.NoError(t, err, string(out))
		})
	}
	t.Run("without a key", func(t *testing.T) {
		cmd := exec.Command(harness.Binary(t, "otelcol-amplitude"), "validate", "--config", in("docker", "config.yaml"))
		cmd.Env = []string{}
		out, err := cmd.CombinedOutput()
		require.Error(t, err)
		assert.Contains(t, string(out), "api_key")
	})
	// Every file that configures our exporter is one of the cases.
	require.NoError(t, filepath.WalkDir(in(), func(path string, entry fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".yaml" {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil || !strings.Contains(string(content), "amplitude_experiment:") {
			return err
		}
		name, err := filepath.Rel(in(), path)
		assert.True(t, slices.ContainsFunc(cases, func(tc struct {
			name, from string
			arguments  []string
		},
		) bool {
			return tc.from == filepath.ToSlash(name)
		}), "%s is not tested", entry.Name())
		return err
	}))
}

// TestAcknowledgedIsOnDisk: every shipped configuration with a storage for production waits for the disk, as
// docs/operations.md says.
func TestAcknowledgedIsOnDisk(t *testing.T) {
	for _, file := range []string{in("docker", "config.yaml"), in("systemd", "config.yaml"), extract(t, in("helm", "values.yaml"))} {
		content, err := os.ReadFile(file)
		require.NoError(t, err)
		var cfg struct {
			Extensions map[string]struct {
				Fsync bool `yaml:"fsync"`
			} `yaml:"extensions"`
		}
		require.NoError(t, yaml.Unmarshal(content, &cfg))
		assert.True(t, cfg.Extensions["file_storage"].Fsync, file)
	}
}

// TestTiersOfTheChart runs an edge and a gateway with the configurations of the chart's values.
func TestTiersOfTheChart(t *testing.T) {
	values, gatewayValues, edgeValues := extract(t, in("helm", "values.yaml")), extract(t, in("helm", "values-gateway.yaml")), extract(t, in("helm", "values-edge.yaml"))
	far := harness.Start(t, "../testdata/sandbox.yaml", harness.Options{})
	start := func(config string, more, sets []string) *harness.Collector {
		a, dir := harness.NewAddresses(t), t.TempDir()
		_, port, err := net.SplitHostPort(a.Metrics)
		require.NoError(t, err)
		return harness.Start(t, config, harness.Options{
			Addresses: a, Dir: dir, More: more, Env: []string{"MY_POD_IP=127.0.0.1", "AMPLITUDE_API_KEY=e2e-key"},
			Sets: append([]string{
				"receivers::otlp::protocols::http::endpoint: " + a.OTLPHTTP, "receivers::otlp::protocols::grpc::endpoint: " + a.OTLPGRPC,
				"extensions::health_check::endpoint: " + a.Health,
				"service::telemetry::metrics::readers: [{pull: {exporter: {prometheus: {host: 127.0.0.1, port: " + port + "}}}}]",
			}, sets...),
		})
	}
	dir := t.TempDir()
	gateway := start(values, []string{gatewayValues}, []string{
		"exporters::amplitude::endpoint: http://" + far.Sandbox + "/2/httpapi",
		"exporters::amplitude::dead_letter::path: " + filepath.Join(dir, "letters.jsonl"),
		"extensions::file_storage::directory: " + filepath.Join(dir, "storage"),
	})
	edge := start(edgeValues, nil, []string{"exporters::otlp_http::endpoint: http://" + gateway.OTLPHTTP})
	for range 2 {
		logs := plog.NewLogs()
		record := logs.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords().AppendEmpty()
		record.SetEventName("$exposure")
		record.SetTimestamp(pcommon.NewTimestampFromTime(time.Now().Add(-time.Minute).Truncate(24 * time.Hour)))
		record.Attributes().PutStr("user_id", "user-000001")
		record.Attributes().PutStr("flag_key", "tiers")
		record.Attributes().PutStr("variant", "on")
		edge.SendLogs(t, logs)
	}
	assert.Len(t, far.WaitForEvents(t, 1), 1)
	outcome := func(of *harness.Collector, name string) float64 {
		return of.Metric(t, "otelcol_processor_amplitude_experiment_records", `outcome="`+name+`"`)
	}
	assert.InDelta(t, 2, outcome(edge, "exposure"), 0, "an edge has no memory")
	assert.InDelta(t, 1, outcome(gateway, "already_shaped"), 0, "the gateway keeps the event unchanged")
	assert.InDelta(t, 1, outcome(gateway, "duplicate"), 0, "and drops the repeat")
}

// TestHealthcheck runs the image's HEALTHCHECK against a running Collector and a stopped one.
func TestHealthcheck(t *testing.T) {
	healthcheck := filepath.Join(t.TempDir(), "healthcheck")
	build := exec.Command("go", "build", "-o", healthcheck, "./deploy/docker/healthcheck")
	build.Dir = harness.Root()
	out, err := build.CombinedOutput()
	require.NoError(t, err, string(out))

	collector := harness.Start(t, "../testdata/sandbox.yaml", harness.Options{})
	check := func() (string, error) {
		cmd := exec.Command(healthcheck)
		cmd.Env = []string{"HEALTHCHECK_URL=http://" + collector.Health + "/"}
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	said, err := check()
	require.NoError(t, err, said)
	collector.Stop(t)
	said, err = check()
	require.Error(t, err)
	assert.Contains(t, said, "connection refused")
}
