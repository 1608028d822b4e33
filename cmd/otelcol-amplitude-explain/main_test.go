// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/confmap/confmaptest"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/cleanenv"
)

// TestMain removes the caller's proxy from the environment, because doctor would use it.
func TestMain(m *testing.M) {
	cleanenv.Process()
	os.Exit(m.Run())
}

var update = flag.Bool("update", false, "write golden files and generated documentation instead of comparing with them")

const (
	processorDir = "../../processor/amplitudeexperimentprocessor"
	captures     = processorDir + "/testdata/captures"
	emitters     = "../../examples/emitters"
	// arrival is the arrival time of captured records, written that of records written for the tests: soon after their
	// times, because records older than seven days set no property.
	arrival = "2026-11-23T12:00:00Z"
	written = "2026-01-15T12:30:00Z"
)

// command runs the command as a shell would.
func command(t *testing.T, stdin []byte, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	status = run(args, bytes.NewReader(stdin), &out, &errs)
	return status, out.String(), errs.String()
}

// goldenCase is an input with flags. Its output is in testdata/golden.
type goldenCase struct {
	name  string
	input string
	args  []string
}

func goldenCases(t *testing.T) []goldenCase {
	t.Helper()
	var cases []goldenCase
	inputs, err := filepath.Glob("testdata/*.jsonl")
	require.NoError(t, err)
	require.NotEmpty(t, inputs)
	for _, input := range inputs {
		stem := strings.TrimSuffix(filepath.Base(input), ".jsonl")
		if _, err := os.Stat("testdata/" + stem + ".yaml"); err != nil {
			cases = append(cases, goldenCase{stem, input, []string{"--now", written}})
		}
		configs, err := filepath.Glob("testdata/" + stem + "*.yaml")
		require.NoError(t, err)
		for _, config := range configs {
			cases = append(cases, goldenCase{
				strings.TrimSuffix(filepath.Base(config), ".yaml"), input, []string{"--now", written, "--config", config},
			})
		}
	}
	configs, err := filepath.Glob(emitters + "/*.yaml")
	require.NoError(t, err)
	require.Len(t, configs, 10)
	for _, config := range configs {
		family := strings.TrimSuffix(filepath.Base(config), ".yaml")
		cases = append(cases, goldenCase{"emitter-" + family, filepath.Join(emitters, family+".logs.json"), []string{"--now", written, "--config", config}})
	}
	for _, input := range captureFiles(t) {
		args := []string{"--now", arrival}
		if strings.Contains(input, "many-users") {
			args = append(args, "--outcome", "duplicate") // the totals of the thousand others are enough
		}
		cases = append(cases, goldenCase{"capture-" + filepath.Base(input), input, args})
	}
	return cases
}

func captureFiles(t *testing.T) []string {
	t.Helper()
	all, err := filepath.Glob(captures + "/*")
	require.NoError(t, err)
	var files []string
	for _, path := range all {
		if !strings.HasSuffix(path, ".meta") && !strings.HasSuffix(path, ".notes.json") {
			files = append(files, path)
		}
	}
	require.Len(t, files, 15)
	return files
}

// TestGolden: the explanation of what real emitters sent, and of records made to reach every rule.
func TestGolden(t *testing.T) {
	t.Setenv("EXPLAIN_TEST_PARTNER", "partner-of-the-environment")
	for _, tc := range goldenCases(t) {
		t.Run(tc.name, func(t *testing.T) {
			input, err := os.ReadFile(tc.input)
			require.NoError(t, err)
			status, got, stderr := command(t, input, tc.args...)
			assert.Zero(t, status)
			assert.Empty(t, stderr)
			golden := filepath.Join("testdata", "golden", tc.name+".txt")
			if *update {
				require.NoError(t, os.MkdirAll(filepath.Dir(golden), 0o750))
				require.NoError(t, os.WriteFile(golden, []byte(got), 0o600))
			}
			want, err := os.ReadFile(golden)
			require.NoError(t, err)
			if got != string(want) {
				t.Errorf("from line %d on it differs from %s: run the test with -update and look at the difference", firstDifference(got, string(want)), golden)
			}
		})
	}
}

func firstDifference(a, b string) int {
	lines := strings.Split(b, "\n")
	for i, line := range strings.Split(a, "\n") {
		if i >= len(lines) || line != lines[i] {
			return i + 1
		}
	}
	return len(lines)
}

