// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package docs

import (
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/otelcol-amplitude/otelcol-amplitude/e2e/harness"
)

// page is a Markdown file.
type page struct {
	path    string // from the root of the repository, with slashes
	blocks  []block
	tables  []table
	links   []link
	anchors map[string]bool
}

// block is a fenced block.
type block struct {
	at       string // file:line of the fence
	language string
	marker   string // the text after "test:" in the comment before it
	text     string
}

// table is a table with a marker. Its rows are cells, the header first.
type table struct {
	at, marker string
	rows       [][]string
	// base is the preceding block marked "base".
	base string
}

type link struct {
	at, target string
}

var (
	markerLine  = regexp.MustCompile(`^<!-- test: (.*) -->$`)
	pageMarker  = regexp.MustCompile(`(?m)^<!-- test page: (.*) -->$`)
	fenceLine   = regexp.MustCompile("^ {0,3}(```+|~~~+) *([^` ]*)[^`]*$")
	headingLine = regexp.MustCompile(`^#{1,6} +(.*?)[ #]*$`)
	codeSpan    = regexp.MustCompile("`+[^`]*`+")
	inlineLink  = regexp.MustCompile(`\]\(\s*<?([^)\s>]+)>?(?:\s+"[^"]*")?\s*\)`)
	reference   = regexp.MustCompile(`^ {0,3}\[[^\]]+\]: *<?([^\s>]+)`)
	autoLink    = regexp.MustCompile(`<(https?://[^>]+)>`)
	htmlLink    = regexp.MustCompile(`(?:href|src)="([^"]+)"`)
	htmlAnchor  = regexp.MustCompile(`<a (?:id|name)="([^"]+)"`)
	linkText    = regexp.MustCompile(`!?\[([^\]]*)\]\([^)]*\)`)
	notInAnchor = regexp.MustCompile(`[^\p{L}\p{N}\p{M}\p{Pc} -]`)
)

// parse reads what the tests need from a Markdown file.
func parse(name, text string) *page {
	p := &page{path: name, anchors: map[string]bool{}}
	byDefault := ""
	if m := pageMarker.FindStringSubmatch(text); m != nil {
		byDefault = m[1]
	}
	marker, base, fence := "", "", ""
	var open *block
	var rows *table
	for i, line := range strings.Split(text, "\n") {
		at := fmt.Sprintf("%s:%d", name, i+1)
		if open != nil {
			if trimmed := strings.TrimSpace(line); strings.HasPrefix(trimmed, fence) && strings.Trim(trimmed, fence[:1]) == "" {
				if open.marker == "base" {
					base = open.text
				}
				p.blocks = append(p.blocks, *open)
				open = nil
				continue
			}
			open.text += line + "\n"
			continue
		}
		if m := fenceLine.FindStringSubmatch(line); m != nil {
			if marker == "" && isTested(m[2]) {
				marker = byDefault
			}
			open, fence = &block{at: at, language: m[2], marker: marker}, m[1]
			marker = ""
			continue
		}
		if strings.HasPrefix(line, "|") && (marker != "" || rows != nil) {
			if rows == nil {
				rows = &table{at: at, marker: marker, base: base}
				marker = ""
			}
			rows.rows = append(rows.rows, cells(line))
		} else if rows != nil {
			p.tables = append(p.tables, *rows)
			rows = nil
		}
		if m := markerLine.FindStringSubmatch(line); m != nil {
			marker = m[1]
			continue
		}
		if m := headingLine.FindStringSubmatch(line); m != nil {
			p.addAnchor(slug(m[1]))
		}
		p.readLine(at, line)
	}
	return p
}

func (p *page) readLine(at, line string) {
	for _, m := range htmlAnchor.FindAllStringSubmatch(line, -1) {
		p.anchors[m[1]] = true
	}
	line = codeSpan.ReplaceAllString(line, "`")
	if strings.HasPrefix(line, "[comment]:") {
		return // generated content
	}
	for _, pattern := range []*regexp.Regexp{inlineLink, reference, autoLink, htmlLink} {
		for _, m := range pattern.FindAllStringSubmatch(line, -1) {
			p.links = append(p.links, link{at, m[1]})
		}
	}
}

// addAnchor numbers headings of the same name as GitHub does.
func (p *page) addAnchor(name string) {
	unique := name
	for n := 1; p.anchors[unique]; n++ {
		unique = fmt.Sprintf("%s-%d", name, n)
	}
	p.anchors[unique] = true
}

