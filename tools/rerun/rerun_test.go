// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

// Package rerun tests rerun.sh and npm.sh, which run the tests in continuous integration.
package rerun // import "github.com/otelcol-amplitude/otelcol-amplitude/tools/rerun"

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// firstTime is true only on a package's first call.
const firstTime = `
func firstTime() bool { return os.Mkdir("asked", 0o700) == nil }
`

// packages each fail in their own way, or not at all.
var packages = map[string]string{
	"fine":  `func TestFine(t *testing.T) {}`,
	"flaky": `func TestFlaky(t *testing.T) { if firstTime() { t.Error("late") } }; func TestOther(t *testing.T) {}` + firstTime,
	"wrong": `func TestWrong(t *testing.T) { t.Error("off by one") }`,
	"leak":  `func TestFine(t *testing.T) {}; func TestMain(m *testing.M) { m.Run(); if firstTime() { fmt.Println("leaked"); os.Exit(1) } }` + firstTime,
	"fatal": `func TestFatal(t *testing.T) { if firstTime() { os.Exit(2) } }; func TestNever(t *testing.T) {}` + firstTime,
	"panic": `func TestPanic(t *testing.T) { if firstTime() { panic("oh") } }` + firstTime,
}

func TestOnlyATestThatPassesTheSecondTimeIsForgiven(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("continuous integration runs on Linux")
	}
	script, err := filepath.Abs("rerun.sh")
	require.NoError(t, err)
	for _, tc := range []struct {
		packages []string
		fails    bool
		says     string
		flaky    string
	}{
		{packages: []string{"fine", "flaky"}, says: "late", flaky: "example.com/m/flaky.TestFlaky\n"},
		{packages: []string{"fine", "flaky", "wrong"}, fails: true, says: "off by one", flaky: "example.com/m/flaky.TestFlaky\n"},
		{packages: []string{"fine", "leak"}, fails: true, says: "FAIL example.com/m/leak: failed outside of its tests"},
		{packages: []string{"fatal"}, fails: true, says: "FAIL example.com/m/fatal: failed outside of its tests", flaky: "example.com/m/fatal.TestFatal\n"},
		{packages: []string{"panic"}, fails: true, says: "panic: oh"},
	} {
		t.Run(strings.Join(tc.packages, "_"), func(t *testing.T) {
			t.Parallel()
			root := t.TempDir()
			write(t, root, "go.mod", "module example.com/m\n\ngo 1.25\n")
			flaky := filepath.Join(root, "flaky.txt")
			arguments := []string{"RERUN_FAILS=" + flaky, "GOWORK=off", script, "-count=1"}
			for _, name := range tc.packages {
				text := "package " + name + "\n\nimport (\n\t\"fmt\"\n\t\"os\"\n\t\"testing\"\n)\n\nvar _, _ = fmt.Println, os.Exit\n\n" + packages[name]
				write(t, root, filepath.Join(name, "some_test.go"), text)
				arguments = append(arguments, "./"+name)
			}
			// The compiler may need the caller's proxy: see cleanenv.
			cmd := exec.Command("env", arguments...)
			cmd.Dir = root
			out, err := cmd.CombinedOutput()
			if tc.fails {
				require.Error(t, err, "%s", out)
			} else {
				require.NoError(t, err, "%s", out)
			}
			assert.Contains(t, string(out), tc.says)
			names, err := os.ReadFile(flaky)
			require.NoError(t, err)
			assert.Equal(t, tc.flaky, string(names), "%s", out)
		})
	}
}

func TestNodeTestsThatFailedAreNamed(t *testing.T) {
	if _, err := exec.LookPath("npm"); err != nil || runtime.GOOS == "windows" {
		t.Skip("npm was not found: install Node.js")
	}
	script, err := filepath.Abs("npm.sh")
	require.NoError(t, err)
	for name, tc := range map[string]struct {
		tests string
		fails bool
		says  string
		flaky string
	}{
		"fine":  {tests: `test("fine", () => {});`},
		"flaky": {tests: `test("fine", () => {}); test("flaky", late);`, says: "==> some/tests failed, and runs once more. Failed were\nsome/tests: flaky\n", flaky: "some/tests: flaky\n"},
		"wrong": {
			tests: `test("flaky", late); test("wrong", () => { throw new Error("off by one"); });`, fails: true,
			says: "==> some/tests failed twice. Failed were the first time\nsome/tests: flaky\nsome/tests: wrong\nand the second time\nsome/tests: wrong\n",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			root := t.TempDir()
			write(t, root, "some/tests/package.json", `{"type": "module", "scripts": {"test": "node --test --test-concurrency=1"}}`)
			write(t, root, "some/tests/some.test.js", `import { existsSync, mkdirSync } from "node:fs"; import { test } from "node:test";
const late = () => { if (!existsSync("asked")) { mkdirSync("asked"); throw new Error("late"); } };
`+tc.tests)
			flaky := filepath.Join(root, "flaky.txt")
			cmd := exec.Command("env", "RERUN_FAILS="+flaky, script, "some/tests")
			cmd.Dir = root
			out, err := cmd.CombinedOutput()
			assert.Equal(t, tc.fails, err != nil, "%s", out)
			assert.Contains(t, string(out), tc.says)
			names, _ := os.ReadFile(flaky)
			assert.Equal(t, tc.flaky, string(names), "%s", out)
		})
	}
}

func write(t *testing.T, root, name, text string) {
	t.Helper()
	path := filepath.Join(root, name)
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o750))
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
}
