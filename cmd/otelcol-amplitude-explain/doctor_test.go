// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/otelcol-amplitude/otelcol-amplitude/sandbox"
)

// installation is a healthy Collector in its own folder; tests replace parts of it to create problems.
type installation struct {
	folder, config string
	amplitude      *sandbox.Server
}

func newInstallation(t *testing.T) *installation {
	t.Helper()
	amplitude := sandbox.New(t, sandbox.WithConfig(func(c *sandbox.Config) { c.APIKeys = []string{"sandbox-key"} }))
	folder := t.TempDir()
	for _, name := range []string{"state", "letters"} {
		require.NoError(t, os.Mkdir(filepath.Join(folder, name), 0o700))
	}
	return &installation{folder: folder, amplitude: amplitude, config: strings.NewReplacer("FOLDER", folder, "AMPLITUDE", amplitude.URL()).Replace(`
receivers: {otlp: {protocols: {http: {endpoint: 127.0.0.1:4318}}}}
processors:
  memory_limiter: {check_interval: 1s, limit_mib: 100}
  amplitude_experiment: {dedup: {storage: file_storage}}
exporters:
  amplitude:
    api_key: sandbox-key
    endpoint: AMPLITUDE/2/httpapi
    sending_queue: {storage: file_storage}
    dead_letter: {path: FOLDER/letters/dead.jsonl}
extensions:
  file_storage: {directory: FOLDER/state, fsync: true}
service:
  extensions: [file_storage]
  pipelines:
    logs: {receivers: [otlp], processors: [memory_limiter, amplitude_experiment], exporters: [amplitude]}
`)}
}

// doctor examines the installation with some text of its configuration replaced.
func (i *installation) doctor(t *testing.T, replaced []string, args ...string) (status int, out string) {
	t.Helper()
	config := filepath.Join(i.folder, "collector.yaml")
	text := strings.NewReplacer(replaced...).Replace(i.config)
	if len(replaced) > 0 {
		require.NotEqual(t, i.config, text)
	}
	require.NoError(t, os.WriteFile(config, []byte(text), 0o600))
	status, out, stderr := command(t, nil, append([]string{"doctor", "--config", config, "--timeout", "5s"}, args...)...)
	require.Empty(t, stderr)
	return status, out
}

// TestDoctorFindsNothing: everything is fine, nothing was sent, and nothing is left behind.
func TestDoctorFindsNothing(t *testing.T) {
	i := newInstallation(t)
	status, out := i.doctor(t, nil)
	assert.Zero(t, status, out)
	assert.NotContains(t, out, "✗")
	for _, want := range []string{
		"✓ processors::amplitude_experiment: valid and in a pipeline",
		"✓ pipelines::logs: otlp → memory_limiter → amplitude_experiment → amplitude",
		"the de-duplication state lasts as long as the queue of amplitude",
		"is writable and can be synced",
		"answers (no proxy, not encrypted)",
		"this clock and the server's agree",
		" examined, 0 to look at\n",
	} {
		assert.Contains(t, out, want)
	}
	for _, name := range []string{"state", "letters"} {
		left, err := os.ReadDir(filepath.Join(i.folder, name))
		require.NoError(t, err)
		assert.Empty(t, left)
	}
	assert.Zero(t, i.amplitude.Stats().Events)
}

