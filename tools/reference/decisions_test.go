// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestDecisionRecords: each record has its number, the three headings and a line in the list, and fits on a page. The
// targets of its links, and of those in generated pages, exist.
func TestDecisionRecords(t *testing.T) {
	dir := filepath.Join(root, "docs", "decisions")
	list, err := os.ReadFile(filepath.Join(dir, "README.md"))
	require.NoError(t, err)
	records, err := filepath.Glob(filepath.Join(dir, "0*.md"))
	require.NoError(t, err)
	require.NotEmpty(t, records)
	for i, path := range records {
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		title, _, _ := strings.Cut(string(text), "\n")
		number, title, _ := strings.Cut(strings.TrimPrefix(title, "# "), ". ")
		assert.Equal(t, strconv.Itoa(i+1), number, path)
		assert.True(t, strings.HasPrefix(filepath.Base(path), fmt.Sprintf("%04d-", i+1)), path)
		assert.Contains(t, string(list), fmt.Sprintf("%d. [%s](%s)\n", i+1, title, filepath.Base(path)))
		headings := regexp.MustCompile(`(?m)^## (.*)$`).FindAllString(string(text), -1)
		assert.Equal(t, []string{"## Context", "## Decision", "## Consequences"}, headings, path)
		assert.LessOrEqual(t, strings.Count(string(text), "\n"), 50, "%s is longer than a page", path)
	}
	pages := append(slices.Clone(records), filepath.Join(root, "docs", "configuration.md"), filepath.Join(root, "docs", "metrics.md"))
	for _, page := range pages {
		text, err := os.ReadFile(page)
		require.NoError(t, err)
		for _, link := range regexp.MustCompile(`\]\(([^)#]+)[^)]*\)`).FindAllStringSubmatch(string(text), -1) {
			if !strings.Contains(link[1], "://") {
				assert.FileExists(t, filepath.Join(filepath.Dir(page), link[1]), page)
			}
		}
	}
}
