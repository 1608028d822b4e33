// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

//go:build compat

package compat

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/otelcol-amplitude/otelcol-amplitude/e2e/harness"
)

// core is a version of the Collector, as a module file requires it.
type core struct {
	// stable and beta are the versions of the core's modules (v1 and v0), contrib that of the contrib modules.
	stable, beta, contrib string
	// language is the Go version that the module file requires.
	language string
}

func readCore(t *testing.T, file string) (c core) {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(harness.Root(), file))
	require.NoError(t, err)
	for expression, to := range map[string]*string{
		`(?m)^\s+go\.opentelemetry\.io/collector/confmap (\S+)`:                 &c.stable,
		`(?m)^\s+go\.opentelemetry\.io/collector/component/componenttest (\S+)`: &c.beta,
		`(?m)^\s+\S+-contrib/extension/storage/filestorage (\S+)`:               &c.contrib,
		`(?m)^go (\S+)`: &c.language,
	} {
		match := regexp.MustCompile(expression).FindSubmatch(content)
		require.NotNil(t, match, "%s: %s", file, expression)
		*to = string(match[1])
	}
	return c
}

// manifest is a distribution with all of our components and what the tests' configuration needs.
func (c core) manifest() string {
	ours := func(component string) string {
		return fmt.Sprintf("  - gomod: github.com/otelcol-amplitude/otelcol-amplitude v0.0.0\n"+
			"    import: github.com/otelcol-amplitude/otelcol-amplitude/%s\n    path: %s\n", component, harness.Root())
	}
	theirs := func(module, version string) string { return fmt.Sprintf("  - gomod: %s %s\n", module, version) }
	const (
		collector = "go.opentelemetry.io/collector/"
		contrib   = "github.com/open-telemetry/opentelemetry-collector-contrib/"
	)
	return strings.Join([]string{
		"dist:\n  name: distribution\n  module: example.com/distribution\n  output_path: ./build\n",
		"receivers:\n", theirs(collector+"receiver/otlpreceiver", c.beta), ours("receiver/amplitudereceiver"),
		"processors:\n", theirs(collector+"processor/memorylimiterprocessor", c.beta), ours("processor/amplitudeexperimentprocessor"),
		"exporters:\n", ours("exporter/amplitudeexporter"),
		"connectors:\n", ours("connector/featureflageventsconnector"),
		"extensions:\n", theirs(contrib+"extension/storage/filestorage", c.contrib),
		theirs(contrib+"extension/healthcheckextension", c.contrib), ours("extension/amplitudesandboxextension"),
		"providers:\n", theirs(collector+"confmap/provider/envprovider", c.stable),
		theirs(collector+"confmap/provider/fileprovider", c.stable), theirs(collector+"confmap/provider/yamlprovider", c.stable),
	}, "")
}

// build makes the distribution with the builder of the same version (and, for the oldest, its Go version), and returns
// its name in bin/.
func (c core) build(t *testing.T, oldest bool) string {
	t.Helper()
	folder := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(folder, "manifest.yaml"), []byte(c.manifest()), 0o600))
	build := exec.Command("go", "run", "go.opentelemetry.io/collector/cmd/builder@"+c.beta, "--config", "manifest.yaml")
	build.Dir = folder
	// A compiler may need the caller's proxy.
	build.Env = append(build.Environ(), "GOFLAGS=", "GOWORK=off")
	if oldest {
		build.Env = append(build.Env, "GOTOOLCHAIN=go"+c.language)
	}
	out, err := build.CombinedOutput()
	require.NoError(t, err, "%s\n%s", c.manifest(), out)
	name := "distribution-" + c.beta
	require.NoError(t, os.MkdirAll(filepath.Join(harness.Root(), "bin"), 0o750))
	content, err := os.ReadFile(filepath.Join(folder, "build", "distribution"))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(harness.Root(), "bin", name), content, 0o750)) //nolint:gosec // executable
	return name
}

// onDisk keeps queue and de-duplication state.
const onDisk = `
processors:
  amplitude_experiment: {dedup: {storage: file_storage}}
exporters:
  amplitude: {sending_queue: {storage: file_storage}}
extensions:
  file_storage: {directory: "${env:E2E_DIR}"}
service:
  extensions: [health_check, amplitude_sandbox, file_storage]
`

func TestDistribution(t *testing.T) {
	for name, file := range map[string]string{"oldest core": "go.mod", "newest core": "newest.mod"} {
		t.Run(name, func(t *testing.T) {
			c := readCore(t, file)
			t.Logf("core %s / %s, contributors' %s, Go %s", c.beta, c.stable, c.contrib, c.language)
			storage := filepath.Join(t.TempDir(), "storage.yaml")
			require.NoError(t, os.WriteFile(storage, []byte(onDisk), 0o600))
			options := harness.Options{
				Program: c.build(t, file == "go.mod"), Dir: t.TempDir(), Addresses: harness.NewAddresses(t), More: []string{storage},
			}
			config := filepath.Join(harness.Root(), "e2e", "testdata", "collector.yaml")

			collector := harness.Start(t, config, options)
			collector.SendLogs(t, exposures("user-1", "user-2", "user-1"))
			events := collector.WaitForEvents(t, 2)
			require.Len(t, events, 2)
			for _, event := range events {
				assert.Equal(t, "[Experiment] Exposure", event.Text("event_type"))
			}
			for _, user := range []string{"user-1", "user-2"} {
				assert.Equal(t, map[string]any{"[Experiment] checkout": "treatment"}, collector.UserProperties(t, user))
			}
			duplicates := func() float64 {
				return collector.Metric(t, "otelcol_processor_amplitude_experiment_records", `outcome="duplicate"`)
			}
			assert.InDelta(t, 1, duplicates(), 0)
			collector.Stop(t)

			// After a restart, the repeat is known and the sandbox is empty.
			collector = harness.Start(t, config, options)
			collector.SendLogs(t, exposures("user-2", "user-3"))
			events = collector.WaitForEvents(t, 1)
			require.Len(t, events, 1)
			assert.Equal(t, "user-3", events[0].Text("user_id"))
			assert.InDelta(t, 1, duplicates(), 0)
			collector.Stop(t)
		})
	}
}

func exposures(users ...string) plog.Logs {
	logs := plog.NewLogs()
	records := logs.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords()
	for _, user := range users {
		record := records.AppendEmpty()
		record.SetEventName("$exposure")
		record.Attributes().PutStr("user_id", user)
		record.Attributes().PutStr("flag_key", "checkout")
		record.Attributes().PutStr("variant", "treatment")
	}
	return logs
}
