// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package architecture_test

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestOneEnvironment: processes started by tests, demonstrations and benchmarks get cleanenv.Environ, never the
// caller's environment. The demonstration first cleans its own process.
func TestOneEnvironment(t *testing.T) {
	allowed := map[string]bool{"internal/cleanenv/cleanenv.go": true, "examples/demo/shop.go": true}
	looked := 0
	require.NoError(t, filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if base := entry.Name(); entry.IsDir() && name != root && (base == "node_modules" || base[0] == '.' || base[0] == '_') {
			return fs.SkipDir
		}
		if filepath.Ext(name) != ".go" {
			return nil
		}
		relative, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		content, err := os.ReadFile(name)
		looked++
		if !allowed[filepath.ToSlash(relative)] {
			assert.False(t, bytes.Contains(content, []byte("os."+"Environ(")), "%s passes on the caller's environment: use cleanenv.Environ", relative)
		}
		return err
	}))
	require.Greater(t, looked, 100)
}