// slug returns GitHub's anchor for a heading.
func slug(heading string) string {
	heading = linkText.ReplaceAllString(heading, "$1")
	return strings.ReplaceAll(notInAnchor.ReplaceAllString(strings.ToLower(heading), ""), " ", "-")
}

// cells splits a row of a table; \| is not a border.
func cells(line string) []string {
	const escaped = "\x00"
	line = strings.ReplaceAll(strings.Trim(strings.TrimSpace(line), "|"), `\|`, escaped)
	parts := strings.Split(line, "|")
	for i := range parts {
		parts[i] = strings.TrimSpace(strings.ReplaceAll(parts[i], escaped, "|"))
	}
	return parts
}

// spans returns the texts between backticks.
func spans(cell string) []string {
	var texts []string
	for _, m := range codeSpan.FindAllString(cell, -1) {
		texts = append(texts, strings.Trim(m, "`"))
	}
	return texts
}

// isTested reports whether a block of a language must say how it is tested.
func isTested(language string) bool {
	switch language {
	case "console", "shell", "sh", "bash", "yaml", "json":
		return true
	}
	return false
}

// files returns the files of the repository, tracked or new.
func files(t testing.TB, patterns ...string) []string {
	t.Helper()
	cmd := exec.Command("git", append([]string{"ls-files", "--cached", "--others", "--exclude-standard", "--deduplicate", "--"}, patterns...)...)
	cmd.Dir = harness.Root()
	out, err := cmd.Output()
	require.NoError(t, err, "the tests of the documentation need a git checkout")
	var found []string
	for file := range strings.Lines(string(out)) {
		file = strings.TrimSpace(file)
		if _, err := os.Stat(filepath.Join(harness.Root(), file)); err == nil { // not deleted
			found = append(found, file)
		}
	}
	return found
}

// pages reads all Markdown files meant for readers; generators put those in tools/ into pages.
func pages(t testing.TB) []*page {
	t.Helper()
	var all []*page
	for _, name := range files(t, "*.md") {
		if strings.Contains(name, "testdata/") || strings.HasPrefix(name, "tools/") {
			continue
		}
		text, err := os.ReadFile(filepath.Join(harness.Root(), filepath.FromSlash(name)))
		require.NoError(t, err)
		all = append(all, parse(name, string(text)))
	}
	require.NotEmpty(t, all)
	return all
}

// eachBlock runs a test for each block whose marker starts with a word, and fails if there is none.
func eachBlock(t *testing.T, word string, test func(t *testing.T, p *page, i int, argument string)) {
	t.Helper()
	found := 0
	for _, p := range pages(t) {
		for i, b := range p.blocks {
			first, argument, _ := strings.Cut(b.marker, " ")
			if first != word {
				continue
			}
			found++
			t.Run(b.at, func(t *testing.T) { test(t, p, i, argument) })
		}
	}
	require.Positive(t, found, "no block is marked %q: is the parser broken?", word)
}

func TestParser(t *testing.T) {
	p := parse("docs/a.md", strings.Join([]string{
		"# A `code` heading: with, marks",
		"## Same", "## Same",
		`text <a id="own"></a> [one](../README.md#try-it "title") and [two][ref] ![p](images/a.png) <https://example.org/x>`,
		"`[no](link)`",
		"", "[ref]: b.md", "",
		"<!-- test: validate -->",
		"```yaml", "a: 1", "# no heading", "```",
		"```json", "{}", "```",
		"````text", "```yaml", "````",
		"<!-- test: truth -->",
		"| a | b |", "|---|---|", `| x \| y | ` + "`z`" + ` |`,
	}, "\n")+"\n")
	assert.Equal(t, map[string]bool{"a-code-heading-with-marks": true, "same": true, "same-1": true, "own": true}, p.anchors)
	var targets []string
	for _, l := range p.links {
		targets = append(targets, l.target)
	}
	assert.Equal(t, []string{"../README.md#try-it", "images/a.png", "https://example.org/x", "b.md"}, targets)
	assert.Equal(t, []block{
		{"docs/a.md:10", "yaml", "validate", "a: 1\n# no heading\n"},
		{"docs/a.md:14", "json", "", "{}\n"},
		{"docs/a.md:17", "text", "", "```yaml\n"},
	}, p.blocks)
	require.Len(t, p.tables, 1)
	assert.Equal(t, [][]string{{"a", "b"}, {"---", "---"}, {"x | y", "`z`"}}, p.tables[0].rows)
	assert.Equal(t, "README.md", path.Join(path.Dir(p.path), "../README.md"))
}
