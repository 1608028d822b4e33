// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package deploy

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/otelcol-amplitude/otelcol-amplitude/e2e/harness"
)

// TestDeploymentsSetTheGarbageCollector: every deployment gives the Collector GOGC, and a GOMEMLIMIT that agrees with its memory, as
// docs/operations.md says.
func TestDeploymentsSetTheGarbageCollector(t *testing.T) {
	seen := map[string]bool{}
	for _, d := range harness.Deployments(t) {
		t.Run(d.File, func(t *testing.T) {
			seen[d.File] = true
			assert.Equal(t, 200, d.GOGC, "GOGC")
			require.NotZero(t, d.Memory)
			assert.InDelta(t, 0.8, float64(d.MemoryLimit)/float64(d.Memory), 0.03, "GOMEMLIMIT is four fifths of the memory")
		})
	}
	for _, pattern := range []string{"docker/Dockerfile", "docker/compose*.yaml", "systemd/*.service", "helm/values*.yaml"} {
		files, err := filepath.Glob(in(filepath.FromSlash(pattern)))
		require.NoError(t, err)
		require.NotEmpty(t, files, pattern)
		for _, file := range files {
			name, err := filepath.Rel(in(), file)
			require.NoError(t, err)
			assert.True(t, seen[filepath.ToSlash(name)], "%s is a deployment that harness.Deployments does not read", name)
		}
	}
}
