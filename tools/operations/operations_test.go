// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package operations

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const root = "../.."

func load(t *testing.T) Catalog {
	t.Helper()
	catalog, err := LoadCatalog(root)
	require.NoError(t, err)
	return catalog
}

func TestFilesAreCurrent(t *testing.T) {
	files, _, err := load(t).Files()
	require.NoError(t, err)
	for name, content := range files {
		have, err := os.ReadFile(filepath.Join(root, name))
		require.NoError(t, err)
		assert.Equal(t, string(content), string(have), "%s is stale: run make generate", name)
	}
}

// TestRenamedMetricFailsGeneration removes one metric after the other: whatever is used is reported as missing.
func TestRenamedMetricFailsGeneration(t *testing.T) {
	catalog := load(t)
	_, uses, err := catalog.Files()
	require.NoError(t, err)
	tried := map[string]bool{}
	for _, use := range uses {
		base := regexp.MustCompile(`_(bucket|sum|count)$`).ReplaceAllString(use.Metric, "")
		if tried[base] {
			continue
		}
		tried[base] = true
		without := maps.Clone(catalog)
		delete(without, base)
		_, _, err := without.Files()
		require.ErrorContains(t, err, base)
	}
}

// TestEveryMetricOfOursIsShown: every metric must be used somewhere.
func TestEveryMetricOfOursIsShown(t *testing.T) {
	catalog := load(t)
	_, uses, err := catalog.Dashboard(Dashboard)
	require.NoError(t, err)
	for name := range catalog {
		if !strings.Contains(name, "amplitude") {
			continue
		}
		assert.True(t, slices.ContainsFunc(uses, func(use Use) bool { return strings.HasPrefix(use.Metric, name) }), "%s is on no panel", name)
	}
}

func TestQueriesAreChecked(t *testing.T) {
	catalog := Catalog{
		"up":             {Labels: labels([]string{"job"})},
		"otelcol_events": {Labels: map[string][]string{"job": nil, "outcome": {"delivered", "dropped"}}},
		"otelcol_time":   {Labels: map[string][]string{"status": nil}, Histogram: true},
	}
	for _, tc := range []struct{ name, query, scoped, err string }{
		{name: "metric", query: `otelcol_events > 1`, scoped: `otelcol_events{S} > 1`},
		{name: "matchers", query: `sum by (job) (rate(otelcol_events{outcome=~"delivered|dropped"}[5m]))`, scoped: `sum by (job) (rate(otelcol_events{S,outcome=~"delivered|dropped"}[5m]))`},
		{name: "histogram", query: `histogram_quantile(0.99, sum by (le) (rate(otelcol_time_bucket[5m])))`, scoped: `histogram_quantile(0.99, sum by (le) (rate(otelcol_time_bucket{S}[5m])))`},
		{name: "text in a matcher", query: `up{job="a } b"} offset 5m`, scoped: `up{S,job="a } b"} offset 5m`},
		{name: "unknown metric", query: `otelcol_evens`, err: "no metadata.yaml declares a metric otelcol_evens"},
		{name: "unknown label", query: `otelcol_events{status="200"}`, err: "otelcol_events has no label status, only job, outcome"},
		{name: "unknown value", query: `otelcol_events{outcome="lost"}`, err: `outcome of otelcol_events is never "lost"`},
		{name: "unknown alternative", query: `otelcol_events{outcome=~"delivered|lost"}`, err: `never "lost"`},
		{name: "unknown label of a group", query: `sum by (status) (otelcol_events)`, err: "no metric in the query has the label status"},
		{name: "label with a dot", query: `up{otel.signal="logs"}`, err: "up has no label otel"},
		{name: "bare histogram", query: `otelcol_time`, err: "is a histogram"},
		{name: "bucket of no histogram", query: `otelcol_events_bucket`, err: "no metadata.yaml declares"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, scoped, err := catalog.inspect(tc.query, "S")
			if tc.err != "" {
				require.ErrorContains(t, err, tc.err)
				return
			}
			require.NoError(t, err)
			assert.Equal(t, tc.scoped, scoped)
		})
	}
}

// TestPanelsDoNotOverlap reads the dashboard as Grafana does.
func TestPanelsDoNotOverlap(t *testing.T) {
	content, _, err := load(t).Dashboard(Dashboard)
	require.NoError(t, err)
	var dashboard struct {
		Panels []struct {
			ID      int
			Type    string
			GridPos struct{ X, Y, W, H int }
			Targets []struct{ Expr string }
		}
	}
	require.NoError(t, json.Unmarshal(content, &dashboard))
	taken := map[[2]int]int{}
	for _, panel := range dashboard.Panels {
		require.LessOrEqual(t, panel.GridPos.X+panel.GridPos.W, gridWidth)
		for x := panel.GridPos.X; x < panel.GridPos.X+panel.GridPos.W; x++ {
			for y := panel.GridPos.Y; y < panel.GridPos.Y+panel.GridPos.H; y++ {
				require.Zero(t, taken[[2]int{x, y}], "panels %d and %d overlap", taken[[2]int{x, y}], panel.ID)
				taken[[2]int{x, y}] = panel.ID
			}
		}
		for _, target := range panel.Targets {
			assert.Contains(t, target.Expr, scope)
		}
		assert.Equal(t, panel.Type == "row", len(panel.Targets) == 0)
	}
}

// TestRunbook: the runbook explains every alert where its link points, and no other alerts.
func TestRunbook(t *testing.T) {
	content, err := os.ReadFile(filepath.Join(root, "docs", "operations.md"))
	require.NoError(t, err)
	var explained []string
	for _, match := range regexp.MustCompile(`(?m)^\| <a id="([a-z]+)"></a>(Amplitude[A-Za-z]+) \|`).FindAllStringSubmatch(string(content), -1) {
		assert.Equal(t, strings.ToLower(match[2]), match[1])
		explained = append(explained, match[2])
	}
	var names []string
	for _, alert := range Alerts {
		names = append(names, alert.Name)
		assert.NotEmpty(t, alert.Summary)
		assert.NotEmpty(t, alert.Description)
	}
	slices.Sort(names)
	slices.Sort(explained)
	assert.Equal(t, names, explained)
}
