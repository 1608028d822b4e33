// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package main // import "github.com/otelcol-amplitude/otelcol-amplitude/tools/reference"

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "reference:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 1 {
		return errors.New("usage: reference <root of the repository>")
	}
	if err := checkCore(args[0]); err != nil {
		return err
	}
	files, err := generate(args[0])
	if err != nil {
		return err
	}
	for _, path := range slices.Sorted(maps.Keys(files)) {
		to := filepath.Join(args[0], path)
		if err := os.MkdirAll(filepath.Dir(to), 0o750); err != nil { //nolint:gosec // who runs this names the directory
			return err
		}
		if err := os.WriteFile(to, files[path], 0o600); err != nil { //nolint:gosec // who runs this names the directory
			return err
		}
	}
	return nil
}

// generate returns the content of each generated file, by its path from the root of the repository.
func generate(root string) (map[string][]byte, error) {
	configs, err := readConfigs(root)
	if err != nil {
		return nil, err
	}
	metrics, err := readMetrics(root)
	if err != nil {
		return nil, err
	}
	files := map[string][]byte{
		"docs/configuration.md": configurationPage(configs),
		"docs/metrics.md":       metricsPage(metrics),
	}
	whole := collectorSchema()
	for _, c := range configs {
		one := c.schema()
		whole.add(c, one)
		if files[c.schemaPath()], err = one.document(c.title()); err != nil {
			return nil, err
		}
	}
	files[collectorSchemaPath], err = whole.document("An OpenTelemetry Collector with components for Amplitude Experiment")
	return files, err
}