// TestEveryReasonHasAnExample: every reason in the processor's metadata is explained in a golden file.
func TestEveryReasonHasAnExample(t *testing.T) {
	var all strings.Builder
	for _, tc := range goldenCases(t) {
		golden, err := os.ReadFile(filepath.Join("testdata", "golden", tc.name+".txt"))
		require.NoError(t, err)
		all.Write(golden)
	}
	file, err := confmaptest.LoadConf(processorDir + "/metadata.yaml")
	require.NoError(t, err)
	for attribute, form := range map[string]string{
		"outcome":         "record %%d: %s",
		"skip_reason":     ": skipped (%s)\n",
		"reject_reason":   ": rejected (%s)\n",
		"id_problem":      "): %s\n",
		"left_out_reason": "left out: %s\n",
	} {
		section, err := file.Sub("attributes::" + attribute)
		require.NoError(t, err)
		words := section.Get("enum").([]any)
		require.NotEmpty(t, words)
		for _, word := range words {
			switch {
			case word == "refused": // decided by the next component, which does not exist here
				continue
			case word == "inherited_limit": // takes a megabyte of attributes
				continue
			case word == "flag_limit" && attribute == "reject_reason": // leaves out flags, never the whole record
				continue
			}
			if attribute == "outcome" {
				assert.Regexp(t, fmt.Sprintf(`(?m)^record \d+: %s( \(|$)`, word), all.String())
				continue
			}
			assert.Contains(t, all.String(), fmt.Sprintf(form, word), attribute)
		}
	}
}

// TestJSON: one object per record, with the same words and numbers as the text.
func TestJSON(t *testing.T) {
	input, err := os.ReadFile("testdata/repeats.jsonl")
	require.NoError(t, err)
	status, out, stderr := command(t, input, "--json", "--now", written)
	assert.Zero(t, status)
	assert.Empty(t, stderr)
	lines := strings.Split(strings.TrimSpace(out), "\n")
	require.Len(t, lines, 14)
	type object struct {
		Input    string
		Document int
		Record   int
		Outcome  string
		Facts    []struct{ Name, Value string }
		Events   []struct {
			Verdict  string
			Sent     bool
			SameAs   int `json:"same_as"`
			Property string
			InsertID struct{ Value, Hash, Day string } `json:"insert_id"`
			Event    map[string]any
			Identify map[string]any
		}
	}
	var third, fourth object
	require.NoError(t, json.Unmarshal([]byte(lines[2]), &third))
	require.NoError(t, json.Unmarshal([]byte(lines[3]), &fourth))
	assert.Equal(t, "stdin", third.Input)
	assert.Equal(t, 3, third.Document)
	assert.Equal(t, 3, third.Record)
	assert.Equal(t, "exposure", third.Outcome)
	assert.Contains(t, third.Facts, struct{ Name, Value string }{"variant", "b"})
	require.Len(t, third.Events, 1)
	assert.True(t, third.Events[0].Sent)
	assert.Equal(t, "$identify", third.Events[0].Identify["event_type"])
	assert.Equal(t, "[Experiment] Exposure", third.Events[0].Event["event_type"])
	assert.Equal(t, third.Events[0].InsertID.Value, third.Events[0].Event["insert_id"])
	assert.Equal(t, "repaired", fourth.Outcome)
	assert.Equal(t, 1, fourth.Events[0].SameAs)
	assert.Nil(t, fourth.Events[0].Event)
	assert.NotEmpty(t, fourth.Events[0].Property)
	assert.Equal(t, map[string]any{"$set": map[string]any{"[Experiment] my-flag": "a"}}, fourth.Events[0].Identify["user_properties"])
	var second object
	require.NoError(t, json.Unmarshal([]byte(lines[1]), &second))
	assert.Equal(t, "duplicate", second.Outcome)
	assert.Equal(t, 1, second.Events[0].SameAs)
	assert.False(t, second.Events[0].Sent)
	assert.Nil(t, second.Events[0].Event)
}

// TestFilters: a counter's labels select the records that it counted.
func TestFilters(t *testing.T) {
	_, out, _ := command(t, nil, "--outcome", "rejected", "--reason", "short_id", "testdata/exposures.jsonl", "testdata/evaluations.jsonl")
	assert.Equal(t, 1, strings.Count(out, "record "), out)
	assert.Contains(t, out, "record 14: rejected (short_id)\n")
	assert.Contains(t, out, "testdata/exposures.jsonl, document 14,")
	assert.Contains(t, out, "\n49 records: ", "the sum is of all")
	_, out, _ = command(t, nil, "--json", "--reason", "static", "testdata/exposures.jsonl", "testdata/evaluations.jsonl")
	assert.Equal(t, 1, strings.Count(out, "\n"), out)
}

