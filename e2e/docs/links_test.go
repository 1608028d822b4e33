// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package docs

import (
	"net/url"
	"path"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestLinks follows every link to a file in the repository, or a heading in it, and checks the form of other links.
func TestLinks(t *testing.T) {
	known := map[string]bool{".": true}
	for _, file := range files(t) {
		for ; file != "."; file = path.Dir(file) {
			known[file] = true
		}
	}
	all := pages(t)
	byPath := map[string]*page{}
	for _, p := range all {
		byPath[p.path] = p
	}
	for _, p := range all {
		for _, l := range p.links {
			u, err := url.Parse(l.target)
			require.NoError(t, err, l.at)
			if u.Scheme != "" {
				assert.Contains(t, []string{"http", "https", "mailto"}, u.Scheme, "%s: %s", l.at, l.target)
				assert.True(t, u.Host != "" || u.Opaque != "", "%s: %s names no host", l.at, l.target)
				continue
			}
			target := p.path
			if u.Path != "" {
				target = path.Join(path.Dir(p.path), u.Path)
			}
			if !assert.True(t, known[target] && !strings.HasPrefix(u.Path, "/"), "%s: %s is not in the repository", l.at, l.target) || u.Fragment == "" {
				continue
			}
			if assert.Contains(t, byPath, target, "%s: %s: only Markdown files have anchors", l.at, l.target) {
				assert.True(t, byPath[target].anchors[u.Fragment], "%s: %s has no heading #%s", l.at, target, u.Fragment)
			}
		}
	}
}

// TestEveryPageIsLinked: every page and every picture can be reached from the README.
func TestEveryPageIsLinked(t *testing.T) {
	linked := map[string][]string{}
	all := pages(t)
	for _, p := range all {
		for _, l := range p.links {
			if u, err := url.Parse(l.target); err == nil && u.Scheme == "" && u.Path != "" {
				linked[p.path] = append(linked[p.path], path.Join(path.Dir(p.path), u.Path))
			}
		}
	}
	reached := map[string]bool{}
	var visit func(string)
	visit = func(name string) {
		if reached[name] {
			return
		}
		reached[name] = true
		for _, next := range linked[name] {
			visit(next)
			visit(path.Join(next, "README.md"))
		}
	}
	visit("README.md")
	for _, p := range all {
		if strings.HasPrefix(p.path, "docs/") || path.Base(p.path) == "README.md" && strings.Count(p.path, "/") <= 2 {
			assert.True(t, reached[p.path], "no links lead from README.md to %s", p.path)
		}
	}
	for _, file := range files(t) {
		if strings.HasPrefix(file, "docs/images/") {
			assert.True(t, reached[file], "no page shows %s", file)
		}
	}
}
