// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package main // import "github.com/otelcol-amplitude/otelcol-amplitude/tools/reference"

import (
	"encoding"
	"fmt"
	"reflect"
	"strings"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/config/configopaque"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/exporter/exporterhelper"
)

// config is the configuration of a component.
type config struct {
	described
	root *key
}

// kind is how a value is written in YAML.
type kind string

const (
	kindSection  kind = "section"
	kindList     kind = "list"
	kindMap      kind = "map"
	kindString   kind = "string"
	kindBool     kind = "bool"
	kindInt      kind = "int"
	kindNumber   kind = "number"
	kindDuration kind = "duration"
	kindID       kind = "component id"
	kindHeaders  kind = "headers" // a map of names to secrets, or a list of {name, value}
)

// key is a key of a configuration, or the element of a list or map.
type key struct {
	path string
	name string
	kind kind
	// fallback is the default as written in JSON and YAML; nil means none.
	fallback any
	meaning  string
	// words are all the values that a string may have; if empty, any.
	words      []string
	secret     bool
	deprecated bool
	// splits: a list that may be written as one text with commas.
	splits bool
	// ours: the key is declared in this repository.
	ours bool
	// nullable: null is a separate value. optional: a section that is on or off.
	nullable, optional, on bool
	keys                   []*key
	element                *key
}

// sizers are the values of a type that does not export them.
var sizers = []string{
	exporterhelper.RequestSizerTypeRequests.String(),
	exporterhelper.RequestSizerTypeItems.String(),
	exporterhelper.RequestSizerTypeBytes.String(),
}

func readConfigs(root string) ([]*config, error) {
	var configs []*config
	for _, d := range components() {
		value := reflect.ValueOf(d.CreateDefaultConfig()).Elem()
		packages := map[string]bool{}
		packagesOf(value.Type(), packages)
		code, err := readSources(root, d.importPath(), packages)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", d.title(), err)
		}
		w := walker{code: code}
		top := w.value(value, "")
		if w.err != nil {
			return nil, fmt.Errorf("%s: %w", d.title(), w.err)
		}
		configs = append(configs, &config{described: d, root: top})
	}
	return configs, nil
}

// packagesOf adds the packages of all types that a type is made of.
func packagesOf(t reflect.Type, to map[string]bool) {
	if t.PkgPath() != "" {
		to[t.PkgPath()] = true
	}
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Map:
		packagesOf(t.Elem(), to)
	case reflect.Struct:
		for i := range t.NumField() {
			packagesOf(t.Field(i).Type, to)
		}
	default:
	}
}

// walker goes through a default configuration.
type walker struct {
	code *sources
	err  error
	// bare is the number of enclosing optional sections without defaults, whose zero values mean nothing.
	bare int
}

var (
	durationType = reflect.TypeFor[time.Duration]()
	secretType   = reflect.TypeFor[configopaque.String]()
	headersType  = reflect.TypeFor[configopaque.MapList]()
	textsType    = reflect.TypeFor[[]string]()
	idType       = reflect.TypeFor[component.ID]()
	sizerType    = reflect.TypeOf(exporterhelper.RequestSizerTypeItems)
	fromText     = reflect.TypeFor[encoding.TextUnmarshaler]()
)

// value describes a value that can be addressed.
func (w *walker) value(v reflect.Value, path string) *key {
	k := &key{path: path, name: path[strings.LastIndex(path, ":")+1:]}
	t := v.Type()
	switch {
	case t == durationType:
		k.kind, k.fallback = kindDuration, shortDuration(time.Duration(v.Int()))
	case t == secretType:
		k.kind, k.secret = kindString, true
		w.scalar(k, v)
	case t == headersType:
		k.kind, k.secret = kindHeaders, true
	case t == idType:
		k.kind = kindID
	case t == sizerType:
		k.kind, k.words, k.fallback = kindString, sizers, fmt.Sprint(v.Addr().Interface())
	case v.Addr().MethodByName("GetOrInsertDefault").IsValid():
		return w.optional(v, path)
	case t.Kind() == reflect.Pointer:
		k = w.value(reflect.New(t.Elem()).Elem(), path)
		k.nullable, k.fallback = true, nil
	case t.Kind() == reflect.Struct && !reflect.PointerTo(t).Implements(fromText):
		k.kind = kindSection
		w.fields(k, v)
	case t.Kind() == reflect.Slice:
		k.kind, k.element = kindList, w.element(t.Elem(), path+"[]")
		k.fallback, k.splits = list(v), t == textsType
	case t.Kind() == reflect.Map && t.Key().Kind() == reflect.String:
		k.kind, k.element = kindMap, w.element(t.Elem(), path+"::*")
		k.fallback = map[string]any{}
		if v.Len() > 0 {
			w.fail("%s: a map with a default is not supported", path)
		}
	default:
		w.scalar(k, v)
	}
	if k.kind == "" {
		w.fail("%s: the type %s is not supported", path, t)
	}
	if w.bare > 0 && v.IsZero() {
		k.fallback = nil
	}
	return k
}

