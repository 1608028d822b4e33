// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package deploy

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/otelcol-amplitude/otelcol-amplitude/tools/operations"
)

// promtool runs promtool and returns its output.
func promtool(t *testing.T, input []byte, arguments ...string) (string, error) {
	t.Helper()
	binary, err := exec.LookPath("promtool")
	require.NoError(t, err, "this test needs promtool: run `make deps` as root, or install Prometheus")
	cmd := exec.Command(binary, arguments...)
	cmd.Stdin = bytes.NewReader(input)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func TestRulesAreValid(t *testing.T) {
	out, err := promtool(t, nil, "check", "rules", in("prometheus", "alerts.yaml"))
	require.NoError(t, err, out)
}

func TestAlertsFireAndStaySilent(t *testing.T) {
	out, err := promtool(t, nil, "test", "rules", in("prometheus", "alerts_test.yaml"))
	require.NoError(t, err, out)

	// Each alert fires in one of the tests. The test of a healthy Collector has every metric that alerts use.
	var tests struct {
		Tests []struct {
			Name        string
			InputSeries []struct{ Series string } `yaml:"input_series"`
			Expressions []struct {
				Samples []struct{ Labels string } `yaml:"exp_samples"`
			} `yaml:"promql_expr_test"`
		}
	}
	read(t, in("prometheus", "alerts_test.yaml"), &tests)
	var fired, fed strings.Builder
	for _, test := range tests.Tests {
		for _, expression := range test.Expressions {
			for _, sample := range expression.Samples {
				fired.WriteString(sample.Labels)
			}
		}
		for _, series := range test.InputSeries {
			if test.Name == "healthy" {
				fed.WriteString(series.Series)
			}
		}
	}
	for _, alert := range operations.Alerts {
		assert.Contains(t, fired.String(), `alertname="`+alert.Name+`"`, "it does not fire in any test")
	}
	catalog, err := operations.LoadCatalog("../..")
	require.NoError(t, err)
	_, uses, err := catalog.Rules(operations.Alerts)
	require.NoError(t, err)
	for _, use := range uses {
		assert.Contains(t, fed.String(), use.Metric+"{", "the healthy Collector of alerts_test.yaml has no such metric")
	}
}

// TestDashboardQueriesAreValid checks the dashboard's queries with promtool, as rules, with Grafana's variables filled
// in.
func TestDashboardQueriesAreValid(t *testing.T) {
	content, err := os.ReadFile(in("grafana", "amplitude-experiment.json"))
	require.NoError(t, err)
	var dashboard struct {
		Panels []struct{ Targets []struct{ Expr string } }
	}
	require.NoError(t, json.Unmarshal(content, &dashboard))
	type rule struct {
		Record string            `yaml:"record"`
		Expr   string            `yaml:"expr"`
		Labels map[string]string `yaml:"labels"` // promtool does not allow duplicate rules
	}
	var rules []rule
	fill := strings.NewReplacer("$__rate_interval", "5m", "$job", ".*", "$instance", ".*")
	for _, panel := range dashboard.Panels {
		for _, target := range panel.Targets {
			rules = append(rules, rule{"dashboard:query", fill.Replace(target.Expr), map[string]string{"n": string(rune('A'+len(rules)%26)) + string(rune('A'+len(rules)/26))}})
		}
	}
	require.NotEmpty(t, rules)
	encoded, err := yaml.Marshal(map[string]any{"groups": []any{map[string]any{"name": "dashboard", "rules": rules}}})
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), "dashboard.yaml")
	require.NoError(t, os.WriteFile(path, encoded, 0o600))
	out, err := promtool(t, nil, "check", "rules", path)
	require.NoError(t, err, out)
	assert.NotContains(t, string(encoded), "$")
}

// TestPrometheusOfComposeIsValid checks the scrape configuration, with the rules where the container has them.
func TestPrometheusOfComposeIsValid(t *testing.T) {
	directory := t.TempDir()
	for from, to := range map[string]string{in("docker", "prometheus.yaml"): "prometheus.yml", in("prometheus", "alerts.yaml"): "alerts.yaml"} {
		content, err := os.ReadFile(from)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(directory, to), content, 0o600))
	}
	out, err := promtool(t, nil, "check", "config", filepath.Join(directory, "prometheus.yml"))
	require.NoError(t, err, out)
}
