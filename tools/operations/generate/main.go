// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

// Command generate writes the Grafana dashboard and the Prometheus alert rules.
package main // import "github.com/otelcol-amplitude/otelcol-amplitude/tools/operations/generate"

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"

	"github.com/otelcol-amplitude/otelcol-amplitude/tools/operations"
)

func main() {
	root := flag.String("root", ".", "root of the repository")
	flag.Parse()
	if err := generate(*root); err != nil {
		fmt.Fprintln(os.Stderr, "generate:", err)
		os.Exit(1)
	}
}

func generate(root string) error {
	catalog, err := operations.LoadCatalog(root)
	if err != nil {
		return err
	}
	files, _, err := catalog.Files()
	if err != nil {
		return err
	}
	for name, content := range files {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil { //nolint:gosec // public files of the repository
			return err
		}
		if err := os.WriteFile(path, content, 0o644); err != nil { //nolint:gosec // public files of the repository
			return err
		}
	}
	return nil
}
