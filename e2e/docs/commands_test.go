// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

//go:build docs

package docs

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/otelcol-amplitude/otelcol-amplitude/e2e/harness"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/cleanenv"
)

// mark separates the output of the blocks of a page.
const mark = "=== block "

// prelude is the shell setup for the commands of a page. A serving command is ended by TERM; it has its own process
// group, so that all of it ends.
const prelude = `set -eu
serve() { # port, command file
  stop
  setsid bash -eu "$2" >"$2.log" 2>&1 & server=$!
  for _ in $(seq 1200); do
    if [ "$1" = 13133 ]; then
      # The health check listens before the receivers do, and says so.
      if curl -sf -o /dev/null http://127.0.0.1:13133/; then return; fi
    elif (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; then return; fi
    kill -0 "$server" 2>/dev/null || break
    sleep 0.1
  done
  cat "$2.log"
  echo "nothing listens on port $1"
  exit 1
}
stop() {
  [ -n "${server:-}" ] || return 0
  kill -TERM -- "-$server" 2>/dev/null || true
  wait "$server" 2>/dev/null || true
  server=
}
trap stop EXIT
`

// TestCommands runs the commands of each page in a fresh copy of the repository, one after the other.
func TestCommands(t *testing.T) {
	checkout := freshCopy(t)
	ran := 0
	for _, p := range pages(t) {
		script := pageScript(t, p)
		if script == "" {
			continue
		}
		ran++
		t.Run(p.path, func(t *testing.T) {
			install(t, p, checkout)
			cmd := harness.Isolated("bash", "-c", prelude+script)
			cmd.Dir = checkout
			cmd.Env = cleanenv.Environ("AMPLITUDE_API_KEY=sandbox")
			var out bytes.Buffer
			cmd.Stdout, cmd.Stderr = &out, &out
			err := cmd.Run()
			require.NoError(t, err, "the block after the last mark failed:\n%s", out.String())
			comparePrinted(t, p, out.String())
		})
	}
	require.Positive(t, ran)
}

// install runs the commands of a page that fetch packages. Package managers get the caller's environment, for its proxy.
func install(t *testing.T, p *page, checkout string) {
	t.Helper()
	for _, b := range p.blocks {
		if b.marker != "install" {
			continue
		}
		cmd := exec.Command("bash", "-euc", pageFiles(p)+b.text)
		cmd.Dir = checkout
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s:\n%s", b.at, out)
	}
}

// pageFiles writes the files shown on a page.
func pageFiles(p *page) string {
	var script strings.Builder
	for _, b := range p.blocks {
		word, name, _ := strings.Cut(b.marker, " ")
		if (word == "file" || word == "manifest") && name != "" {
			fmt.Fprintf(&script, "mkdir -p %s\ncat >%s <<'=== end'\n%s=== end\n", path.Dir(name), name, b.text)
		}
	}
	return script.String()
}

// pageScript is empty for a page without commands.
func pageScript(t *testing.T, p *page) string {
	t.Helper()
	var script strings.Builder
	script.WriteString(pageFiles(p))
	commands := 0
	for i, b := range p.blocks {
		word, argument, _ := strings.Cut(b.marker, " ")
		switch word {
		case "start":
			file := filepath.Join(t.TempDir(), fmt.Sprintf("serve-%d", i))
			require.NoError(t, os.WriteFile(file, []byte(b.text), 0o600))
			fmt.Fprintf(&script, "echo; echo '%s%d %s'\nserve %s %s\n", mark, i, b.at, argument, file)
			commands++
		case "run":
			fmt.Fprintf(&script, "echo; echo '%s%d %s'\n%s\n", mark, i, b.at, b.text)
			commands++
		}
	}
	if commands == 0 {
		return ""
	}
	return script.String() + "echo; echo '" + mark + "end'\n"
}

// TestManifestBuilds builds a Collector from each manifest file on a page, and validates the page's configurations with
// it.
func TestManifestBuilds(t *testing.T) {
	eachBlock(t, "manifest", func(t *testing.T, p *page, i int, argument string) {
		require.NotEmpty(t, argument, "a manifest needs the name of its file: manifest NAME")
		builder := filepath.Join(t.TempDir(), "builder")
		tool := exec.Command("go", "build", "-modfile=internal/tools/go.mod", "-o", builder, "go.opentelemetry.io/collector/cmd/builder")
		tool.Dir = harness.Root()
		out, err := tool.CombinedOutput()
		require.NoError(t, err, "%s", out)
		manifest := filepath.Join(freshCopy(t), argument)
		folder := filepath.Dir(manifest)
		require.NoError(t, os.MkdirAll(folder, 0o750))
		require.NoError(t, os.WriteFile(manifest, []byte(p.blocks[i].text), 0o600))
		build := exec.Command(builder, "--config", filepath.Base(manifest))
		build.Dir = folder
		out, err = build.CombinedOutput()
		require.NoError(t, err, "%s", out)
		built, err := filepath.Glob(filepath.Join(folder, "_build", "my-*"))
		require.NoError(t, err)
		require.Len(t, built, 1)
		for _, b := range p.blocks {
			if name, ok := strings.CutPrefix(b.marker, "file "); ok && filepath.Ext(name) == ".yaml" {
				validate(t, built[0], b.text)
			}
		}
	})
}

// comparePrinted compares the output of commands with that on the page.
func comparePrinted(t *testing.T, p *page, out string) {
	t.Helper()
	printed := map[string]string{}
	for _, section := range strings.Split(out, "\n"+mark)[1:] {
		head, text, _ := strings.Cut(section, "\n")
		number, _, _ := strings.Cut(head, " ")
		printed[number] = text
	}
	for i, b := range p.blocks {
		if b.marker != "output" {
			continue
		}
		require.Positive(t, i, b.at)
		pattern := strings.ReplaceAll(regexp.QuoteMeta(strings.TrimSpace(b.text)), anything, "(?s:.*)")
		assert.Regexp(t, "(?m:^)"+pattern+"(?m:$)", strings.TrimSpace(printed[strconv.Itoa(i-1)]), b.at)
	}
}

// freshCopy copies what a clone would have, and what make has built, with its times, so that make does not build it
// again.
func freshCopy(t *testing.T) string {
	t.Helper()
	root, to := harness.Root(), filepath.Join(t.TempDir(), "otelcol-amplitude")
	for _, file := range files(t) {
		info, err := os.Lstat(filepath.Join(root, file))
		require.NoError(t, err)
		if !info.Mode().IsRegular() {
			continue
		}
		copyFile(t, filepath.Join(root, file), filepath.Join(to, file), info)
	}
	built, err := filepath.Glob(filepath.Join(root, "bin", "*"))
	require.NoError(t, err)
	for _, file := range built {
		info, err := os.Stat(file)
		require.NoError(t, err)
		if info.Mode()&0o100 != 0 && info.Mode().IsRegular() {
			copyFile(t, file, filepath.Join(to, "bin", filepath.Base(file)), info)
		}
	}
	return to
}

func copyFile(t *testing.T, from, to string, info os.FileInfo) {
	t.Helper()
	require.NoError(t, os.MkdirAll(filepath.Dir(to), 0o750))
	content, err := os.ReadFile(from)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(to, content, info.Mode().Perm()))
	require.NoError(t, os.Chtimes(to, info.ModTime(), info.ModTime()))
}
