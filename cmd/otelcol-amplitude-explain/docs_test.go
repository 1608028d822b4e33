// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// shownCommand matches a command line of a page with the output below it.
var shownCommand = regexp.MustCompile("(?s)(```console\n\\$ bin/otelcol-amplitude-explain ([^\n]*)\n)(.*?)```")

// TestDocumentation: the output shown on the page is the output of the command.
func TestDocumentation(t *testing.T) {
	t.Chdir("../..")
	const path = "docs/explain.md"
	page, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Len(t, shownCommand.FindAll(page, -1), 4)
	got := shownCommand.ReplaceAllStringFunc(string(page), func(block string) string {
		parts := shownCommand.FindStringSubmatch(block)
		line, from, redirected := strings.Cut(parts[2], " < ")
		var input []byte
		if redirected {
			input, err = os.ReadFile(from)
			require.NoError(t, err)
		}
		status, out, stderr := command(t, input, strings.Fields(line)...)
		assert.Equal(t, strings.Contains(out, "FAIL  ") || strings.Contains(out, "✗ "), status == exitDifferent, stderr)
		assert.NotEqual(t, exitUnreadable, status, stderr)
		return parts[1] + out + "```"
	})
	if *update {
		require.NoError(t, os.WriteFile(path, []byte(got), 0o600))
		return
	}
	assert.Equal(t, string(page), got, "run the test with -update")
}
