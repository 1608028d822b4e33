// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/confmap"
)

// compiled returns a schema of the repository, ready to validate.
func compiled(t *testing.T, path string) *jsonschema.Schema {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, path))
	require.NoError(t, err)
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	require.NoError(t, err)
	compiler := jsonschema.NewCompiler()
	require.NoError(t, compiler.AddResource(path, document))
	schema, err := compiler.Compile(path)
	require.NoError(t, err)
	return schema
}

// fromYAML reads YAML like the Collector, and returns values that a JSON validator understands.
func fromYAML(t *testing.T, text string) map[string]any {
	t.Helper()
	retrieved, err := confmap.NewRetrievedFromYAML([]byte(text))
	require.NoError(t, err)
	conf, err := retrieved.AsConf()
	require.NoError(t, err)
	return conf.ToStringMap()
}

// asJSON converts Go numbers to JSON numbers.
func asJSON(t *testing.T, value any) any {
	t.Helper()
	decoded, err := jsonschema.UnmarshalJSON(bytes.NewReader(compactJSON(value)))
	require.NoError(t, err)
	return decoded
}

// TestConfigurationsOfTheRepositoryFit validates every Collector configuration in the repository, including those on
// pages.
func TestConfigurationsOfTheRepositoryFit(t *testing.T) {
	schema := compiled(t, collectorSchemaPath)
	fence := regexp.MustCompile("(?ms)^```yaml\n(.*?)^```")
	files, blocks := 0, 0
	require.NoError(t, filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			if entry != nil && slices.Contains([]string{".git", "node_modules", "build", "_build", "bin"}, entry.Name()) {
				return fs.SkipDir
			}
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		switch filepath.Ext(path) {
		case ".yaml":
			if bytes.Contains(content, []byte("\nservice:")) && bytes.Contains(content, []byte("\nexporters:")) {
				files++
				assert.NoError(t, schema.Validate(asJSON(t, fromYAML(t, string(content)))), path)
			}
		case ".md":
			for _, block := range fence.FindAllStringSubmatch(string(content), -1) {
				isManifest := strings.HasPrefix(block[1], "dist:") // of the builder
				if !isManifest && regexp.MustCompile(`(?m)^(processors|exporters|extensions|connectors):`).MatchString(block[1]) {
					blocks++
					assert.NoError(t, schema.Validate(asJSON(t, fromYAML(t, block[1]))), "%s:\n%s", path, block[1])
				}
			}
		}
		return nil
	}))
	assert.GreaterOrEqual(t, files, 15, "the examples, the end-to-end tests")
	assert.GreaterOrEqual(t, blocks, 6, "the READMEs")
}

// TestPromisedKeys: the schema has the keys and defaults that the product promises.
func TestPromisedKeys(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("testdata", "promised.yaml"))
	require.NoError(t, err)
	promised := fromYAML(t, string(text))
	require.NoError(t, compiled(t, collectorSchemaPath).Validate(asJSON(t, promised)))
	configs, err := readConfigs(root)
	require.NoError(t, err)
	for _, c := range configs {
		section, ok := promised[c.section()].(map[string]any)[c.name()].(map[string]any)
		require.True(t, ok, c.title())
		for name, value := range section {
			assertPromised(t, c.root, name, value)
		}
	}
	// Keys without a default.
	for _, wanted := range []string{
		"amplitude api_key", "amplitude sending_queue::batch", "amplitude_experiment dedup::storage", "amplitude_experiment dedup::redis::endpoint",
	} {
		name, path, _ := strings.Cut(wanted, " ")
		c := configs[slices.IndexFunc(configs, func(c *config) bool { return c.name() == name })]
		assert.True(t, slices.ContainsFunc(allKeys(c.root), func(k *key) bool { return k.path == path }), wanted)
	}
}

func assertPromised(t *testing.T, section *key, name string, value any) {
	t.Helper()
	at := slices.IndexFunc(section.keys, func(k *key) bool { return k.name == name })
	require.NotEqual(t, -1, at, "%s in %q", name, section.path)
	found := section.keys[at]
	if inner, ok := value.(map[string]any); ok && found.kind == kindSection {
		for name, value := range inner {
			assertPromised(t, found, name, value)
		}
		return
	}
	assert.Equal(t, string(compactJSON(value)), string(compactJSON(found.fallback)), found.path)
}