// TestDoctorFindsFaults: each problem is found, with what to do about it.
func TestDoctorFindsFaults(t *testing.T) {
	for _, tc := range []struct {
		name     string
		replaced []string
		want     string
	}{
		{"an invalid key", []string{"api_key: sandbox-key", "api_kye: sandbox-key"}, "✗ exporters::amplitude: the Collector would not start: "},
		{"a processor in no pipeline", []string{"[memory_limiter, amplitude_experiment]", "[memory_limiter]"}, "✗ processors::amplitude_experiment: no pipeline uses it"},
		{"an exporter without a processor", []string{"[memory_limiter, amplitude_experiment]", "[memory_limiter]"}, "✗ pipelines::logs: it has the exporter without amplitude_experiment"},
		{"an exporter in no pipeline", []string{"exporters: [amplitude]", "exporters: [debug]"}, "✗ exporters::amplitude: no pipeline uses it"},
		{"a pipeline of traces", []string{"    logs: {", "    traces: {"}, "exposures are log records"},
		{"batch before", []string{"[memory_limiter, amplitude_experiment]", "[memory_limiter, batch, amplitude_experiment]"}, "batch comes before amplitude_experiment"},
		{"batch behind", []string{"[memory_limiter, amplitude_experiment]", "[memory_limiter, amplitude_experiment, batch]"}, "batch holds events in memory"},
		{"memory_limiter late", []string{"[memory_limiter, amplitude_experiment]", "[amplitude_experiment, memory_limiter]"}, "memory_limiter is not first"},
		{"dry run", []string{"api_key: sandbox-key", "dry_run: true"}, "✗ exporters::amplitude: dry_run: true: Nothing is sent"},
		{"browsers that are trusted", []string{"http: {endpoint: 127.0.0.1:4318}", "http: {endpoint: 127.0.0.1:4318, cors: {allowed_origins: [https://shop.example]}}", "{dedup: {storage: file_storage}}", "{accept_shaped: true, dedup: {storage: file_storage}}"}, "browsers write to otlp"},
		{"a custom event that is not allowed", []string{"{dedup: {storage: file_storage}}", "{exposure: {custom_events: [Hero Shown]}, dedup: {storage: file_storage}}"}, `amplitude_experiment makes events named "Hero Shown", but amplitude does not send them: add the name to exporters::amplitude::events`},
		{"an outcome that is not allowed", []string{"{dedup: {storage: file_storage}}", "{outcomes: {events: [order.placed], rename: {order.placed: Order Placed}}, dedup: {storage: file_storage}}"}, `amplitude_experiment makes events named "Order Placed", but amplitude does not send them: add the name to exporters::amplitude::events`},
		{"raw impressions that are not allowed", []string{"{dedup: {storage: file_storage}}", "{impression: {enabled: true}, exposure: {wire: raw}, dedup: {storage: file_storage}}"}, `amplitude_experiment makes events named "$impression"`},
		{"state that outlives the queue", []string{"    sending_queue: {storage: file_storage}\n", ""}, "the state of amplitude_experiment outlives the queue"},
		{"a queue that outlives the state", []string{"{dedup: {storage: file_storage}}", "{}"}, "the queue of amplitude outlives the de-duplication state"},
		{"an edge that de-duplicates", []string{"exporters: [amplitude]", "exporters: [otlp]"}, "it de-duplicates but sends to another Collector"},
		{"neither queue nor state on disk", []string{"{dedup: {storage: file_storage}}", "{}", "    sending_queue: {storage: file_storage}\n", ""}, "✗ exporters::amplitude: sending_queue::storage: Without a storage for the sending queue, a restart loses"},
		{"no retries", []string{"    api_key: sandbox-key", "    retry_on_failure: {enabled: false}\n    api_key: sandbox-key"}, "✗ exporters::amplitude: retry_on_failure::enabled: false: "},
		{"ids shorter than the exporter accepts", []string{"{dedup: {storage: file_storage}}", "{identity: {min_id_length: 1}, dedup: {storage: file_storage}}"}, "✗ pipelines::logs: amplitude_experiment accepts ids of 1 characters, but amplitude leaves out those with fewer than 5"},
		{"no dead letter file", []string{"    dead_letter: {path: ", "    partner_id: x #"}, "✗ exporters::amplitude: dead_letter::path: Without a dead letter file"},
		{"a dead letter path that is a directory", []string{"letters/dead.jsonl", "letters"}, "is not a regular file"},
		{"two exporters with one file", []string{"extensions:\n  file", "  amplitude/two:\n    api_key: sandbox-key\n    dead_letter: {path: FOLDER/letters/dead.jsonl}\nextensions:\n  file"}, "it writes dead letters to the same file as exporters::amplitude"},
		{"no directory", []string{"directory: ", "directory: /nowhere"}, "the directory /nowhere"},
		{"no fsync", []string{", fsync: true", ""}, "fsync is off"},
		{"a storage that is not started", []string{"extensions: [file_storage]", "extensions: []"}, "it is used as storage but not started"},
		{"a plain-text endpoint", []string{"AMPLITUDE", "http://192.0.2.1"}, "✗ exporters::amplitude: endpoint: The API key goes over the network in clear text"},
		{"a name without an address", []string{"AMPLITUDE", "http://name.invalid"}, "name.invalid does not resolve"},
		{"nobody listens", []string{"AMPLITUDE", "http://127.0.0.1:1"}, "127.0.0.1:1 does not answer (no proxy)"},
		{"an unavailable proxy", []string{"    api_key: sandbox-key", "    proxy_url: http://user:secret-word@127.0.0.1:1\n    api_key: sandbox-key"}, "does not answer (through the proxy in proxy_url)"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			i := newInstallation(t)
			for n, text := range tc.replaced {
				tc.replaced[n] = strings.NewReplacer("FOLDER", i.folder, "AMPLITUDE", i.amplitude.URL()).Replace(text)
			}
			if strings.HasPrefix(tc.want, "✗ exporters::amplitude: endpoint: ") {
				_, out := i.doctor(t, tc.replaced, "--offline")
				assert.Contains(t, out, tc.want)
				return
			}
			status, out := i.doctor(t, tc.replaced)
			assert.Equal(t, 1, status)
			assert.Contains(t, out, tc.want)
			assert.NotContains(t, out, "secret-word")
			assert.NotContains(t, out, "sandbox-key")
		})
	}
}

