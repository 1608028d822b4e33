// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestMain runs the tests with the core that we ship, in a separate `go test` if necessary.
func TestMain(m *testing.M) {
	flag.Parse()
	if checkCore(root) == nil {
		os.Exit(m.Run())
	}
	newest, err := filepath.Abs(filepath.Join(root, newestFile))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	cmd := exec.Command("go", "test", "-modfile="+newest, "-run", flag.Lookup("test.run").Value.String(), ".")
	cmd.Env = append(cmd.Environ(), "REFERENCE_TEST=again")
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if os.Getenv("REFERENCE_TEST") != "" {
		fmt.Fprintln(os.Stderr, checkCore(root))
		os.Exit(1)
	}
	if err := cmd.Run(); err != nil {
		os.Exit(1)
	}
}
