// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package deploy

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/otelcol-amplitude/otelcol-amplitude/e2e/harness"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/loopback"
)

// prometheus runs a Prometheus with the shipped rules that scrapes a Collector, and returns its address.
func prometheus(t *testing.T, c *harness.Collector) string {
	t.Helper()
	binary, err := exec.LookPath("prometheus")
	if err != nil {
		t.Skip("this test needs Prometheus itself: run `make deps` as root, or install it")
	}
	rules, err := filepath.Abs(in("prometheus", "alerts.yaml"))
	require.NoError(t, err)
	dir := t.TempDir()
	config := filepath.Join(dir, "prometheus.yaml")
	require.NoError(t, os.WriteFile(config, fmt.Appendf(nil, `
global: {scrape_interval: 500ms, evaluation_interval: 500ms}
rule_files: [%q]
scrape_configs: [{job_name: otelcol-amplitude, static_configs: [{targets: [%q]}]}]
`, rules, c.Metrics), 0o600))
	address, err := loopback.FreeAddress()
	require.NoError(t, err)
	cmd := exec.Command(binary, "--config.file", config, "--web.listen-address", address, "--storage.tsdb.path", filepath.Join(dir, "data"))
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		assert.NoError(t, cmd.Process.Kill())
		_ = cmd.Wait() // it reports that it was killed
	})
	return address
}

// firing returns the flags for which an alert fires.
func firing(address, alert string) (flags []string, err error) {
	response, err := http.Get("http://" + address + "/api/v1/alerts")
	if err != nil {
		return nil, err
	}
	defer func() { err = response.Body.Close() }()
	var read struct {
		Data struct {
			Alerts []struct {
				Labels map[string]string
				State  string
			}
		}
	}
	if err := json.NewDecoder(response.Body).Decode(&read); err != nil {
		return nil, err
	}
	for _, one := range read.Data.Alerts {
		if one.Labels["alertname"] == alert && one.State == "firing" {
			flags = append(flags, one.Labels["flag"])
		}
	}
	return flags, nil
}

// TestBrokenSplitRaisesTheAlert: a tenth of one variant is lost before the Collector, and a real Prometheus raises the
// alert.
func TestBrokenSplitRaisesTheAlert(t *testing.T) {
	c := harness.Start(t, "testdata/split.yaml", harness.Options{})
	address := prometheus(t, c)
	const persons, at = 12_000, 2000
	for from := 0; from < persons; from += at {
		var records []record
		for n := from; n < from+at; n++ {
			one := exposure(fmt.Sprintf("user-%06d", n), []string{"control", "treatment"}[n/10%2])
			other := exposure(fmt.Sprintf("user-%06d", n), []string{"control", "treatment"}[n/10%2])
			other.attributes["flag_key"] = "search"
			records = append(records, one, other)
		}
		c.SendLogs(t, logs(t, records...))
	}
	require.EventuallyWithT(t, func(t *assert.CollectT) {
		flags, err := firing(address, "AmplitudeSampleRatioMismatch")
		require.NoError(t, err)
		assert.Equal(t, []string{"checkout"}, flags)
	}, 2*time.Minute, 100*time.Millisecond)
	assert.InDelta(t, persons/2*9/10, c.Metric(t, "otelcol_processor_amplitude_experiment_diagnostics_persons", `flag="checkout"`, `variant="treatment"`), 0)
	assert.InDelta(t, persons/2, c.Metric(t, "otelcol_processor_amplitude_experiment_diagnostics_persons", `flag="search"`, `variant="treatment"`), 0)
}