// TestDoctorLooksAtTheDisk: a queue that nobody reads, and a directory that others can read or that cannot be written.
func TestDoctorLooksAtTheDisk(t *testing.T) {
	i := newInstallation(t)
	for _, name := range []string{"exporter_amplitude_old_logs", "exporter_amplitude__logs", "exporter_amplitude__slow_lane", "processor_amplitude_experiment__dedup", "exporter_otlp_gone_logs"} {
		require.NoError(t, os.WriteFile(filepath.Join(i.folder, "state", name), nil, 0o600))
	}
	_, out := i.doctor(t, nil)
	assert.Equal(t, 1, strings.Count(out, "✗"), out)
	assert.Contains(t, out, "exporter_amplitude_old_logs holds the queue of an exporter amplitude/old, which is not in the configuration")

	status, out := i.doctor(t, []string{"letters/dead.jsonl", "new/letters/dead.jsonl", "/state, ", "/new/state, create_directory: true, "})
	assert.Zero(t, status, out)
	assert.Equal(t, 2, strings.Count(out, "is not there yet, and can be made at the start"), out)
	require.NoFileExists(t, filepath.Join(i.folder, "new"))
	_, out = i.doctor(t, []string{"letters/dead.jsonl", "collector.yaml/letters/dead.jsonl"})
	assert.Contains(t, out, "✗ exporters::amplitude: dead_letter::path: ")

	if runtime.GOOS == "windows" {
		return
	}
	require.NoError(t, os.Chmod(filepath.Join(i.folder, "letters"), 0o755))
	_, out = i.doctor(t, nil)
	assert.Contains(t, out, "everyone can read")
	require.NoError(t, os.Chmod(filepath.Join(i.folder, "letters"), 0o500))
	if os.Geteuid() != 0 { // root may write anywhere
		_, out = i.doctor(t, nil)
		assert.Contains(t, out, "this user cannot write to")
	}
}

// TestDoctorChecksTheKey only on request, and distinguishes a good key from a bad one.
func TestDoctorChecksTheKey(t *testing.T) {
	i := newInstallation(t)
	for _, tc := range []struct {
		key, flag, want string
	}{
		{"sandbox-key", "--check-key", "✓ exporters::amplitude: the api_key seems to be good"},
		{"sandbox-key", "--send-test-event", "✓ exporters::amplitude: the api_key is good"},
		{"another-key", "--check-key", "✗ exporters::amplitude: Amplitude does not know the api_key"},
		{"another-key", "--send-test-event", "✗ exporters::amplitude: Amplitude does not know the api_key"},
	} {
		replaced := []string{}
		if tc.key != "sandbox-key" {
			replaced = []string{"api_key: sandbox-key", "api_key: " + tc.key}
		}
		_, out := i.doctor(t, replaced, tc.flag)
		assert.Contains(t, out, tc.want)
		assert.NotContains(t, out, tc.key)
	}
	assert.Zero(t, i.amplitude.Stats().EventsStored)
}

// TestDoctorReadsTheClock from the server's answer, whatever else it contains.
func TestDoctorReadsTheClock(t *testing.T) {
	i := newInstallation(t)
	for off, want := range map[time.Duration]string{
		-2 * time.Hour: `✗ exporters::amplitude: this clock is (2h0m0s|1h59m[0-9]+s) behind`, 2 * time.Hour: `✗ exporters::amplitude: this clock is (2h0m0s|1h59m[0-9]+s) ahead`,
		time.Second: `✓ exporters::amplitude: this clock and the server's agree`,
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Date", time.Now().Add(-off).UTC().Format(http.TimeFormat))
			w.WriteHeader(http.StatusBadGateway)
		}))
		_, out := i.doctor(t, []string{i.amplitude.URL(), server.URL}, "--check-key")
		server.Close()
		assert.Regexp(t, want, out)
		assert.Contains(t, out, "failed to check the key: "+strings.TrimPrefix(server.URL, "http://")+" answers 502")
	}
	server := httptest.NewTLSServer(http.NotFoundHandler())
	defer server.Close()
	_, out := i.doctor(t, []string{i.amplitude.URL(), server.URL})
	assert.Contains(t, out, "certificate signed by unknown authority")
}

