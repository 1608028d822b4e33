// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package operations // import "github.com/otelcol-amplitude/otelcol-amplitude/tools/operations"

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// prefix is what the Collector adds to the names in metadata.yaml.
const prefix = "otelcol_"

// Catalog knows the metrics that a Collector with our components has: labels by metric.
type Catalog map[string]Metric

// Metric is what a metadata.yaml says about a metric.
type Metric struct {
	// Labels maps each label to its possible values; none means any.
	Labels map[string][]string
	// Histogram metrics are queried as _bucket, _sum and _count.
	Histogram bool
}

// ourMetadata are the components in this repository that have metrics to watch.
var ourMetadata = []string{
	"processor/amplitudeexperimentprocessor/metadata.yaml",
	"exporter/amplitudeexporter/metadata.yaml",
	"receiver/amplitudereceiver/metadata.yaml",
}

// theirMetadata are the parts of the Collector whose metrics are watched too. They have one version.
var theirMetadata = []string{
	"go.opentelemetry.io/collector/exporter/exporterhelper",
	"go.opentelemetry.io/collector/receiver/receiverhelper",
	"go.opentelemetry.io/collector/service",
}

// scopeLabels are labels that no metadata.yaml names, because the Collector adds them to every metric of a
// kind. The first prefix that fits counts. The end-to-end test compares them with a scrape. Left out is otel.signal:
// a label with a dot has one name in Prometheus 2 (otel_signal) and another in Prometheus 3.
var scopeLabels = []struct {
	prefix string
	labels []string
}{
	{"exporter_queue_", []string{"exporter", "data_type"}},
	{"exporter_", []string{"exporter"}},
	{"processor_amplitude_experiment_", []string{"processor"}},
	{"processor_", []string{"processor"}},
	{"receiver_amplitude_", []string{"receiver"}},
	{"receiver_", []string{"receiver", "transport"}},
}

// targetLabels are what Prometheus itself adds to everything that it scrapes.
var targetLabels = []string{"job", "instance"}

// LoadCatalog reads the metadata of our components under root, and that of the Collector version in
// builder-config.yaml from the Go module cache.
func LoadCatalog(root string) (Catalog, error) {
	catalog := Catalog{"up": {Labels: labels(targetLabels)}} // Prometheus's own metric for each target
	for _, path := range ourMetadata {
		if err := catalog.add(filepath.Join(root, path)); err != nil {
			return nil, err
		}
	}
	version, err := collectorVersion(root)
	if err != nil {
		return nil, err
	}
	for _, module := range theirMetadata {
		directory, err := moduleDirectory(root, module+"@"+version)
		if err != nil {
			return nil, err
		}
		if err := catalog.add(filepath.Join(directory, "metadata.yaml")); err != nil {
			return nil, err
		}
	}
	return catalog, nil
}

func (c Catalog) add(path string) error {
	content, err := os.ReadFile(path) //nolint:gosec // a file of this repository or of the module cache
	if err != nil {
		return err
	}
	var metadata struct {
		Attributes map[string]struct {
			NameOverride string   `yaml:"name_override"`
			Enum         []string `yaml:"enum"`
		} `yaml:"attributes"`
		Telemetry struct {
			Metrics map[string]struct {
				Attributes []string  `yaml:"attributes"`
				Histogram  yaml.Node `yaml:"histogram"`
			} `yaml:"metrics"`
		} `yaml:"telemetry"`
	}
	if err := yaml.Unmarshal(content, &metadata); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if len(metadata.Telemetry.Metrics) == 0 {
		return fmt.Errorf("%s declares no metrics", path)
	}
	for name, declared := range metadata.Telemetry.Metrics {
		metric := Metric{Labels: labels(targetLabels), Histogram: !declared.Histogram.IsZero()}
		for _, scope := range scopeLabels {
			if strings.HasPrefix(name, scope.prefix) {
				for _, label := range scope.labels {
					metric.Labels[label] = nil
				}
				break
			}
		}
		for _, attribute := range declared.Attributes {
			definition := metadata.Attributes[attribute]
			metric.Labels[cmp.Or(definition.NameOverride, attribute)] = definition.Enum
		}
		c[prefix+name] = metric
	}
	return nil
}

// lookup finds a metric by a name in a query.
func (c Catalog) lookup(name string) (Metric, error) {
	if metric, ok := c[name]; ok && !metric.Histogram {
		return metric, nil
	}
	for _, suffix := range []string{"_bucket", "_sum", "_count"} {
		base, ok := strings.CutSuffix(name, suffix)
		if metric := c[base]; ok && metric.Histogram {
			if suffix == "_bucket" {
				all := labels(targetLabels)
				for label, values := range metric.Labels {
					all[label] = values
				}
				all["le"] = nil
				metric.Labels = all
			}
			return metric, nil
		}
	}
	if c[name].Histogram {
		return Metric{}, fmt.Errorf("%s is a histogram: query %s_bucket, _sum or _count", name, name)
	}
	return Metric{}, fmt.Errorf("no metadata.yaml declares a metric %s: has it been renamed?", name)
}

func labels(names []string) map[string][]string {
	set := make(map[string][]string, len(names))
	for _, name := range names {
		set[name] = nil
	}
	return set
}

var builtFrom = regexp.MustCompile(`go\.opentelemetry\.io/collector/receiver/otlpreceiver (v[0-9.]+)`)

// collectorVersion is the version of the Collector that builder-config.yaml names.
func collectorVersion(root string) (string, error) {
	content, err := os.ReadFile(filepath.Join(root, "builder-config.yaml")) //nolint:gosec // a file of this repository
	if err != nil {
		return "", err
	}
	match := builtFrom.FindSubmatch(content)
	if match == nil {
		return "", errors.New("builder-config.yaml names no otlpreceiver, whose version tells that of the Collector")
	}
	return string(match[1]), nil
}

// moduleDirectory returns where the Go tools keep a module, downloading it if necessary.
func moduleDirectory(root, module string) (string, error) {
	cmd := exec.Command("go", "mod", "download", "-json", module) //nolint:gosec // names are constants above
	cmd.Dir = root
	out, err := cmd.Output()
	var answer struct{ Dir, Error string }
	if decodeErr := json.Unmarshal(out, &answer); decodeErr != nil || answer.Dir == "" {
		return "", fmt.Errorf("go mod download %s: %s %w", module, answer.Error, errors.Join(err, decodeErr))
	}
	return answer.Dir, nil
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for key := range m {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}
