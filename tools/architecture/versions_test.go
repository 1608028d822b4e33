// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package architecture_test

import (
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var coreModule = regexp.MustCompile(`(?m)^\s+(?:- gomod: )?go\.opentelemetry\.io/collector/(\S+) (v[0-9.]+)`)

// coreVersions returns the versions of the core's modules in a module file or a manifest, except those that lag behind.
func coreVersions(t *testing.T, file string, behind ...string) (beta, stable string) {
	t.Helper()
	versions := map[bool]string{}
	for _, match := range coreModule.FindAllStringSubmatch(read(t, "", file), -1) {
		name, version := match[1], match[2]
		if slices.Contains(behind, name) {
			continue
		}
		isBeta := strings.HasPrefix(version, "v0.")
		if versions[isBeta] == "" {
			versions[isBeta] = version
		}
		assert.Equal(t, versions[isBeta], version, "%s: %s", file, name)
	}
	return versions[true], versions[false]
}

// TestCoreVersions: go.mod requires the oldest core; newest.mod, the builder and the manifests name the newest one; and
// the pages name both.
func TestCoreVersions(t *testing.T) {
	oldestBeta, oldestStable := coreVersions(t, "go.mod")
	beta, stable := coreVersions(t, "newest.mod")
	// The newest available memorylimiterextension.
	inManifest, stableInManifest := coreVersions(t, "builder-config.yaml", "extension/memorylimiterextension")
	assert.Equal(t, beta, inManifest)
	assert.Equal(t, stable, stableInManifest)
	for _, manifest := range []string{"bench/builder-config.yaml", "examples/scale-out/builder-config.yaml"} {
		inManifest, stableInManifest := coreVersions(t, manifest, "extension/memorylimiterextension")
		assert.Equal(t, beta, inManifest, manifest)
		assert.Equal(t, stable, stableInManifest, manifest)
	}
	assert.Contains(t, read(t, "", "internal/tools/go.mod"), "go.opentelemetry.io/collector/cmd/builder "+beta+" ", "the builder decides the version of the service")

	span := oldestBeta + " / " + oldestStable + " to " + beta + " / " + stable
	for _, page := range []string{"README.md", "CONTRIBUTING.md", "docs/operations.md", "docs/dependencies.md"} {
		assert.Contains(t, read(t, "", page), span)
	}
}

// TestAssumptionsAreListed: the page and the tests name the same assumptions about the core's internals.
func TestAssumptionsAreListed(t *testing.T) {
	name := regexp.MustCompile(`TestAssumption[A-Z]\w+`)
	listed := map[string]bool{}
	for _, one := range name.FindAllString(read(t, "", "docs/dependencies.md"), -1) {
		listed[one] = true
	}
	require.NotEmpty(t, listed)
	cmd := exec.Command("git", "grep", "-hoE", "^func TestAssumption[A-Z][A-Za-z0-9]+", "--", "*_test.go")
	cmd.Dir = root
	out, err := cmd.Output()
	require.NoError(t, err)
	tested := map[string]bool{}
	for line := range strings.Lines(string(out)) {
		if one := name.FindString(line); one != "" {
			tested[one] = true
		}
	}
	assert.Equal(t, listed, tested)
}
