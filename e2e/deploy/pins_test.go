// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package deploy

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/otelcol-amplitude/otelcol-amplitude/e2e/harness"
)

var (
	uses   = regexp.MustCompile(`uses: (\S+)(.*)`)
	pinned = regexp.MustCompile(`^[A-Za-z0-9._/-]+@[0-9a-f]{40}$`)
	from   = regexp.MustCompile(`(?m)^FROM (?:--platform=\S+ )?(\S+)`)
	digest = regexp.MustCompile(`^\S+:\S+@sha256:[0-9a-f]{64}$`)
	stage  = regexp.MustCompile(`(?m) AS (\S+)$`)
)

// TestActionsArePinned: an action is named by commit, because a tag can be moved, and by version, for readers. A
// workflow starts without permissions, and does not persist its token.
func TestActionsArePinned(t *testing.T) {
	workflows, err := filepath.Glob(filepath.Join(harness.Root(), ".github", "workflows", "*.yml"))
	require.NoError(t, err)
	require.NotEmpty(t, workflows)
	commits := map[string]string{}
	for _, path := range workflows {
		content, err := os.ReadFile(path)
		require.NoError(t, err)
		for _, match := range uses.FindAllStringSubmatch(string(content), -1) {
			assert.Regexp(t, pinned, match[1], path)
			assert.Regexp(t, `^ # v\d+\.\d+\.\d+$`, match[2], "%s: %s", path, match[1])
			action, commit, _ := strings.Cut(match[1], "@")
			if other, ok := commits[action]; ok {
				assert.Equal(t, other, commit, "%s in %s is of another commit than elsewhere", action, path)
			}
			commits[action] = commit
		}
		var workflow struct {
			Permissions map[string]string `yaml:"permissions"`
			Jobs        map[string]struct {
				Permissions map[string]string `yaml:"permissions"`
			} `yaml:"jobs"`
		}
		require.NoError(t, yaml.Unmarshal(content, &workflow), path)
		assert.NotNil(t, workflow.Permissions, path)
		assert.Empty(t, workflow.Permissions, path)
		for name, job := range workflow.Jobs {
			assert.NotEmpty(t, job.Permissions, "%s: %s says what it may do", path, name)
		}
		assert.Equal(t, strings.Count(string(content), "actions/checkout@"), strings.Count(string(content), "persist-credentials: false"), path)
	}
}

// TestImagesArePinned: base images are named by digest, and are the same in workflows and Dockerfile.
func TestImagesArePinned(t *testing.T) {
	dockerfile, err := os.ReadFile(in("docker", "Dockerfile"))
	require.NoError(t, err)
	stages := map[string]bool{}
	for _, match := range stage.FindAllStringSubmatch(string(dockerfile), -1) {
		stages[match[1]] = true
	}
	var images []string
	for _, match := range from.FindAllStringSubmatch(string(dockerfile), -1) {
		if !stages[match[1]] {
			assert.Regexp(t, digest, match[1])
			images = append(images, match[1])
		}
	}
	require.Len(t, images, 2)
	for _, workflow := range []string{"ci.yml", "nightly.yml"} {
		content, err := os.ReadFile(filepath.Join(harness.Root(), ".github", "workflows", workflow))
		require.NoError(t, err)
		assert.Contains(t, string(content), "image: "+images[0]+"\n", "%s tests with another Go than the image is built with", workflow)
	}
}
