// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package docs

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/confmap"

	"github.com/otelcol-amplitude/otelcol-amplitude/e2e/harness"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/cleanenv"
)

// TestConfigurations asks the Collector whether it would start with each configuration.
func TestConfigurations(t *testing.T) {
	collector := harness.Binary(t, "otelcol-amplitude")
	eachBlock(t, "validate", func(t *testing.T, p *page, i int, _ string) {
		validate(t, collector, p.blocks[i].text)
	})
	eachBlock(t, "file", func(t *testing.T, p *page, i int, argument string) {
		if filepath.Ext(argument) == ".yaml" {
			validate(t, collector, p.blocks[i].text)
		}
	})
}

func validate(t *testing.T, collector, text string) {
	t.Helper()
	cmd := exec.Command(collector, append([]string{"validate"}, configArguments(t, text)...)...)
	cmd.Dir = t.TempDir()
	cmd.Env = cleanenv.Environ("AMPLITUDE_API_KEY=0123456789abcdef", "AMPLITUDE_EU_API_KEY=0123456789abcdef", "ID_SALT=salt", "BROWSERS_TOKEN=token")
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
}

// configArguments returns the command-line arguments for a configuration. One without receivers or exporters is a part,
// which is merged over config.example.yaml.
func configArguments(t *testing.T, text string) []string {
	t.Helper()
	var arguments []string
	if content := readYAML(t, text); content["receivers"] == nil || content["exporters"] == nil {
		arguments = append(arguments, "--config", filepath.Join(harness.Root(), "config.example.yaml"))
	}
	file := filepath.Join(t.TempDir(), "config.yaml")
	require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	return append(arguments, "--config", file)
}

func readYAML(t testing.TB, text string) map[string]any {
	t.Helper()
	retrieved, err := confmap.NewRetrievedFromYAML([]byte(text))
	require.NoError(t, err)
	raw, err := retrieved.AsRaw()
	require.NoError(t, err)
	content, ok := raw.(map[string]any)
	require.True(t, ok, "not a YAML map: %s", text)
	return content
}

func readFile(t testing.TB, name string) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(harness.Root(), filepath.FromSlash(name)))
	require.NoError(t, err)
	return string(content)
}

// TestManifests: builder manifests on pages name components that are in ours, with the same import paths.
func TestManifests(t *testing.T) {
	ours := manifestLines(t, readFile(t, "builder-config.yaml"))
	eachBlock(t, "manifest", func(t *testing.T, p *page, i int, _ string) {
		shown := manifestLines(t, p.blocks[i].text)
		require.NotEmpty(t, shown)
		for _, one := range shown {
			assert.Contains(t, ours, one)
		}
	})
}

// manifestLines returns the components of a manifest as "kind module import", with the version for modules of the
// Collector, whose versions must match.
func manifestLines(t testing.TB, text string) []string {
	t.Helper()
	var lines []string
	for kind, list := range readYAML(t, text) {
		entries, ok := list.([]any)
		if !ok {
			continue
		}
		for _, entry := range entries {
			one, ok := entry.(map[string]any)
			if !ok { // replacements of modules
				continue
			}
			module := one["gomod"].(string)
			imports, _ := one["import"].(string)
			if imports != "" {
				module, _, _ = strings.Cut(module, " ")
			}
			lines = append(lines, strings.TrimSpace(kind+" "+module+" "+imports))
		}
	}
	return lines
}

// TestPartsOfConfigurations: the parts of files shown on pages are in the files.
func TestPartsOfConfigurations(t *testing.T) {
	eachBlock(t, "part", func(t *testing.T, p *page, i int, argument string) {
		whole := readYAML(t, readFile(t, strings.TrimPrefix(argument, "of ")))
		isPart(t, readYAML(t, p.blocks[i].text), whole, "")
	})
}

func isPart(t *testing.T, part, whole any, at string) {
	t.Helper()
	inPart, ok := part.(map[string]any)
	inWhole, both := whole.(map[string]any)
	if !ok || !both {
		assert.Equal(t, whole, part, at)
		return
	}
	for key, value := range inPart {
		if assert.Contains(t, inWhole, key, at) {
			isPart(t, value, inWhole[key], at+"::"+key)
		}
	}
}

// TestInstalledVersions: pages install the package versions that the examples are tested with.
func TestInstalledVersions(t *testing.T) {
	var node struct{ Dependencies map[string]string }
	require.NoError(t, json.Unmarshal([]byte(readFile(t, "examples/shop-node/package.json")), &node))
	versions := node.Dependencies
	for line := range strings.Lines(readFile(t, "examples/go.mod")) {
		if words := strings.Fields(line); len(words) > 1 {
			versions[words[0]] = words[1]
		}
	}
	eachBlock(t, "install", func(t *testing.T, p *page, i int, _ string) {
		installed := 0
		for _, word := range strings.Fields(p.blocks[i].text) {
			at := strings.LastIndexByte(word, '@')
			if at <= 0 {
				continue
			}
			installed++
			assert.Equal(t, versions[word[:at]], word[at+1:], word)
		}
		require.Positive(t, installed)
	})
}

// TestExcerpts: lines from a file on a page are in the file, in this order and consecutive. Common indentation is
// ignored, and so is the difference between tabs and spaces.
func TestExcerpts(t *testing.T) {
	eachBlock(t, "from", func(t *testing.T, p *page, i int, argument string) {
		assert.Contains(t, trimmedLines(readFile(t, argument)), trimmedLines(p.blocks[i].text), "%s is not in %s as it stands", p.blocks[i].at, argument)
	})
}

func trimmedLines(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		b.WriteString(strings.TrimSpace(line))
		b.WriteByte('\n')
	}
	return b.String()
}