// TestDoctorFails with status 2 if it cannot read or do what it should.
func TestDoctorFails(t *testing.T) {
	for _, tc := range []struct {
		args []string
		want string
	}{
		{nil, "--config"},
		{[]string{"--config", "testdata/missing.yaml"}, "missing.yaml"},
		{[]string{"--config", "yaml:processors: {amplitude_experiment: {}}"}, "has no service::pipelines"},
		{[]string{"--config", "yaml:service: {}", "--offline", "--check-key"}, "which --offline turns off"},
		{[]string{"--color"}, "not defined"},
	} {
		status, out, stderr := command(t, nil, append([]string{"doctor"}, tc.args...)...)
		assert.Equal(t, 2, status)
		assert.Empty(t, out)
		assert.Contains(t, stderr, tc.want)
	}
	status, _, stderr := command(t, nil, "doctor", "--help")
	assert.Zero(t, status)
	assert.Contains(t, stderr, "usage: otelcol-amplitude-explain doctor")
}

// TestDoctorLooksAtSDKs: in a pipeline for Amplitude's SDKs, everything that would keep accepted events from Amplitude
// is found.
func TestDoctorLooksAtSDKs(t *testing.T) {
	with := func(receiver, processor, exporter string) []string {
		return []string{
			"receivers: {otlp: {", "receivers: {amplitude: {api_keys: [{key: secret-word}]" + receiver + "}, otlp: {",
			"amplitude_experiment: {dedup: {storage: file_storage}}", "amplitude_experiment: {" + processor + "dedup: {storage: file_storage}}",
			"    api_key: sandbox-key", exporter + "    api_key: sandbox-key",
			"receivers: [otlp]", "receivers: [amplitude]",
		}
	}
	const accepts, all = "accept_shaped: true, ", "    events: ['*']\n"
	for _, tc := range []struct {
		name     string
		replaced []string
		want     string
	}{
		{"as it should be", with("", accepts, all), "✓ pipelines::logs: events from SDKs through amplitude are sent unchanged"},
		{"pages of a site", with(", cors: {allowed_origins: [https://shop.example]}", accepts, all), "✓ pipelines::logs: events from SDKs through amplitude are sent unchanged"},
		{"an exporter only for experiments", with("", accepts, ""), "✗ pipelines::logs: amplitude sends only experiment events, so page views, purchases and other events of amplitude stop there: set events: [\"*\"]"},
		{"a processor that trusts applications", with("", "", all), "✗ pipelines::logs: amplitude_experiment strips operators, insert_id and most fields from the events of amplitude: set accept_shaped: true"},
		{"a processor that drops", with("", accepts+"other_records: drop, ", all), "✗ pipelines::logs: amplitude_experiment drops everything that is not an experiment record"},
		{"ids shorter than the exporter accepts", with(", min_id_length: 1", accepts, all), "✗ pipelines::logs: amplitude accepts ids of 1 characters, but amplitude leaves out those with fewer than 5"},
		{"an invalid receiver", with(", client_ip: never", accepts, all), "✗ receivers::amplitude: the Collector would not start: "},
		{"a receiver in no pipeline", with("", accepts, all)[:6], "✗ receivers::amplitude: no pipeline uses it"},
		{"behind a connector", append(with("", accepts, ""), "    logs: {receivers: [amplitude], processors: [memory_limiter, amplitude_experiment], exporters: [amplitude]}",
			"    logs: {receivers: [amplitude], exporters: [forward]}\n    logs/all: {receivers: [forward], processors: [memory_limiter, amplitude_experiment], exporters: [amplitude]}"), "✗ pipelines::logs: amplitude sends only experiment events"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			i := newInstallation(t)
			status, out := i.doctor(t, tc.replaced)
			assert.Contains(t, out, tc.want)
			assert.NotContains(t, out, "secret-word")
			if strings.HasPrefix(tc.want, "✓") {
				assert.Zero(t, status, out)
			}
		})
	}
}

// TestDoctorOnTheExampleForSDKs: the shipped configuration sends everything that they send.
func TestDoctorOnTheExampleForSDKs(t *testing.T) {
	_, out, stderr := command(t, nil, "doctor", "--config", "../../examples/amplitude-sdks.yaml", "--offline")
	require.Empty(t, stderr)
	assert.Contains(t, out, "✓ pipelines::logs/sdks: events from SDKs through amplitude are sent unchanged")
}
