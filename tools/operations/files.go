// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package operations // import "github.com/otelcol-amplitude/otelcol-amplitude/tools/operations"

// The files that are made, relative to the root of the repository.
const (
	DashboardFile = "deploy/grafana/amplitude-experiment.json"
	RulesFile     = "deploy/prometheus/alerts.yaml"
)

// Files returns the content of each file that is made, and everything that dashboard and rules use.
func (c Catalog) Files() (map[string][]byte, []Use, error) {
	dashboard, shown, err := c.Dashboard(Dashboard)
	if err != nil {
		return nil, nil, err
	}
	rules, watched, err := c.Rules(Alerts)
	if err != nil {
		return nil, nil, err
	}
	return map[string][]byte{DashboardFile: dashboard, RulesFile: rules}, append(shown, watched...), nil
}
