// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

//go:build docs

package docs

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// evaluationsLogged are the records of the evaluations in testdata/hooks: with a variant, with an empty one, and
// without one but with a boolean, a number and an object.
var evaluationsLogged = []string{
	"feature_flag.result.reason=split feature_flag.result.variant=one-page",
	"feature_flag.result.reason=targeting_match feature_flag.result.value=one-page",
	"feature_flag.result.value=false",
	"feature_flag.result.value=7",
	"",
}

// TestHooks compiles and runs the hooks shown on a page. The packages of OpenFeature and OpenTelemetry are not
// available, so testdata/hooks has stand-ins for what they need.
func TestHooks(t *testing.T) {
	eachBlock(t, "hook", func(t *testing.T, p *page, i int, language string) {
		folder := t.TempDir()
		require.NoError(t, os.CopyFS(folder, os.DirFS(filepath.Join("testdata", "hooks", language))))
		save := func(name string) {
			require.NoError(t, os.WriteFile(filepath.Join(folder, name), []byte(p.blocks[i].text), 0o600))
		}
		var out string
		switch language {
		case "java":
			save("ExposureHook.java")
			inFolder(t, folder, "javac", "-Xlint:all", "-Werror", "Evaluations.java")
			out = inFolder(t, folder, "java", "-cp", ".", "Evaluations")
		case "python":
			save("exposure_hook.py")
			out = inFolder(t, folder, "python3", "evaluations.py")
		}
		var logged []string
		for line := range strings.Lines(out) {
			const always = "feature_flag.context.id=shopper-0042 feature_flag.key=checkout-flow feature_flag.provider.name=Shop"
			rest, ok := strings.CutPrefix(strings.TrimSpace(line), always)
			require.True(t, ok, line)
			rest, ok = strings.CutSuffix(rest, "otel.event.name=feature_flag.evaluation")
			require.True(t, ok, line)
			logged = append(logged, rest)
		}
		assert.Equal(t, evaluationsLogged, lowerReasons(logged))
	})
}

// lowerReasons converts the reasons to lower case for comparison.
func lowerReasons(lines []string) []string {
	for i, line := range lines {
		fields := strings.Fields(line)
		for j, field := range fields {
			if strings.HasPrefix(field, "feature_flag.result.reason=") {
				fields[j] = strings.ToLower(field)
			}
		}
		lines[i] = strings.Join(fields, " ")
	}
	return lines
}

func inFolder(t *testing.T, folder, program string, arguments ...string) string {
	t.Helper()
	if _, err := exec.LookPath(program); err != nil {
		t.Skipf("%s was not found, which runs this hook", program)
	}
	cmd := exec.Command(program, arguments...)
	cmd.Dir = folder
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	return string(out)
}
