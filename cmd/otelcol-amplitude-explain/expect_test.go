// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/xml"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

const mapping = "examples/emitters/mapping/"

// caseFile writes a file of cases into a new folder.
func caseFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "cases.yaml")
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

// exposed returns a case with one record: user-12345 was exposed to variant a of flag f, with a session id of 19
// digits.
const exposed = `
cases:
  - name: one
    record:
      eventName: $exposure
      timeUnixNano: "1768478400000000000"
      attributes:
        - {key: flag_key, value: {stringValue: f}}
        - {key: variant, value: {stringValue: a}}
        - {key: user_id, value: {stringValue: user-12345}}
        - {key: session_id, value: {intValue: "1768478400000"}}
    expect:
`

// TestEmittersBecomeWhatTheirCasesSay: the examples of emitters are also examples of mapping tests.
func TestEmittersBecomeWhatTheirCasesSay(t *testing.T) {
	t.Chdir("../..")
	status, out, stderr := command(t, nil, "--expect", mapping+"cases.yaml")
	assert.Zero(t, status, out+stderr)
	configs, err := filepath.Glob("examples/emitters/*.yaml")
	require.NoError(t, err)
	for _, path := range configs {
		assert.Contains(t, out, "ok    "+strings.TrimSuffix(filepath.Base(path), ".yaml")+"\n")
	}
}

// TestExpect: expectations are compared as documented, and each difference is reported with its place.
func TestExpect(t *testing.T) {
	for _, tc := range []struct {
		name, expect string
		want         []string // nil: as expected
	}{
		{name: "the outcome alone", expect: "[{outcome: exposure}]"},
		{name: "nothing", expect: "[{}]"},
		{name: "a field as a whole, others not", expect: `[{outcome: exposure, events: [{event_properties: {"[Experiment] Flag Key": f, "[Experiment] Variant": a}, time: 1768478400000}]}]`},
		{name: "another outcome, with the reason", expect: "[{outcome: rejected, reason: short_id}]", want: []string{"record 1: outcome: want rejected (short_id), got exposure"}},
		{name: "too few records", expect: "[]", want: []string{"records: want 0, got 1"}},
		{name: "too many records", expect: "[{}, {}]", want: []string{"records: want 2, got 1"}},
		{name: "no event", expect: "[{events: []}]", want: []string{"record 1: events: want 0, got 1"}},
		{name: "fields that differ", expect: `[{events: [{event_properties: {"[Experiment] Variant": b, more: 1}, user_id: 12345, device_id: d}]}]`, want: []string{
			`record 1: device_id: want "d", got none`,
			`record 1: event_properties["[Experiment] Flag Key"]: want none, got "f"`,
			`record 1: event_properties["[Experiment] Variant"]: want "b", got "a"`,
			`record 1: event_properties["more"]: want 1, got none`,
			`record 1: user_id: want 12345, got "user-12345"`,
		}},
		{name: "a map against a text", expect: `[{events: [{user_id: {a: 1}}]}]`, want: []string{`record 1: user_id: want {"a":1}, got "user-12345"`}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			status, out, stderr := command(t, nil, "--expect", caseFile(t, exposed+"      "+tc.expect))
			assert.Empty(t, stderr)
			if tc.want == nil {
				assert.Equal(t, "ok    one\n1 case: 1 as expected, 0 not\n", out)
				assert.Zero(t, status)
				return
			}
			assert.Equal(t, "FAIL  one\n      "+strings.Join(tc.want, "\n      ")+"\n1 case: 0 as expected, 1 not\n", out)
			assert.Equal(t, 1, status)
		})
	}
}

// TestCases: each starts with an empty memory, its records are explained in order, spans go through the connector, and
// paths are relative to the file.
func TestCases(t *testing.T) {
	dir, err := filepath.Abs("../..")
	require.NoError(t, err)
	connector := filepath.Join(dir, "connector/featureflageventsconnector/testdata/captures/hook-legacy.traces.001.json")
	record := `{"eventName": "$$exposure", "attributes": [{"key": "flag_key", "value": {"stringValue": "f"}}, {"key": "user_id", "value": {"stringValue": "user-12345"}}]}`
	record = strings.ReplaceAll(record, "$$", "$")
	path := caseFile(t, `
config: collector.yaml
cases:
  - name: twice
    request: {resourceLogs: [{scopeLogs: [{logRecords: [`+record+", "+record+`]}]}]}
    expect: [{outcome: unexposure}, {outcome: duplicate, events: []}]
  - name: once more, by another configuration
    config: "yaml:processors::amplitude_experiment::exposure::unassigned: drop"
    record: `+record+`
    expect: [{outcome: skipped, reason: unassigned}]
  - name: spans
    input: `+connector+`
    now: 2026-11-23T12:00:00Z
    expect: [{reason: no_id}, {reason: no_id}, {outcome: exposure}]
`)
	require.NoError(t, os.WriteFile(filepath.Join(filepath.Dir(path), "collector.yaml"), []byte("processors: {amplitude_experiment: {}}\n"), 0o600))
	_, out, stderr := command(t, nil, "--expect", path)
	assert.Empty(t, stderr)
	assert.True(t, strings.HasPrefix(out, "ok    twice\nok    once more, by another configuration\n"+
		"FAIL  spans\n      record 3: outcome: want exposure, got rejected (no_id), since "), out)
}