// TestWrongConfigurations: the schema refuses what the component refuses, and vice versa.
func TestWrongConfigurations(t *testing.T) {
	schema := compiled(t, collectorSchemaPath)
	for _, tc := range []struct{ section, id, yaml, want string }{
		{"processors", "amplitude_experiment", `exposures: {}`, "'exposures'"},
		{"processors", "amplitude_experiment/second", `dedup: {redis: {endpoint: "h:1", pasword: x}}`, "'pasword'"},
		{"processors", "amplitude_experiment", `exposure: {wire: json}`, "'transformed', 'raw'"},
		{"processors", "amplitude_experiment", `exposure: {unassigned: ignore}`, "'event', 'identify', 'drop'"},
		{"processors", "amplitude_experiment", `identity: {context_id_as: session}`, "'user_id', 'device_id', 'ignore'"},
		{"processors", "amplitude_experiment", `identity: {user_id: {a: b}}`, "/identity/user_id"},
		{"processors", "amplitude_experiment", `identity: {min_id_length: five}`, "/identity/min_id_length"},
		{"processors", "amplitude_experiment", `identity: {groups: [company]}`, "/identity/groups"},
		{"processors", "amplitude_experiment", `other_records: keep`, "'pass', 'drop'"},
		{"processors", "amplitude_experiment", `set_user_properties: "yes"`, "/set_user_properties"},
		{"processors", "amplitude_experiment", `insert_id: strong`, "/insert_id"},
		{"processors", "amplitude_experiment", `dedup: {mode: once}`, "'latest', 'unique_per_day'"},
		{"exporters", "amplitude", `{api_key: k, region: mars}`, "'us', 'eu'"},
		{"exporters", "amplitude/eu", `{api_key: k, api: v1}`, "'http_v2', 'batch'"},
		{"exporters", "amplitude", `{api_key: k, compression: zstd}`, "'gzip', 'none'"},
		{"exporters", "amplitude", `{api_key: k, timeout: soon}`, "/timeout"},
		{"exporters", "amplitude", `{api_key: k, apikey: k}`, "'apikey'"},
		{"exporters", "amplitude", `{api_key: k, tls: {insecure_skip_verfy: true}}`, "'insecure_skip_verfy'"},
		{"exporters", "amplitude", `{api_key: k, sending_queue: {batch: {sizer: kilos}}}`, "'requests', 'items', 'bytes'"},
		{"exporters", "amplitude", `{api_key: k, sending_queue: {queue_size: many}}`, "/sending_queue/queue_size"},
		{"exporters", "amplitude", `{api_key: k, dead_letter: dead.jsonl}`, "/dead_letter"},
		{"exporters", "amplitude", `{api_key: [a, b]}`, "/api_key"},
		{"extensions", "amplitude_sandbox", `api_keys: sandbox`, "/api_keys"},
		{"extensions", "amplitude_sandbox", `behavior: {index_mode: last}`, "'all', 'first'"},
		{"extensions", "amplitude_sandbox", `behavior: {v2: {short_id_mode: keep}}`, "'reject', 'strip'"},
		{"extensions", "amplitude_sandbox", `projects: [{api_key: b, region: moon}]`, "'us', 'eu'"},
		{"extensions", "amplitude_sandbox", `weights: {flag: {on: half}}`, "/weights/flag/on"},
		{"extensions", "amplitude_tap", `max_records_per_second: many`, "/max_records_per_second"},
		{"extensions", "amplitude_tap", `show_id: true`, "'show_id'"},
		{"connectors", "feature_flag_events", `launchdarkly: {variant: name}`, "'index', 'value'"},
		{"connectors", "feature_flag_events", `spans: [{names: [a], event: b}]`, "'event'"},
		{"connectors", "feature_flag_events", `spans: {names: [a]}`, "/spans"},
	} {
		t.Run(tc.id+" "+tc.yaml, func(t *testing.T) {
			wrong := fromYAML(t, tc.yaml)
			err := schema.Validate(asJSON(t, map[string]any{tc.section: map[string]any{tc.id: wrong}}))
			require.Error(t, err)
			assert.Contains(t, fmt.Sprintf("%#v", err), tc.want)
			require.Error(t, load(t, tc.id, wrong), "the component takes it")
		})
	}
	for _, whole := range []string{
		"processor: {}", "processors: []", "exporters: amplitude",
		"exporters: {amplitude: {timeout: 30}}", // the component accepts it, as 30 nanoseconds
	} {
		require.Error(t, schema.Validate(asJSON(t, fromYAML(t, whole))), whole)
	}
}

