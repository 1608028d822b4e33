// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package docs

import (
	"path"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var (
	testFunction  = regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)[A-Z0-9]\w*)\(`)
	testNamed     = regexp.MustCompile("`((?:Test|Fuzz)[A-Z0-9][A-Za-z0-9_]*|[\\w./-]+\\.test\\.js)`")
	reasonMetrics = map[string]bool{"`rejected`": true, "`skipped`": true, "`undelivered_events`": true}
)

// TestNamedTestsExist: the tests that pages name as proof exist.
func TestNamedTestsExist(t *testing.T) {
	there := map[string]bool{}
	for _, file := range files(t) {
		there[file] = true
		if !strings.HasSuffix(file, "_test.go") {
			continue
		}
		text := readFile(t, file)
		for _, found := range testFunction.FindAllStringSubmatch(text, -1) {
			there[found[1]] = true
		}
	}
	named := 0
	for _, file := range files(t) {
		if path.Ext(file) != ".md" {
			continue
		}
		for _, found := range testNamed.FindAllStringSubmatch(readFile(t, file), -1) {
			named++
			assert.True(t, there[found[1]] || there[path.Join(path.Dir(file), found[1])], "%s names %s, which does not exist", file, found[1])
		}
	}
	assert.Greater(t, named, 100)
}

// TestEveryReasonIsExplained: troubleshooting says why a record was rejected or skipped, or an event not delivered, and
// what to do, for each reason that the metrics can show.
func TestEveryReasonIsExplained(t *testing.T) {
	page := readFile(t, "docs/troubleshooting.md")
	metrics, _, _ := strings.Cut(readFile(t, "docs/metrics.md"), "\n## Extension ") // those of the processor and the exporter come first
	seen := 0
	for _, row := range strings.Split(metrics, "\n") {
		cells := strings.Split(row, " | ")
		if len(cells) != 4 || cells[0] != "| `reason`" || !reasonMetrics[cells[1]] {
			continue
		}
		for _, reason := range strings.Split(strings.TrimSuffix(cells[3], " |"), ", ") {
			seen++
			explained := regexp.MustCompile(`(?m)^\| [^|]*` + regexp.QuoteMeta(reason)).MatchString(page)
			assert.True(t, explained, "docs/troubleshooting.md has no row for the reason %s of %s", reason, cells[1])
		}
	}
	assert.Greater(t, seen, 50)
}

// TestThreatsNameTheirTests: in the threat model, each row of who can write what, and everything that attackers cannot
// do, names the test that proves it.
func TestThreatsNameTheirTests(t *testing.T) {
	text := readFile(t, "docs/threat-model.md")
	section := func(title string) string {
		_, rest, found := strings.Cut(text, "\n## "+title+"\n")
		require.True(t, found, title)
		rest, _, _ = strings.Cut(rest, "\n## ")
		return rest
	}
	rows := strings.Split(section("Who can write what, and where"), "\n| ")[3:]
	require.Greater(t, len(rows), 8)
	for _, row := range rows {
		row, _, _ = strings.Cut(row, "\n\n")
		cells := strings.Split(row, "|")
		assert.Regexp(t, testNamed, cells[3], "what cannot be done: %s", row)
	}
	claims := strings.Split(section("Denial of service"), "\n* ")[1:]
	claims = append(claims, strings.Split(section("Personal data"), "\n* ")[1:]...)
	claims = append(claims, section("Secrets"))
	require.Greater(t, len(claims), 9)
	for _, claim := range claims {
		assert.Regexp(t, testNamed, claim)
	}
}