// TestForms: the same records are explained the same way in every format.
func TestForms(t *testing.T) {
	const record = `{"eventName":"$exposure","timeUnixNano":"1768478400000000000","attributes":[{"key":"flag_key","value":{"stringValue":"f"}},{"key":"user_id","value":{"stringValue":"user-12345"}}]}`
	request := `{"resourceLogs":[{"scopeLogs":[{"logRecords":[` + record + `]}]}]}`
	logs, err := (&plog.JSONUnmarshaler{}).UnmarshalLogs([]byte(request))
	require.NoError(t, err)
	proto, err := (&plog.ProtoMarshaler{}).MarshalLogs(logs)
	require.NoError(t, err)
	var indented bytes.Buffer
	require.NoError(t, json.Indent(&indented, []byte(request), "", "  "))
	_, want, _ := command(t, []byte(record))
	assert.Contains(t, want, "1 record: 1 unexposure\n")
	for name, input := range map[string][]byte{
		"request": []byte(request), "indented": indented.Bytes(), "with a mark and blank lines": []byte("\ufeff\r\n\n" + request + "\r\n\n"), "protobuf": proto,
	} {
		t.Run(name, func(t *testing.T) {
			status, got, stderr := command(t, input)
			assert.Zero(t, status)
			assert.Empty(t, stderr)
			assert.Equal(t, want, got)
		})
	}
	_, twice, _ := command(t, []byte(request+"\n"+indented.String()))
	assert.Contains(t, twice, "record 1 reported the same")
	assert.Contains(t, twice, "2 records: 1 duplicate, 1 unexposure\n")
	status, none, _ := command(t, []byte(`{"resourceLogs":[]}`))
	assert.Zero(t, status)
	assert.Equal(t, "0 records\n", none)
}

// TestUnreadable: unreadable input ends with status 2 and says what is wrong, where, and what to do.
func TestUnreadable(t *testing.T) {
	yaml := func(text string) []string { return []string{"--config", "yaml:" + text} }
	for _, tc := range []struct {
		name, input string
		args        []string
		want        []string
	}{
		{"empty", " \n", nil, []string{"stdin is empty", "expected OTLP"}},
		{"text", "hello", nil, []string{`stdin begins with "hello"`, "expected OTLP"}},
		{"broken JSON", "{\"resourceLogs\":[]}\n{\"resourceLogs\": [}", nil, []string{"stdin: document 2, which starts on line 1, is not valid JSON"}},
		{"a list", "[1]", nil, []string{"stdin: document 1: not a JSON object"}},
		{"not OTLP, of spans", `{"resourceSpans":[{"scopeSpans":[{"spans":[{"startTimeUnixNano":"noon"}]}]}]}`, nil, []string{"document 1: not valid OTLP"}},
		{"connector's unknown key", "", yaml("{processors: {amplitude_experiment: {}}, connectors: {feature_flag_events: {color: red}}}"), []string{"connectors::feature_flag_events", "color"}},
		{"other JSON", `{"event":"x"}`, nil, []string{"document 1: no resourceLogs"}},
		{"not OTLP", `{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"timeUnixNano":"noon"}]}]}]}`, nil, []string{"document 1: not valid OTLP"}},
		{"no file", "", []string{"testdata/missing.json"}, []string{"testdata/missing.json: no such file"}},
		{"no configuration", "", []string{"--config", "testdata/missing.yaml"}, []string{"missing.yaml"}},
		{"unknown flag", "", []string{"--jsn"}, []string{"flag provided but not defined: -jsn", "usage:"}},
		{"bad time", "", []string{"--now", "noon"}, []string{"-now"}},
		{"no processor", "", yaml("processors: {batch: {}}"), []string{"the configuration has no processor amplitude_experiment"}},
		{"several processors", "", yaml("processors: {amplitude_experiment/a: {}, amplitude_experiment/b: {}}"), []string{"choose one with --processor: amplitude_experiment/a, amplitude_experiment/b"}},
		{"another processor", "", append(yaml("processors: {amplitude_experiment/a: {}}"), "--processor", "amplitude_experiment/b"), []string{`processors has no "amplitude_experiment/b", only: amplitude_experiment/a`}},
		{"several exporters", "", yaml("{processors: {amplitude_experiment: {}}, exporters: {amplitude/a: {}, amplitude/b: {}}}"), []string{"choose one with --exporter: amplitude/a, amplitude/b"}},
		{"no such exporter", "", append(yaml("processors: {amplitude_experiment: {}}"), "--exporter", "amplitude/x"), []string{`exporters has no "amplitude/x", only: none of this type`}},
		{"unknown key", "", yaml("processors: {amplitude_experiment: {color: red}}"), []string{"processors::amplitude_experiment", "color"}},
		{"invalid value", "", yaml("processors: {amplitude_experiment: {other_records: keep}}"), []string{"processors::amplitude_experiment", "`other_records` must be pass or drop"}},
		{"exporter's unknown key", "", yaml("{processors: {amplitude_experiment: {}}, exporters: {amplitude: {color: red}}}"), []string{"exporters::amplitude", "color"}},
		{"a section of no configuration", "", []string{"--processor", "amplitude_experiment/a"}, []string{"pass it with --config"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			status, _, stderr := command(t, []byte(tc.input), tc.args...)
			assert.Equal(t, 2, status)
			for _, want := range tc.want {
				assert.Contains(t, stderr, want)
			}
		})
	}
}