// TestJUnit: the report has every case, with the differences of those that fail.
func TestJUnit(t *testing.T) {
	report := filepath.Join(t.TempDir(), "report.xml")
	path := caseFile(t, exposed+"      [{events: [{user_id: <nobody>}]}]")
	status, _, stderr := command(t, nil, "--expect", path, "--junit", report)
	assert.Equal(t, 1, status, stderr)
	text, err := os.ReadFile(report)
	require.NoError(t, err)
	var got junit
	require.NoError(t, xml.Unmarshal(text, &got))
	require.Len(t, got.Suites, 1)
	assert.Equal(t, []any{path, 1, 1}, []any{got.Suites[0].Name, got.Suites[0].Tests, got.Suites[0].Failures})
	require.Len(t, got.Suites[0].Cases, 1)
	assert.Equal(t, "one", got.Suites[0].Cases[0].Name)
	require.NotNil(t, got.Suites[0].Cases[0].Failure)
	assert.Equal(t, `record 1: user_id: want "<nobody>", got "user-12345"`, got.Suites[0].Cases[0].Failure.Message)
}

// TestUnreadableCases: an unusable file ends with status 2, and nothing passes by mistake.
func TestUnreadableCases(t *testing.T) {
	for name, tc := range map[string]struct {
		text string
		args []string
		want string
	}{
		"no cases":        {text: "cases: []", want: "has no `cases`"},
		"empty":           {text: "", want: "has no `cases`"},
		"a misspelling":   {text: "cases: [{name: a, record: {}, expects: []}]", want: "expects"},
		"no name":         {text: "cases: [{record: {}}]", want: "case 1 has no `name`"},
		"a name twice":    {text: "cases: [{name: a, record: {body: {}}}, {name: a, record: {body: {}}}]", want: `two cases are named "a"`},
		"no input":        {text: "cases: [{name: a, expect: []}]", want: "needs one of `input` (a file), `record` (a log record) and `request` (an OTLP request), and has 0"},
		"two inputs":      {text: "cases: [{name: a, input: x, record: {}}]", want: "and has 2"},
		"no such file":    {text: "cases: [{name: a, input: missing.json}]", want: `case "a": open `},
		"no such config":  {text: "{config: missing.yaml, cases: [{name: a, record: {body: {}}}]}", want: "missing.yaml"},
		"a wrong time":    {text: "{now: noon, cases: [{name: a, record: {body: {}}}]}", want: "`now`"},
		"not OTLP":        {text: "cases: [{name: a, record: {event: x}}]", want: `case "a": a log record has no field "event"`},
		"another field":   {text: "cases: [{name: a, record: {evntName: x}}]", want: `a log record has no field "evntName": did you mean "eventName"?`},
		"a list":          {text: "cases: [{name: a, record: [x]}]", want: "line 1: cannot unmarshal a list where a map belongs"},
		"files beside":    {text: exposed, args: []string{"x.json"}, want: "--expect reads its records from the file of cases"},
		"a filter beside": {text: exposed, args: []string{"--outcome", "exposure"}, want: "--expect reads its records from the file of cases"},
	} {
		t.Run(name, func(t *testing.T) {
			status, out, stderr := command(t, nil, append([]string{"--expect", caseFile(t, tc.text)}, tc.args...)...)
			assert.Equal(t, 2, status)
			assert.Empty(t, out)
			assert.Contains(t, stderr, tc.want)
		})
	}
	status, _, stderr := command(t, nil, "--junit", "report.xml")
	assert.Equal(t, 2, status)
	assert.Contains(t, stderr, "pass them with --expect")
}

// TestWorkflow: the steps of the documented workflow do what the documentation says.
func TestWorkflow(t *testing.T) {
	t.Chdir("../..")
	text, err := os.ReadFile(mapping + "workflow.yaml")
	require.NoError(t, err)
	var workflow struct {
		Jobs map[string]struct {
			Steps []struct{ Run string }
		}
	}
	require.NoError(t, yaml.Unmarshal(text, &workflow))
	const name = "otelcol-amplitude-explain"
	report := filepath.Join(t.TempDir(), "mapping.xml")
	installed, ran := false, false
	for _, step := range workflow.Jobs["mapping"].Steps {
		words := strings.Fields(strings.ReplaceAll(step.Run, "mapping.xml", report))
		switch {
		case len(words) == 0:
		case strings.HasPrefix(step.Run, "go install "):
			// Install this package.
			assert.Equal(t, "github.com/otelcol-amplitude/otelcol-amplitude/cmd/"+name+"@latest", words[2])
			installed = true
		default:
			assert.Equal(t, name, words[0])
			status, out, stderr := command(t, nil, words[1:]...)
			assert.Zero(t, status, out+stderr)
			assert.FileExists(t, report)
			ran = true
		}
	}
	assert.True(t, installed && ran)
}
