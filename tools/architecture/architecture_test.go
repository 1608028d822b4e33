// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package architecture_test

import (
	"errors"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const (
	root   = "../.."
	module = "github.com/otelcol-amplitude/otelcol-amplitude/"
	// collector is the prefix of the Collector's packages, which the local Amplitude does not use.
	collector = "go.opentelemetry.io/collector/"
)

// floors are the folders of the house from the ground up. A package imports its own room and the floors below; a room is
// a folder on a floor, such as one component.
var floors = []struct {
	folders []string
	// oneRoom says that all packages of a folder are one room.
	oneRoom bool
}{
	{folders: []string{"internal", "sandbox"}, oneRoom: true},
	{folders: []string{"processor", "exporter", "receiver", "connector", "extension"}},
	{folders: []string{"cmd", "tools"}},
	{folders: []string{"e2e", "deploy"}, oneRoom: true},
}

// cellar are the packages below the ground floor: helpers that know nothing about the house and that any room may use.
var cellar = []string{"internal/diagnostics", "internal/loopback", "internal/pattern"}

// roomOf finds the floor of a package of this module and the room on it.
func roomOf(pkg string) (floor int, room string, found bool) {
	parts := strings.Split(pkg, "/")
	for i, f := range floors {
		for _, folder := range f.folders {
			switch {
			case folder != parts[0]:
			case f.oneRoom || len(parts) == 1:
				return i, folder, true
			default:
				return i, path.Join(parts[:2]...), true
			}
		}
	}
	return 0, "", false
}

// TestArrowsRunOneWay: no import goes up, or sideways into another room.
func TestArrowsRunOneWay(t *testing.T) {
	seen, homeless, wrong := map[string]bool{}, map[string]bool{}, map[string]bool{}
	eachImport(t, func(file, pkg, imported string) {
		floor, room, found := roomOf(pkg)
		if !found {
			homeless[pkg] = true
			return
		}
		seen[room] = true
		if strings.HasSuffix(file, "_test.go") && room != "internal" {
			return // a test of a component may drive another one
		}
		if room == "sandbox" && strings.HasPrefix(imported, collector) {
			wrong[file+" imports "+imported] = true
		}
		imported, ours := strings.CutPrefix(imported, module)
		if !ours || slices.Contains(cellar, imported) {
			return
		}
		if below, other, found := roomOf(imported); !found || (below >= floor && other != room) {
			wrong[file+" imports "+imported] = true
		}
	})
	assert.Empty(t, homeless, "packages on no floor of the house: give them one here and in CONTRIBUTING.md")
	assert.Empty(t, wrong, "imports run from the rooms above to those below, and into no other room")
	for _, room := range []string{"internal", "sandbox", "processor/amplitudeexperimentprocessor", "exporter/amplitudeexporter", "e2e"} {
		assert.True(t, seen[room], "%s was not looked at", room)
	}
}

// TestSupportForTestsStaysInTests: product code imports neither testing packages nor helpers of tests, which would link
// them into the Collector.
func TestSupportForTestsStaysInTests(t *testing.T) {
	isSupport := func(pkg string) bool {
		return strings.HasSuffix(pkg, "test") || pkg == "testing" || strings.HasPrefix(pkg, "github.com/stretchr/testify/")
	}
	wrong, tests := map[string]bool{}, 0
	eachImport(t, func(file, pkg, imported string) {
		switch {
		case !isSupport(imported):
		case strings.HasSuffix(file, "_test.go"), strings.HasSuffix(pkg, "test"), pkg == "e2e/harness":
			tests++
		default:
			wrong[file+" imports "+imported] = true
		}
	})
	assert.Empty(t, wrong, "helpers of tests are for tests")
	assert.NotZero(t, tests)
}

// TestHouseIsDrawn: CONTRIBUTING.md draws each room, and of internal/ each folder in it.
func TestHouseIsDrawn(t *testing.T) {
	page := read(t, ".", "CONTRIBUTING.md")
	_, house, _ := strings.Cut(page, "## Layout of the repository\n\n```\n")
	house, _, found := strings.Cut(house, "```\n")
	require.True(t, found, "CONTRIBUTING.md shows the layout of the repository")
	rooms := map[string]bool{}
	eachImport(t, func(_, pkg, _ string) {
		if parts := strings.Split(pkg, "/"); parts[0] == "internal" && len(parts) > 1 {
			rooms[parts[1]] = true
		} else if _, room, found := roomOf(pkg); found {
			rooms[room] = true
		}
	})
	require.NotEmpty(t, rooms)
	for room := range rooms {
		assert.Contains(t, house, room, "CONTRIBUTING.md does not mention this room")
	}
}

// eachImport calls do for each import of each Go file in this module.
func eachImport(t *testing.T, do func(file, pkg, imported string)) {
	t.Helper()
	files := token.NewFileSet()
	require.NoError(t, filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		if entry.IsDir() {
			return skipped(name, relative)
		}
		if filepath.Ext(name) != ".go" {
			return nil
		}
		parsed, err := parser.ParseFile(files, name, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		for _, spec := range parsed.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			do(filepath.ToSlash(relative), filepath.ToSlash(filepath.Dir(relative)), imported)
		}
		return nil
	}))
}

// skipped returns [fs.SkipDir] for a directory whose Go files are not in this module.
func skipped(name, relative string) error {
	base := filepath.Base(relative)
	if relative != "." && (base == "testdata" || base == "node_modules" || strings.HasPrefix(base, ".") || strings.HasPrefix(base, "_")) {
		return fs.SkipDir
	}
	if relative == "." {
		return nil
	}
	_, err := os.Stat(filepath.Join(name, "go.mod"))
	switch {
	case err == nil:
		return fs.SkipDir
	case errors.Is(err, fs.ErrNotExist):
		return nil
	}
	return err
}