// TestConfig: the section is chosen and expanded as by the Collector.
func TestConfig(t *testing.T) {
	t.Setenv("EXPLAIN_TEST_MIN", "1")
	record := []byte(`{"eventName":"$exposure","attributes":[{"key":"flag_key","value":{"stringValue":"f"}},{"key":"user_id","value":{"stringValue":"u"}}]}`)
	for _, tc := range []struct {
		name string
		args []string
		want string
	}{
		{"defaults", nil, "rejected (short_id)"},
		{"an empty section", []string{"--config", "yaml:{processors: {amplitude_experiment: }}"}, "rejected (short_id)"},
		{"from the environment", []string{"--config", "yaml:processors::amplitude_experiment::identity::min_id_length: ${env:EXPLAIN_TEST_MIN}"}, "the exporter does not send it: invalid_id"},
		{"merged", []string{"--config", "yaml:{processors: {amplitude_experiment: {}}, exporters: {amplitude/x: {min_id_length: 1}}}", "--config", "yaml:processors::amplitude_experiment::identity::min_id_length: 1"}, `"user_id": "u"`},
		{"by name", []string{"--config", "yaml:{processors: {amplitude_experiment: {}, amplitude_experiment/x: {exposure: {event_names: [other]}, evaluation: {event_names: [$$exposure]}}}}", "--processor", "amplitude_experiment/x"}, "recognized as         evaluation"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			status, out, stderr := command(t, record, tc.args...)
			assert.Zero(t, status, stderr)
			assert.Contains(t, out, tc.want)
		})
	}
}

// TestIsIsolated: neither Redis nor a storage is used, so explaining with a production configuration is harmless.
func TestIsIsolated(t *testing.T) {
	redis, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { require.NoError(t, redis.Close()) }()
	connected := make(chan struct{}, 1)
	go func() {
		if conn, err := redis.Accept(); err == nil {
			connected <- struct{}{}
			_ = conn.Close()
		}
	}()
	record := []byte(`{"eventName":"$exposure","attributes":[{"key":"flag_key","value":{"stringValue":"f"}},{"key":"user_id","value":{"stringValue":"user-12345"}}]}`)
	config := fmt.Sprintf("yaml:processors::amplitude_experiment::dedup: {storage: file_storage, redis: {endpoint: %q, timeout: 5s}}", redis.Addr())
	status, out, stderr := command(t, append(record, record...), "--config", config)
	assert.Zero(t, status, stderr)
	assert.Contains(t, out, "2 records: 1 duplicate, 1 unexposure\n")
	assert.Empty(t, connected)
}

func TestHelp(t *testing.T) {
	status, out, stderr := command(t, nil, "--help")
	assert.Zero(t, status)
	assert.Empty(t, out)
	for _, name := range []string{"usage:", "-config", "-processor", "-exporter", "-json", "-now", "-outcome", "-reason"} {
		assert.Contains(t, stderr, name)
	}
}

// TestVersion: the events have the version of the Collector that is built with this command.
func TestVersion(t *testing.T) {
	manifest, err := confmaptest.LoadConf("../../builder-config.yaml")
	require.NoError(t, err)
	assert.Equal(t, version, manifest.Get("dist::version"))
}
