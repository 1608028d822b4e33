// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package docblock_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/docblock"
)

func TestRenew(t *testing.T) {
	const before = "# Page\n\n<!-- written by make bench: a -->\nold\n<!-- end of a -->\n\nby hand\n\n<!-- written by make bench: ab -->\n<!-- end of ab -->\n"
	const after = "# Page\n\n<!-- written by make bench: a -->\n\nnew\n\n<!-- end of a -->\n\nby hand\n\n<!-- written by make bench: ab -->\n<!-- end of ab -->\n"
	path := filepath.Join(t.TempDir(), "page.md")
	require.NoError(t, os.WriteFile(path, []byte(before), 0o600))
	content := func() string {
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		return string(text)
	}
	for range 2 { // an updated block can be updated again
		require.NoError(t, docblock.Renew(path, "make bench", "a", "\nnew\n"))
		assert.Equal(t, after, content())
	}

	require.ErrorContains(t, docblock.Renew(path, "make bench", "b", "new"), `there is no block "b": it begins with <!-- written by make bench: b --> and ends with <!-- end of b -->`)
	require.ErrorContains(t, docblock.Renew(path, "make other", "a", "new"), "no block")
	assert.Equal(t, after, content())

	require.NoError(t, os.WriteFile(path, []byte(before+before), 0o600))
	require.ErrorContains(t, docblock.Renew(path, "make bench", "a", "new"), `two blocks "a"`)
}

func TestGrouped(t *testing.T) {
	assert.Equal(t, "7", docblock.Grouped(7))
	assert.Equal(t, "-1,000", docblock.Grouped(int64(-1000)))
	assert.Equal(t, "75,857", docblock.Grouped(75_856.5001))
}
