// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/didyoumean"
)

// suite is a file of test cases: records and their expected results. Settings of a case override those of the file,
// which override the flags.
type suite struct {
	setting `yaml:",inline"`
	Cases   []testCase `yaml:"cases"`
}

// setting configures how records are explained: the options of the command, for a file or a case.
type setting struct {
	Config    string `yaml:"config"`
	Processor string `yaml:"processor"`
	Exporter  string `yaml:"exporter"`
	Connector string `yaml:"connector"`
	Now       string `yaml:"now"`
}

// testCase is a list of records, in a file or inline as OTLP in YAML, and the expected result of each, in order. Each
// case starts with an empty memory.
type testCase struct {
	setting `yaml:",inline"`
	Name    string         `yaml:"name"`
	Input   string         `yaml:"input"`
	Record  map[string]any `yaml:"record"`
	Request map[string]any `yaml:"request"`
	Expect  []expectation  `yaml:"expect"`
}

// expectation is what becomes of one record.
type expectation struct {
	Outcome string `yaml:"outcome"`
	Reason  string `yaml:"reason"`
	// Events are expected fields of the sent events; nil: events are not compared.
	Events []map[string]any `yaml:"events"`
}

// outcome is the result of a case: its differences, none if it passed.
type outcome struct {
	name        string
	differences []string
	took        time.Duration
}

// check runs the cases of a file.
func check(ctx context.Context, path string, o *options) ([]outcome, error) {
	s, err := readSuite(path)
	if err != nil {
		return nil, err
	}
	dir := filepath.Dir(path)
	flags := setting{Processor: o.processor, Exporter: o.exporter, Connector: o.connector}
	outcomes := make([]outcome, 0, len(s.Cases))
	for i := range s.Cases {
		c := &s.Cases[i]
		asked, err := c.over(s.setting).over(flags).options(dir, o)
		if err != nil {
			return nil, fmt.Errorf("%s: case %q: %w", path, c.Name, err)
		}
		began := time.Now()
		got, err := c.explain(ctx, dir, asked)
		if err != nil {
			return nil, fmt.Errorf("%s: case %q: %w", path, c.Name, err)
		}
		outcomes = append(outcomes, outcome{name: c.Name, differences: compare(c.Expect, got), took: time.Since(began)})
	}
	return outcomes, nil
}

func readSuite(path string) (*suite, error) {
	content, err := os.ReadFile(path) //nolint:gosec // the user names the file
	if err != nil {
		return nil, err
	}
	decoder := yaml.NewDecoder(bytes.NewReader(content))
	decoder.KnownFields(true)
	s := &suite{}
	if err := decoder.Decode(s); err != nil && !errors.Is(err, io.EOF) {
		// The names of Go types mean nothing to users.
		return nil, fmt.Errorf("%s: %s", path, strings.NewReplacer(" in type main.suite", "", " in type main.testCase", "", " in type main.expectation", "",
			"!!seq into map[string]interface {}", "a list where a map belongs").Replace(err.Error()))
	}
	if len(s.Cases) == 0 {
		return nil, fmt.Errorf("%s has no `cases`", path)
	}
	names := map[string]bool{}
	for i := range s.Cases {
		c := &s.Cases[i]
		if c.Name == "" {
			return nil, fmt.Errorf("%s: case %d has no `name`", path, i+1)
		}
		if names[c.Name] {
			return nil, fmt.Errorf("%s: two cases are named %q", path, c.Name)
		}
		names[c.Name] = true
		inputs := 0
		for _, given := range []bool{c.Input != "", c.Record != nil, c.Request != nil} {
			if given {
				inputs++
			}
		}
		if inputs != 1 {
			return nil, fmt.Errorf("%s: case %q needs one of `input` (a file), `record` (a log record) and `request` (an OTLP request), and has %d", path, c.Name, inputs)
		}
		if name, near := unknownField(c.Record); name != "" {
			return nil, fmt.Errorf("%s: case %q: a log record has no field %q%s", path, c.Name, name, near)
		}
	}
	return s, nil
}

// recordFields are the fields of a log record in OTLP's JSON; its decoder ignores all others.
var recordFields = []string{
	"timeUnixNano", "observedTimeUnixNano", "severityNumber", "severityText", "eventName", "body", "attributes", "droppedAttributesCount",
	"flags", "traceId", "spanId",
}

// unknownField returns the first field, in alphabetical order, that a log record does not have, and its likely intended
// name.
func unknownField(record map[string]any) (name, near string) {
	for _, name := range slices.Sorted(maps.Keys(record)) {
		if slices.ContainsFunc(recordFields, func(field string) bool { return strings.EqualFold(field, strings.ReplaceAll(name, "_", "")) }) {
			continue // OTLP/JSON also accepts the protobuf names
		}
		if meant, ok := didyoumean.Closest(name, recordFields); ok {
			return name, fmt.Sprintf(": did you mean %q?", meant)
		}
		return name, ""
	}
	return "", ""
}

// over fills in unset fields of a setting.
func (s setting) over(other setting) setting {
	return setting{
		Config: cmp.Or(s.Config, other.Config), Processor: cmp.Or(s.Processor, other.Processor), Exporter: cmp.Or(s.Exporter, other.Exporter),
		Connector: cmp.Or(s.Connector, other.Connector), Now: cmp.Or(s.Now, other.Now),
	}
}

// hasScheme matches a configuration that is not a path, such as env:NAME.
var hasScheme = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9+.-]+:`)

// options returns the options of the command with a setting applied; paths are relative to the file of the cases.
func (s setting) options(dir string, flags *options) (*options, error) {
	o := &options{configs: flags.configs, processor: s.Processor, exporter: s.Exporter, connector: s.Connector, now: flags.now}
	if s.Config != "" {
		o.configs = []string{s.Config}
		if !hasScheme.MatchString(s.Config) {
			o.configs = []string{inFolder(dir, s.Config)}
		}
	}
	if s.Now != "" {
		at, err := time.Parse(time.RFC3339, s.Now)
		if err != nil {
			return nil, fmt.Errorf("`now`: %w", err)
		}
		o.now = func() time.Time { return at }
	}
	return o, nil
}

func inFolder(dir, path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(dir, path)
}

// explain returns an explanation of each record of a case.
func (c *testCase) explain(ctx context.Context, dir string, o *options) (got []explanation, err error) {
	s, err := newSession(ctx, o)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.end(ctx)) }()
	keep := func(x explanation) error { //nolint:unparam // what read calls
		got = append(got, x)
		return nil
	}
	if c.Input != "" {
		return got, readFile(inFolder(dir, c.Input), func(name string, from io.Reader) error { return s.read(ctx, name, from, keep) })
	}
	inline := c.Request
	if c.Record != nil {
		inline = c.Record
	}
	text, err := json.Marshal(inline)
	if err != nil {
		return nil, fmt.Errorf("the keys of an OTLP map must be strings: %w", err)
	}
	return got, s.read(ctx, c.Name, bytes.NewReader(text), keep)
}
