// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package didyoumean // import "github.com/otelcol-amplitude/otelcol-amplitude/internal/didyoumean"

import (
	"cmp"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"go.opentelemetry.io/collector/confmap"
)

const (
	// maxPlaces is the maximum number of suggested places for a key.
	maxPlaces = 3
	// maxDepth bounds how deep a configuration is searched.
	maxDepth = 10

	optionalPackage = "go.opentelemetry.io/collector/config/configoptional"
)

// Unmarshal decodes a component's configuration into cfg, a pointer to a struct. Errors about unknown keys suggest what
// was probably meant.
func Unmarshal(conf *confmap.Conf, cfg any) error {
	return WithKeys(conf.Unmarshal(cfg), conf, cfg)
}

// WithKeys adds to err, the result of decoding conf into cfg, a suggestion for each unknown key: the same key at the
// place where it belongs, else one with a similar spelling.
func WithKeys(err error, conf *confmap.Conf, cfg any) error {
	if err == nil {
		return nil
	}
	root := sectionOf(reflect.TypeOf(cfg), 0)
	places := map[string][]string{}
	root.list("", places)
	var hints []string
	root.unknown(conf.ToStringMap(), "", func(at *section, path, key string) {
		// A section may accept more keys than its type shows: trust the decoder.
		if hint := suggestion(at, path, key, places); hint != "" && strings.Contains(err.Error(), key) {
			hints = append(hints, hint)
		}
	})
	if len(hints) == 0 {
		return err
	}
	return fmt.Errorf("%w\n%s", err, strings.Join(hints, "\n"))
}

// suggestion returns what was probably meant by an unknown key at a place, or "".
func suggestion(at *section, path, key string, places map[string][]string) string {
	wrong := strconv.Quote(path + key)
	if elsewhere := places[key]; len(elsewhere) > 0 {
		return fmt.Sprintf("%s is in the wrong place: did you mean %s?", wrong, orList(elsewhere))
	}
	if near, ok := Closest(key, slices.Sorted(maps.Keys(at.keys))); ok {
		return fmt.Sprintf("%s is not a key: did you mean %q?", wrong, path+near)
	}
	if near, ok := Closest(key, slices.Sorted(maps.Keys(places))); ok {
		return fmt.Sprintf("%s is not a key: did you mean %s?", wrong, orList(places[near]))
	}
	return ""
}

// orList lists the places nearest to the top.
func orList(paths []string) string {
	slices.SortFunc(paths, func(a, b string) int {
		return cmp.Or(strings.Count(a, confmap.KeyDelimiter)-strings.Count(b, confmap.KeyDelimiter), strings.Compare(a, b))
	})
	quoted := make([]string, 0, maxPlaces)
	for _, path := range paths[:min(len(paths), maxPlaces)] {
		quoted = append(quoted, strconv.Quote(path))
	}
	return strings.Join(quoted, " or ")
}

// section holds the keys that are valid at one place of a configuration. A value that is not a section has nil; so does
// a map, whose keys are free.
type section struct {
	keys map[string]*section
}

// sectionOf reads the keys of a configuration's type, or returns nil if it has none of its own.
func sectionOf(t reflect.Type, depth int) *section {
	for {
		switch {
		case depth > maxDepth:
			return nil
		case t.Kind() == reflect.Pointer, t.Kind() == reflect.Slice:
			t = t.Elem()
		case t.Kind() == reflect.Struct && t.PkgPath() == optionalPackage:
			get, ok := reflect.PointerTo(t).MethodByName("Get")
			if !ok {
				return nil
			}
			inner := sectionOf(get.Type.Out(0), depth+1)
			if inner == nil {
				return nil
			}
			keys := maps.Clone(inner.keys)
			keys["enabled"] = nil // configoptional reads it itself
			return &section{keys: keys}
		case t.Kind() == reflect.Struct:
			s := &section{keys: map[string]*section{}}
			s.add(t, depth)
			if len(s.keys) == 0 {
				return nil
			}
			return s
		default:
			return nil
		}
	}
}

// add adds the keys of a struct's fields.
func (s *section) add(t reflect.Type, depth int) {
	for i := range t.NumField() {
		field := t.Field(i)
		name, options, _ := strings.Cut(field.Tag.Get("mapstructure"), ",")
		if strings.Contains(options, "squash") {
			if squashed := sectionOf(field.Type, depth+1); squashed != nil {
				maps.Copy(s.keys, squashed.keys)
			}
			continue
		}
		if field.IsExported() && name != "" && name != "-" {
			s.keys[name] = sectionOf(field.Type, depth+1)
		}
	}
}

// list collects the places of each key.
func (s *section) list(path string, places map[string][]string) {
	for name, inner := range s.keys {
		places[name] = append(places[name], path+name)
		if inner != nil {
			inner.list(path+name+confmap.KeyDelimiter, places)
		}
	}
}

// unknown calls tell for each unknown key of a configuration, in alphabetical order.
func (s *section) unknown(values map[string]any, path string, tell func(at *section, path, key string)) {
	for _, key := range slices.Sorted(maps.Keys(values)) {
		inner, known := s.keys[key]
		if !known {
			tell(s, path, key)
			continue
		}
		if inner == nil {
			continue
		}
		switch value := values[key].(type) {
		case map[string]any:
			inner.unknown(value, path+key+confmap.KeyDelimiter, tell)
		case []any:
			for i, element := range value {
				if m, ok := element.(map[string]any); ok {
					inner.unknown(m, path+key+"["+strconv.Itoa(i)+"]"+confmap.KeyDelimiter, tell)
				}
			}
		}
	}
}
