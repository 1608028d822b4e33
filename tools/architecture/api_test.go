// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package architecture_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// furtherAPI is what components export in addition to NewFactory, Config and the types of its fields, each with its
// reason.
var furtherAPI = map[string]map[string]string{
	"exporter/amplitudeexporter": {
		"EncodeEvent":  "otelcol-amplitude-explain shows an event as the exporter would send it",
		"NotSentError": "what EncodeEvent says of a record that is not sent",
	},
	"processor/amplitudeexperimentprocessor": {
		"NewFactoryWithOptions": "otelcol-amplitude-explain runs the processor itself",
		"FactoryOption":         "an option of NewFactoryWithOptions",
		"WithClock":             "an option of NewFactoryWithOptions: records are explained as if they arrived at a given time",
		"WithRandom":            "an option of NewFactoryWithOptions: what explain shows reads the same each time",
	},
}

// componentDirs are the folders that have a metadata.yaml, relative to the root.
func componentDirs(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(root, "*", "*", "metadata.yaml"))
	require.NoError(t, err)
	require.GreaterOrEqual(t, len(files), 4)
	dirs := make([]string, 0, len(files))
	for _, file := range files {
		dir, err := filepath.Rel(root, filepath.Dir(file))
		require.NoError(t, err)
		dirs = append(dirs, filepath.ToSlash(dir))
	}
	return dirs
}

// TestComponentsExportOnlyFactoryAndConfig: everything that a component's package exports is a promise to its users.
func TestComponentsExportOnlyFactoryAndConfig(t *testing.T) {
	for _, dir := range componentDirs(t) {
		t.Run(path.Base(dir), func(t *testing.T) {
			exported, types := exportedNames(t, dir)
			require.Contains(t, exported, "NewFactory")
			require.Contains(t, exported, "Config")
			allowed := map[string]bool{"NewFactory": true}
			allowConfig(allowed, types, "Config")
			for name := range exported {
				if _, known := furtherAPI[dir][name]; !allowed[name] && !known {
					t.Errorf("%s exports %s: is there a reason? Then name it in furtherAPI", dir, name)
				}
			}
			for name, reason := range furtherAPI[dir] {
				assert.NotEmpty(t, reason, name)
				assert.Contains(t, exported, name, "furtherAPI names something that no longer exists")
				assert.False(t, allowed[name], "%s needs no reason", name)
			}
		})
	}
}

// exportedNames returns the exported names of a package, and its types.
func exportedNames(t *testing.T, dir string) (exported map[string]bool, types map[string]ast.Expr) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(root, dir, "*.go"))
	require.NoError(t, err)
	exported, types = map[string]bool{}, map[string]ast.Expr{}
	note := func(name *ast.Ident) {
		if name.IsExported() {
			exported[name.Name] = true
		}
	}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		require.NoError(t, err)
		for _, declaration := range parsed.Decls {
			switch d := declaration.(type) {
			case *ast.FuncDecl:
				if d.Recv == nil {
					note(d.Name)
				}
			case *ast.GenDecl:
				for _, spec := range d.Specs {
					switch s := spec.(type) {
					case *ast.TypeSpec:
						note(s.Name)
						types[s.Name.Name] = s.Type
					case *ast.ValueSpec:
						for _, name := range s.Names {
							note(name)
						}
					}
				}
			}
		}
	}
	return exported, types
}

// allowConfig allows a type of the configuration and those of its exported fields.
func allowConfig(allowed map[string]bool, types map[string]ast.Expr, name string) {
	if allowed[name] {
		return
	}
	allowed[name] = true
	ast.Inspect(types[name], func(node ast.Node) bool {
		if field, ok := node.(*ast.Field); ok && len(field.Names) > 0 && !slices.ContainsFunc(field.Names, (*ast.Ident).IsExported) {
			return false
		}
		if used, ok := node.(*ast.Ident); ok && slices.Contains(slices.Collect(maps.Keys(types)), used.Name) {
			allowConfig(allowed, types, used.Name)
		}
		return true
	})
}