func (w *walker) scalar(k *key, v reflect.Value) {
	switch v.Kind() {
	case reflect.String:
		k.kind, k.fallback = kindString, v.String()
	case reflect.Bool:
		k.kind, k.fallback = kindBool, v.Bool()
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		k.kind, k.fallback = kindInt, v.Int()
	case reflect.Float32, reflect.Float64:
		k.kind, k.fallback = kindNumber, v.Float()
	default:
	}
}

// optional describes a configoptional.Optional: a section that writing it, even empty, turns on.
func (w *walker) optional(v reflect.Value, path string) *key {
	on := v.MethodByName("HasValue").Call(nil)[0].Bool()
	inside := v.Addr().MethodByName("GetOrInsertDefault").Call(nil)[0].Elem()
	if inside.IsZero() {
		w.bare++
		defer func() { w.bare-- }()
	}
	k := w.value(inside, path)
	if k.kind != kindSection {
		w.fail("%s: an optional %s is not supported", path, inside.Type())
	}
	k.optional, k.on = true, on
	return k
}

// element describes the elements of a list or map, with the defaults that they set themselves.
func (w *walker) element(t reflect.Type, path string) *key {
	v := reflect.New(t)
	if own, ok := v.Interface().(confmap.Unmarshaler); ok {
		if err := own.Unmarshal(confmap.New()); err != nil {
			w.fail("%s: %v", path, err)
		}
	}
	return w.value(v.Elem(), path)
}

// fields adds the keys of a struct to a section.
func (w *walker) fields(section *key, v reflect.Value) {
	t := v.Type()
	names := map[string]string{} // field: key
	for i := range t.NumField() {
		field := t.Field(i)
		names[field.Name], _, _ = strings.Cut(field.Tag.Get("mapstructure"), ",")
	}
	for i := range t.NumField() {
		field := t.Field(i)
		if !field.IsExported() {
			continue
		}
		name, option, _ := strings.Cut(field.Tag.Get("mapstructure"), ",")
		text := w.code.fieldComment(t, field.Name)
		if option == "squash" {
			inner := &key{path: section.path}
			w.fields(inner, v.FieldByIndex(field.Index))
			special(inner, text)
			section.keys = append(section.keys, inner.keys...)
			continue
		}
		if name == "" || name == "-" {
			w.fail("%s: the field %s has no key", section.path, field.Name)
			continue
		}
		k := w.value(v.FieldByIndex(field.Index), strings.TrimPrefix(section.path+"::"+name, "::"))
		k.name = name
		if text == "" && k.kind == kindSection {
			text = w.code.typeComment(field.Type)
		}
		k.ours = strings.HasPrefix(t.PkgPath(), module)
		k.meaning, k.deprecated = meaning(field.Name, text, names, k.ours)
		if words := w.code.words(t, field.Name); len(words) > 0 {
			k.words = words
		}
		special(k, text)
		section.keys = append(section.keys, k)
	}
}

func (w *walker) fail(format string, args ...any) {
	if w.err == nil {
		w.err = fmt.Errorf(format, args...)
	}
}

// list returns the elements of a list of strings; other lists have no defaults.
func list(v reflect.Value) any {
	elements := []any{}
	for i := range v.Len() {
		elements = append(elements, v.Index(i).String())
	}
	return elements
}

// shortDuration writes 5m, not 5m0s.
func shortDuration(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}