// TestUnusualConfigurations: the schema also accepts what the components accept.
func TestUnusualConfigurations(t *testing.T) {
	schema := compiled(t, collectorSchemaPath)
	for _, tc := range []struct{ section, id, yaml string }{
		{"processors", "amplitude_experiment/a_b-2", `{exposure: , dedup: {redis: {endpoint: "h:1", tls: }, storage: file_storage/a}}`},
		{"processors", "amplitude_experiment", `dedup: {redis: {enabled: false}, storage: null}`},
		{"processors", "amplitude_experiment", `identity: {user_id: "user.id,enduser.id"}`},
		{"exporters", "amplitude", `{api_key: k, headers: {a: b}, retry_on_failure: {max_elapsed_time: 0}, sending_queue: {enabled: false}}`},
		{"exporters", "amplitude", `{api_key: k, headers: [{name: a, value: b}], timeout: 1h30m0.5s, auth: {authenticator: oauth2/x}, rate_limit: {events_per_second: 0.5}}`},
		{"exporters", "amplitude", `{api_key: k, middlewares: [{id: m}], compression: none, keepalive: {idle_conn_timeout: 10s}}`},
		{"extensions", "amplitude_sandbox", `{weights: {flag: {on: 1, off: 0.5}}, tls: {cert_file: a, key_file: b}}`},
		{"extensions", "amplitude_tap", `{endpoint: 0.0.0.0:8587, auth: {authenticator: bearertokenauth}, allowed_hosts: [collector.internal], show_ids: true}`},
		{"connectors", "feature_flag_events", `{spans: [{names: ["flag *"], attributes: {a: b}, star_attribute: feature_flag.key}], launchdarkly: {groups: {org: company}}}`},
	} {
		t.Run(tc.id+" "+tc.yaml, func(t *testing.T) {
			unusual := fromYAML(t, tc.yaml)
			require.NoError(t, load(t, tc.id, unusual))
			require.NoError(t, schema.Validate(asJSON(t, map[string]any{tc.section: map[string]any{tc.id: unusual}})))
		})
	}
	// Substitutions may become anything; their values are checked at startup.
	for _, whole := range []string{
		`exporters: {amplitude: {concurrency: "${env:N}", region: "${env:REGION:-eu}", dry_run: "${env:DRY}", timeout: "${env:T}", events: "${env:E}", tls: "${file:tls.yaml}"}}`,
		`exporters: {amplitude: "${file:amplitude.yaml}", otlp: {anything: [1]}}`,
		`processors: ${file:processors.yaml}`,
		`processors: {amplitude_experiments: {exposure: 1}}`, // not ours
	} {
		require.NoError(t, schema.Validate(asJSON(t, fromYAML(t, whole))), whole)
	}
}

// TestSchemaOfAComponent: the schema of one component is for the section under its name.
func TestSchemaOfAComponent(t *testing.T) {
	for _, c := range components() {
		schema := compiled(t, c.schemaPath())
		require.NoError(t, schema.Validate(map[string]any{}), c.title())
		require.NoError(t, schema.Validate(nil), c.title())
		require.ErrorContains(t, schema.Validate(map[string]any{"no_such_key": true}), "no_such_key", c.title())
	}
}

// load reads a configuration as the Collector does.
func load(t *testing.T, id string, values map[string]any) error {
	t.Helper()
	name, _, _ := strings.Cut(id, "/")
	all := components()
	at := slices.IndexFunc(all, func(d described) bool { return d.name() == name })
	require.NotEqual(t, -1, at, id)
	cfg := all[at].CreateDefaultConfig()
	if err := confmap.NewFromStringMap(maps.Clone(values)).Unmarshal(&cfg); err != nil {
		return err
	}
	return confmap.Validate(cfg)
}
