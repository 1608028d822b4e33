// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package main // import "github.com/otelcol-amplitude/otelcol-amplitude/tools/reference"

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/constant"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os/exec"
	"path"
	"path/filepath"
	"reflect"
	"strings"
)

// sources is what only the Go source says about the structs of a configuration: comments, and the values that a check
// allows.
type sources struct {
	fset *token.FileSet
	// listed are all packages that the component is built from; wanted are those that are read.
	listed map[string]listedPackage
	wanted map[string]bool
	read   map[string]*types.Package
	info   types.Info

	types, fields map[fieldName]string
	checked       map[fieldName][]string
}

// fieldName names a field of a struct; without a field, the struct.
type fieldName struct{ pkg, structure, field string }

type listedPackage struct {
	ImportPath, Dir, Name string
	GoFiles               []string
}

// oneOf is the name, ignoring case, of the functions that check values: check.OneOf(key, value, word, word, ...), and
// the sandbox's own, because the sandbox imports nothing from this module.
const oneOf = "oneof"

// readSources reads the named packages, and those of this module that the component imports.
func readSources(root, component string, packages map[string]bool) (*sources, error) {
	s := &sources{
		fset:    token.NewFileSet(),
		listed:  map[string]listedPackage{},
		wanted:  packages,
		read:    map[string]*types.Package{},
		info:    types.Info{Types: map[ast.Expr]types.TypeAndValue{}, Selections: map[*ast.SelectorExpr]*types.Selection{}},
		types:   map[fieldName]string{},
		fields:  map[fieldName]string{},
		checked: map[fieldName][]string{},
	}
	command := exec.Command("go", "list", "-modfile="+newestFile, "-deps", "-json=ImportPath,Dir,Name,GoFiles", component) //nolint:gosec // our own package
	command.Dir = root
	out, err := command.Output()
	if err != nil {
		if failed := new(exec.ExitError); errors.As(err, &failed) {
			err = fmt.Errorf("%w: %s", err, failed.Stderr)
		}
		return nil, fmt.Errorf("go list: %w", err)
	}
	for decoder := json.NewDecoder(bytes.NewReader(out)); ; {
		var p listedPackage
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, fmt.Errorf("go list: %w", err)
		}
		s.listed[p.ImportPath] = p
	}
	for name := range packages {
		if _, err := s.Import(name); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// Import implements [types.Importer]. Packages that are irrelevant for configurations are left empty: the type checker
// reports errors, but finds the constants and fields that are needed.
func (s *sources) Import(name string) (*types.Package, error) {
	if p, done := s.read[name]; done {
		return p, nil
	}
	p := s.listed[name]
	ours := strings.HasPrefix(name, module)
	if !ours && !s.wanted[name] {
		empty := types.NewPackage(name, p.Name)
		if p.Name == "" {
			empty.SetName(path.Base(name))
		}
		empty.MarkComplete()
		s.read[name] = empty
		return empty, nil
	}
	var files []*ast.File
	for _, file := range p.GoFiles {
		parsed, err := parser.ParseFile(s.fset, filepath.Join(p.Dir, file), nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		files = append(files, parsed)
		s.comments(name, parsed)
	}
	check := types.Config{Importer: s, IgnoreFuncBodies: !ours, Error: func(error) {}}
	pkg, _ := check.Check(name, s.fset, files, &s.info) // the error is about the packages left empty
	s.read[name] = pkg
	if ours {
		owners := owners(pkg)
		for _, file := range files {
			ast.Inspect(file, func(node ast.Node) bool {
				if call, ok := node.(*ast.CallExpr); ok {
					s.check(call, owners)
				}
				return true
			})
		}
	}
	return pkg, nil
}

// comments keeps the doc comments of the structs of a file.
func (s *sources) comments(pkg string, file *ast.File) {
	for _, declaration := range file.Decls {
		general, ok := declaration.(*ast.GenDecl)
		if !ok {
			continue
		}
		for _, spec := range general.Specs {
			spec, ok := spec.(*ast.TypeSpec)
			if !ok {
				continue
			}
			structure, ok := spec.Type.(*ast.StructType)
			if !ok {
				continue
			}
			comment := spec.Doc
			if comment == nil {
				comment = general.Doc
			}
			s.types[fieldName{pkg: pkg, structure: spec.Name.Name}] = comment.Text()
			for _, field := range structure.Fields.List {
				for _, name := range field.Names {
					s.fields[fieldName{pkg, spec.Name.Name, name.Name}] = field.Doc.Text()
				}
			}
		}
	}
}

// check records the values in a call of oneOf for the field that it checks.
func (s *sources) check(call *ast.CallExpr, local map[*types.Var]fieldName) {
	called, ok := call.Fun.(*ast.Ident)
	if selector, qualified := call.Fun.(*ast.SelectorExpr); qualified {
		called, ok = selector.Sel, true
	}
	if !ok || strings.ToLower(called.Name) != oneOf || len(call.Args) < 3 {
		return
	}
	value := call.Args[1]
	if conversion, ok := value.(*ast.CallExpr); ok && len(conversion.Args) == 1 {
		value = conversion.Args[0]
	}
	selector, ok := value.(*ast.SelectorExpr)
	if !ok || s.info.Selections[selector] == nil {
		return
	}
	field, ok := s.info.Selections[selector].Obj().(*types.Var)
	if !ok {
		return
	}
	owner, known := local[field]
	if !known {
		owner = owners(field.Pkg())[field]
	}
	var words []string
	for _, argument := range call.Args[2:] {
		if word := s.info.Types[argument].Value; word != nil && word.Kind() == constant.String {
			words = append(words, constant.StringVal(word))
		}
	}
	s.checked[owner] = words
}

// owners maps the fields of the structs of a package to their names.
func owners(pkg *types.Package) map[*types.Var]fieldName {
	found := map[*types.Var]fieldName{}
	for _, name := range pkg.Scope().Names() {
		structure, ok := pkg.Scope().Lookup(name).Type().Underlying().(*types.Struct)
		if !ok {
			continue
		}
		for field := range structure.Fields() {
			if field.Pkg() != pkg {
				continue // a type made from a struct of another package has the same fields
			}
			found[field] = fieldName{pkg.Path(), name, field.Name()}
		}
	}
	return found
}

func (s *sources) fieldComment(t reflect.Type, field string) string {
	return s.fields[fieldName{t.PkgPath(), t.Name(), field}]
}

// typeComment returns the comment of a struct, even if it is optional.
func (s *sources) typeComment(t reflect.Type) string {
	if get, ok := reflect.PointerTo(t).MethodByName("GetOrInsertDefault"); ok {
		t = get.Type.Out(0).Elem()
	}
	return s.types[fieldName{pkg: t.PkgPath(), structure: t.Name()}]
}

// words returns the values that a check in the component allows for a field.
func (s *sources) words(t reflect.Type, field string) []string {
	return s.checked[fieldName{t.PkgPath(), t.Name(), field}]
}
