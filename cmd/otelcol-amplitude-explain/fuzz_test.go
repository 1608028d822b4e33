// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// FuzzExplain: the command either explains any input or reports that it cannot; it never stops halfway.
func FuzzExplain(f *testing.F) {
	inputs, err := filepath.Glob("testdata/*.jsonl")
	require.NoError(f, err)
	for _, path := range inputs {
		content, err := os.ReadFile(path)
		require.NoError(f, err)
		for line := range bytes.Lines(content) {
			f.Add(line, true)
		}
	}
	f.Add([]byte("{}{}"), false)
	f.Add([]byte("\x0a\x00"), false)
	f.Fuzz(func(t *testing.T, input []byte, asJSON bool) {
		var args []string
		if asJSON {
			args = []string{"--json"}
		}
		status, out, stderr := command(t, input, args...)
		switch status {
		case 0:
			assert.Empty(t, stderr)
		case 2:
			assert.NotEmpty(t, stderr)
		default:
			t.Errorf("status %d", status)
		}
		if !asJSON {
			assert.Regexp(t, `\d+ records?`, out)
		}
	})
}
