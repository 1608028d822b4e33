// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package main // import "github.com/otelcol-amplitude/otelcol-amplitude/tools/reference"

import (
	"bytes"
	_ "embed"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"go.opentelemetry.io/collector/confmap"
)

// metrics are the metrics of a component, as its metadata.yaml declares them.
type metrics struct {
	described
	labels map[string]label
	all    map[string]metric
}

type metric struct {
	Description string `mapstructure:"description"`
	// WhenItMoves is what to do when the metric moves.
	WhenItMoves string `mapstructure:"extended_documentation"`
	Unit        string `mapstructure:"unit"`
	Sum         *struct {
		Monotonic bool `mapstructure:"monotonic"`
	} `mapstructure:"sum"`
	Histogram *struct{} `mapstructure:"histogram"`
	Labels    []string  `mapstructure:"attributes"`
}

type label struct {
	Name        string   `mapstructure:"name_override"`
	Description string   `mapstructure:"description"`
	Values      []string `mapstructure:"enum"`
}

func readMetrics(root string) ([]*metrics, error) {
	var found []*metrics
	for _, d := range components() {
		path := filepath.Join(root, d.dir, "metadata.yaml")
		text, err := os.ReadFile(path) //nolint:gosec // of its own repository
		if err != nil {
			return nil, err
		}
		var metadata struct {
			Attributes map[string]label `mapstructure:"attributes"`
			Telemetry  struct {
				Metrics map[string]metric `mapstructure:"metrics"`
			} `mapstructure:"telemetry"`
		}
		retrieved, err := confmap.NewRetrievedFromYAML(text)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		conf, err := retrieved.AsConf()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		if err := conf.Unmarshal(&metadata, confmap.WithIgnoreUnused()); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		found = append(found, &metrics{described: d, labels: metadata.Attributes, all: metadata.Telemetry.Metrics})
	}
	return found, nil
}

// scraped returns the name of a metric at the Collector's Prometheus endpoint, which by default adds no unit or type.
func scraped(name string) string { return "otelcol_" + name }

func (m metric) prometheusType() string {
	switch {
	case m.Histogram != nil:
		return "histogram"
	case m.Sum != nil && m.Sum.Monotonic:
		return "counter"
	default:
		return "gauge"
	}
}

//go:embed metrics.md
var metricsIntro string

func metricsPage(components []*metrics) []byte {
	out := bytes.NewBufferString(generatedNote + metricsIntro)
	for _, c := range components {
		fmt.Fprintf(out, "\n## %s `%s`\n\n", strings.ToUpper(c.class[:1])+c.class[1:], c.name())
		out.WriteString("| metric | type | unit | labels | meaning | when it moves |\n|---|---|---|---|---|---|\n")
		used := map[string][]string{}
		for _, name := range slices.Sorted(maps.Keys(c.all)) {
			m := c.all[name]
			var labels []string
			for _, id := range m.Labels {
				labels = append(labels, "`"+c.labelName(id)+"`")
				used[id] = append(used[id], "`"+name[strings.Index(name, c.name())+len(c.name())+1:]+"`")
			}
			row(out, "`"+scraped(name)+"`", m.prometheusType(), "`"+m.Unit+"`", strings.Join(labels, ", "), m.Description, m.WhenItMoves)
		}
		if len(used) == 0 {
			continue
		}
		out.WriteString("\n| label | of | meaning | values |\n|---|---|---|---|\n")
		for _, id := range slices.Sorted(maps.Keys(used)) {
			values := "any"
			if words := c.labels[id].Values; len(words) > 0 {
				values = "`" + strings.Join(words, "`, `") + "`"
			}
			row(out, "`"+c.labelName(id)+"`", strings.Join(used[id], ", "), c.labels[id].Description, values)
		}
	}
	return out.Bytes()
}

func (c *metrics) labelName(id string) string {
	if name := c.labels[id].Name; name != "" {
		return name
	}
	return id
}
