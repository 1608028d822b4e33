// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const root = "../.."

// TestGeneratedFilesAreCurrent compares the files in the repository with newly generated ones.
func TestGeneratedFilesAreCurrent(t *testing.T) {
	files, err := generate(root)
	require.NoError(t, err)
	require.Len(t, files, 9, "two pages, a schema for each component, one for the whole")
	for path, content := range files {
		t.Run(path, func(t *testing.T) {
			found, err := os.ReadFile(filepath.Join(root, path))
			require.NoError(t, err)
			assert.Equal(t, string(found), string(content), "run `make generate`")
		})
	}
	schemas, err := filepath.Glob(filepath.Join(root, "docs", "schema", "*"))
	require.NoError(t, err)
	assert.Len(t, schemas, 7, "nothing is left of a removed component")
}

// TestOurKeysAreExplained: every key declared in this repository has a meaning, and every metric an explanation of what
// to do when it changes.
func TestOurKeysAreExplained(t *testing.T) {
	configs, err := readConfigs(root)
	require.NoError(t, err)
	keys := map[string]int{}
	for _, c := range configs {
		for _, k := range allKeys(c.root) {
			if k.ours {
				keys[c.name()]++
				assert.NotEmpty(t, k.meaning, "%s %s has no comment", c.title(), k.path)
			}
		}
	}
	for _, c := range components() {
		assert.Positive(t, keys[c.name()], c.title())
	}
	all, err := readMetrics(root)
	require.NoError(t, err)
	for _, c := range all {
		assert.NotEmpty(t, c.all, c.title())
		for name, m := range c.all {
			assert.NotEmpty(t, m.WhenItMoves, "%s has no extended_documentation in metadata.yaml", name)
			for _, id := range m.Labels {
				assert.Contains(t, c.labels, id, name)
			}
		}
	}
}

// TestWhatTheCodeSays checks keys of every form that a default configuration has.
func TestWhatTheCodeSays(t *testing.T) {
	configs, err := readConfigs(root)
	require.NoError(t, err)
	rows := map[string][3]string{}
	for _, c := range configs {
		for _, k := range allKeys(c.root) {
			rows[c.name()+" "+k.path] = [3]string{k.typeText(), k.defaultText(), k.meaning}
		}
	}
	for path, want := range map[string][3]string{
		"amplitude api_key":                        {"string, **secret**", "", "The project's API key. It is required unless `dry_run` is set. It is only sent in request bodies."},
		"amplitude region":                         {"`us` or `eu`", "`us`", "Where the project is."},
		"amplitude compression":                    {"`gzip` or `none`", "", "Compression of requests; if empty, gzip for Amplitude's own URLs and none for others, which may not decode it."},
		"amplitude timeout":                        {"duration", "`30s`", "Maximum time for one request, including its answer."},
		"amplitude headers":                        {"map of string, **secret**", "", "Defines additional headers attached to each HTTP request sent by the client."},
		"amplitude tls::ca_file":                   {"string", "", "Path to the CA cert."},
		"amplitude keepalive::max_idle_conns":      {"int", "`100`", "Used to set a limit to the maximum idle HTTP connections the client can keep open."},
		"amplitude sending_queue":                  {"optional section", "on", "The sending queue, with the building of batches."},
		"amplitude sending_queue::storage":         {"component id", "", "If not empty, enables the persistent storage and uses the component specified as a storage extension for the persistent queue."},
		"amplitude sending_queue::sizer":           {"`requests`, `items` or `bytes`", "`items`", "Determines the type of size measurement used by this component."},
		"amplitude sending_queue::batch::min_size": {"int", "`8192`", "Defines the configuration for the minimum size of a batch."},
		"amplitude rate_limit::events_per_second":  {"number", "`0`", "Bounds the events; 0 means no limit."},
		"amplitude_experiment set_user_properties": {"bool", "`true`", "Adds the user property `[Experiment] <flag key>` to the events. When false, neither exposures nor assignments set it, whatever their own `set_user_properties` says."},
		"amplitude_experiment identity::groups":    {"map of string", "`{}`", "Maps an Amplitude group type to the attribute that holds its value."},
		"amplitude_experiment dedup::redis":        {"optional section", "off", "Shares the state between replicas; without it, each replica has its own."},
		"amplitude_experiment assignment::property_prefix": {
			"string", "`\"[Experiment] \"`", "The prefix of `<flag key>.variant` and `<flag key>.details`; Amplitude's SDKs use no prefix.",
		},
		"amplitude_experiment dedup::redis::timeout": {"duration", "`50ms`", "Bounds how long a batch waits for each of its two round trips."},
		"amplitude_experiment dedup::redis::db":      {"int", "`0`", "The database number; a cluster only has 0."},
		"amplitude_sandbox tls::cipher_suites":       {"list of string", "", "A list of TLS cipher suites that the TLS transport can use."},
		"amplitude_sandbox api_keys":                 {"list of string, **secret**", "`[\"sandbox\"]`", "The keys of projects in `region`; each key is a project of its own."},
		"amplitude_sandbox behavior::dedupe_window":  {"duration", "`168h`", "How long a copy is recognized."},
		"amplitude_sandbox behavior::batch::short_id_mode": {
			"`reject` or `strip`", "`strip`", "What happens if an id is too short: the request gets a 400 (`reject`), or the id is removed from the event (`strip`).",
		},
		"amplitude_sandbox weights":               {"map of map of number", "`{}`", "The expected shares of users per flag and variant, for the sample-ratio test; flags that are not listed have equal shares."},
		"amplitude_sandbox projects[]::region":    {"`us` or `eu`", "", "Where the project is."},
		"feature_flag_events spans[]::event_name": {"string", "`feature_flag.evaluation`", "The event name of the record."},
	} {
		assert.Equal(t, want, rows[path], path)
	}
}

// allKeys returns the keys of a section and those below them.
func allKeys(section *key) []*key {
	var all []*key
	for _, k := range section.keys {
		all = append(all, k)
		inside := k
		for inside.element != nil {
			inside = inside.element
		}
		all = append(all, allKeys(inside)...)
	}
	return all
}
