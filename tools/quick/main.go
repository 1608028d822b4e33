// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

// Command quick is `make quick`: it tests the packages that a change affects, in every module of the repository, without
// the race detector and without the end-to-end tests.
//
// A change is everything that differs from the base branch: commits, edits and new files. It affects the package of a
// file (or, for testdata, the package above it) and every package that imports that one, even if only in tests. Files
// that a test reads from elsewhere in the repository are not considered: `make test` runs everything.
package main // import "github.com/otelcol-amplitude/otelcol-amplitude/tools/quick"

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

func main() {
	base := flag.String("base", "", "what the change is compared with; by default origin/main, else main")
	list := flag.Bool("list", false, "list the packages instead of testing them")
	flag.Parse()
	if err := run(".", *base, *list, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "make quick:", err)
		os.Exit(1)
	}
}

// run tests, or lists, the packages of the repository in root that differ from base.
func run(root, base string, list bool, w io.Writer) error {
	root, err := filepath.Abs(root)
	if err != nil {
		return err
	}
	if root, err = filepath.EvalSymlinks(root); err != nil {
		return err
	}
	files, from, err := changedFiles(root, base)
	if err != nil {
		return err
	}
	modules, err := gitLines(root, "ls-files", "--cached", "--others", "--exclude-standard", "go.mod", "*/go.mod")
	if err != nil {
		return err
	}
	slices.SortStableFunc(modules, func(a, b string) int { return len(a) - len(b) }) // the module of the components first
	byModule := map[string][]goPackage{}
	var all []goPackage
	for _, mod := range modules {
		module := filepath.Join(root, filepath.Dir(mod))
		packages, err := listPackages(module)
		if err != nil {
			return err
		}
		byModule[module] = packages
		all = append(all, packages...)
	}
	changed := changedPackages(root, files, all)
	if len(changed) == 0 {
		fmt.Fprintf(w, "no package differs from %s: nothing to test (make test tests everything)\n", from)
		return nil
	}
	var failed error
	for _, mod := range modules {
		module := filepath.Join(root, filepath.Dir(mod))
		affected := affectedPackages(changed, byModule[module])
		switch {
		case len(affected) == 0:
		case list:
			fmt.Fprintln(w, strings.Join(affected, "\n"))
		default:
			fmt.Fprintf(w, "==> %s: %d of %d packages are affected by what differs from %s\n", mod, len(affected), len(byModule[module]), from)
			cmd := exec.Command("go", append([]string{"test", "-short", "-timeout", "5m"}, affected...)...) //nolint:gosec // our own packages
			cmd.Dir, cmd.Stdout, cmd.Stderr = module, w, os.Stderr
			failed = errors.Join(failed, cmd.Run())
		}
	}
	return failed
}

// changedFiles returns the paths that differ from the merge base of base and HEAD, and a description of it.
func changedFiles(root, base string) (files []string, from string, err error) {
	candidates := []string{"origin/main", "main"}
	if base != "" {
		candidates = []string{base}
	}
	for _, candidate := range candidates {
		commit, err := gitLines(root, "merge-base", "HEAD", candidate)
		if err != nil || len(commit) == 0 {
			continue
		}
		known, err := gitLines(root, "diff", "--name-only", "--no-renames", commit[0])
		if err != nil {
			return nil, "", err
		}
		added, err := gitLines(root, "ls-files", "--others", "--exclude-standard")
		return append(known, added...), candidate, err
	}
	return nil, "", fmt.Errorf("git knows none of %s: name what to compare with, for instance make quick BASE=HEAD~1", strings.Join(candidates, ", "))
}

// listPackages lists the packages of a module with everything that they and their tests import.
func listPackages(module string) ([]goPackage, error) {
	cmd := exec.Command("go", "list", "-e", "-test", "-json=ImportPath,Dir,Deps,ForTest", "./...")
	var problems bytes.Buffer // among them a warning for a module that has no packages
	cmd.Dir, cmd.Stderr = module, &problems
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("list the packages of %s: %w\n%s", module, err, problems.String())
	}
	var packages []goPackage
	for d := json.NewDecoder(bytes.NewReader(out)); d.More(); {
		var p goPackage
		if err := d.Decode(&p); err != nil {
			return nil, err
		}
		packages = append(packages, p)
	}
	return mergeTests(packages), nil
}

// gitLines runs git and returns the lines that it prints.
func gitLines(dir string, arguments ...string) ([]string, error) {
	cmd := exec.Command("git", arguments...) //nolint:gosec // the arguments are this tool's own
	cmd.Dir = dir
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("git %s: %w", strings.Join(arguments, " "), err)
	}
	return strings.Split(strings.TrimSpace(string(out)), "\n"), nil
}
