// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// repository makes a git repository of two modules. The first has words, which is imported by talk and by the test of
// shout; the second has a package that imports words.
func repository(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	for name, text := range map[string]string{
		"go.mod":               "module example.com/m\n\ngo 1.24\n",
		"README.md":            "words\n",
		"words/words.go":       "package words\n\nconst Hello = \"hello\"\n",
		"words/testdata/x.txt": "x\n",
		"talk/talk.go":         "package talk\n\nimport \"example.com/m/words\"\n\nconst Said = words.Hello\n",
		"shout/shout.go":       "package shout\n",
		"shout/shout_test.go":  "package shout\n\nimport (\n\t\"testing\"\n\n\t\"example.com/m/talk\"\n)\n\nfunc TestSaid(t *testing.T) {\n\tif talk.Said != \"hello\" {\n\t\tt.Fatal(talk.Said)\n\t}\n}\n",
		"alone/alone.go":       "package alone\n",
		"e2e/e2e.go":           "package e2e\n\nimport _ \"example.com/m/words\"\n",
		"other/go.mod":         "module example.com/other\n\ngo 1.24\n\nrequire example.com/m v0.0.0\n\nreplace example.com/m => ../\n",
		"other/cite/cite.go":   "package cite\n\nimport _ \"example.com/m/words\"\n",
	} {
		write(t, root, name, text)
	}
	git(t, root, "init", "-q", "-b", "main")
	git(t, root, "add", ".")
	git(t, root, "-c", "user.name=test", "-c", "user.email=test@example.com", "commit", "-qm", "begin")
	return root
}

func write(t *testing.T, root, name, text string) {
	t.Helper()
	path := filepath.Join(root, filepath.FromSlash(name))
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o750))
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
}

func git(t *testing.T, root string, arguments ...string) {
	t.Helper()
	cmd := exec.Command("git", arguments...)
	cmd.Dir = root
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, string(out))
}

func TestAffected(t *testing.T) {
	const m = "example.com/m/"
	for _, tc := range []struct {
		name, file, text string
		want             []string
	}{
		{"what others import", "words/words.go", "package words\n\nconst Hello = \"hello\" // edited\n", []string{m + "shout", m + "talk", m + "words", "example.com/other/cite"}},
		{"a file for its tests", "words/testdata/new.txt", "new\n", []string{m + "shout", m + "talk", m + "words", "example.com/other/cite"}},
		{"what only a test imports", "talk/more.go", "package talk\n", []string{m + "shout", m + "talk"}},
		{"what nobody imports", "alone/more.go", "package alone\n", []string{m + "alone"}},
		{"an end-to-end test", "e2e/more.go", "package e2e\n", nil},
		{"the requirements of a module", "other/go.mod", "module example.com/other\n\ngo 1.24\n\nrequire example.com/m v0.0.0\n\nreplace example.com/m => ../\n// edited\n", []string{"example.com/other/cite"}},
		{"no Go", "README.md", "other words\n", nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			root := repository(t)
			write(t, root, tc.file, tc.text)
			var out strings.Builder
			require.NoError(t, run(root, "", true, &out))
			if tc.want == nil {
				assert.NotContains(t, out.String(), "example.com/")
				return
			}
			assert.Equal(t, tc.want, strings.Fields(out.String()))
		})
	}
}

// TestRun runs the tests affected by a branch's commits and by uncommitted edits.
func TestRun(t *testing.T) {
	root := repository(t)
	git(t, root, "checkout", "-qb", "branch")
	write(t, root, "words/words.go", "package words\n\nconst Hello = \"goodbye\"\n")
	git(t, root, "-c", "user.name=test", "-c", "user.email=test@example.com", "commit", "-qam", "break it")
	var out strings.Builder
	require.Error(t, run(root, "", false, &out))
	assert.Contains(t, out.String(), "--- FAIL: TestSaid")

	write(t, root, "words/words.go", "package words\n\nconst Hello = \"hello\" // again\n")
	out.Reset()
	require.NoError(t, run(root, "", false, &out), out.String())
	assert.Contains(t, out.String(), "ok  \texample.com/m/shout")
	assert.NotContains(t, out.String(), "example.com/m/alone")

	require.ErrorContains(t, run(root, "no-such-branch", false, &out), "no-such-branch")
}
