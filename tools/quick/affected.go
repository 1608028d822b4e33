// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"path/filepath"
	"slices"
	"strings"
)

// goPackage is a package as `go list -test -json` prints it.
type goPackage struct {
	// ImportPath is followed by the package under test in brackets for a variant of a package in a test.
	ImportPath string
	// Dir is the absolute path of its directory.
	Dir string
	// ForTest is the package that a variant is for.
	ForTest string
	// Deps are the import paths of all that it imports, directly or not.
	Deps []string
}

// endToEnd is the element of import paths of the tests that need the built Collector.
const endToEnd = "/e2e"

// mergeTests adds the imports of tests to their packages, and removes packages that only exist for a test.
func mergeTests(listed []goPackage) []goPackage {
	var packages []goPackage
	tests := map[string][]string{}
	for _, p := range listed {
		switch tested, isTest := strings.CutSuffix(p.ImportPath, ".test"); {
		case isTest:
			tests[tested] = p.Deps
		case p.ForTest == "":
			packages = append(packages, p)
		}
	}
	for i := range packages {
		deps := append(slices.Clone(packages[i].Deps), tests[packages[i].ImportPath]...)
		for j, dep := range deps {
			deps[j], _, _ = strings.Cut(dep, " ") // the variant of a package for a test
		}
		packages[i].Deps = deps
	}
	return packages
}

// changedPackages returns the import paths of the packages that files belong to: the package in the nearest directory
// above or, for go.mod and go.sum, every package below.
func changedPackages(root string, files []string, packages []goPackage) map[string]bool {
	byDir := map[string]string{}
	for _, p := range packages {
		byDir[p.Dir] = p.ImportPath
	}
	changed := map[string]bool{}
	for _, file := range files {
		path := filepath.Join(root, filepath.FromSlash(file))
		if base := filepath.Base(path); base == "go.mod" || base == "go.sum" {
			for _, p := range packages {
				if strings.HasPrefix(p.Dir+string(filepath.Separator), filepath.Dir(path)+string(filepath.Separator)) {
					changed[p.ImportPath] = true
				}
			}
			continue
		}
		for dir := filepath.Dir(path); len(dir) > len(root); dir = filepath.Dir(dir) {
			if importPath, ok := byDir[dir]; ok {
				changed[importPath] = true
				break
			}
		}
	}
	return changed
}

// affectedPackages returns the import paths of the packages that changed or import one that did, except the end-to-end
// tests.
func affectedPackages(changed map[string]bool, packages []goPackage) []string {
	var affected []string
	for _, p := range packages {
		if strings.Contains(p.ImportPath+"/", endToEnd+"/") {
			continue
		}
		if changed[p.ImportPath] || slices.ContainsFunc(p.Deps, func(dep string) bool { return changed[dep] }) {
			affected = append(affected, p.ImportPath)
		}
	}
	return affected
}
