// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudeexporter

import (
	"math"
	"os"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/confmap/confmaptest"
	"go.opentelemetry.io/collector/exporter/exporterhelper"
)

func TestDefaultConfig(t *testing.T) {
	cfg := NewFactory().CreateDefaultConfig()
	require.NoError(t, componenttest.CheckConfigStruct(cfg))
	require.NoError(t, confmap.New().Unmarshal(cfg))
	assert.Equal(t, createDefaultConfig(), cfg, "an empty section changes nothing")

	c := cfg.(*Config)
	queue := c.QueueConfig.Get()
	require.NotNil(t, queue, "there is a queue unless it is switched off")
	assert.Equal(t, 1, queue.NumConsumers)
	assert.True(t, queue.BlockOnOverflow)
	require.NotNil(t, queue.Batch.Get(), "batching is on")
	assert.Equal(t, exporterhelper.RequestSizerTypeItems, queue.Batch.Get().Sizer)
	assert.Zero(t, c.RetryConfig.MaxElapsedTime, "retries never end")
}

func TestLoadConfig(t *testing.T) {
	conf, err := confmaptest.LoadConf(filepath.Join("testdata", "config.yaml"))
	require.NoError(t, err)
	load := func(name string) *Config {
		sub, err := conf.Sub(name)
		require.NoError(t, err)
		cfg := createDefaultConfig().(*Config)
		require.NoError(t, sub.Unmarshal(cfg))
		require.NoError(t, confmap.Validate(cfg))
		return cfg
	}
	plain := load("amplitude")
	want := createDefaultConfig().(*Config)
	want.APIKey = "key"
	assert.Equal(t, want, plain)

	all := load("amplitude/all")
	assert.Equal(t, "http://127.0.0.1:8585/batch", all.url())
	assert.True(t, all.compressed(), "asked for")
	assert.Equal(t, 12*time.Second, all.ClientConfig.Timeout)
	assert.Equal(t, RateLimitConfig{EventsPerSecond: 1000, RequestsPerSecond: 99.5}, all.RateLimit)
	assert.Equal(t, DeadLetterConfig{Path: "/tmp/dead.jsonl", MaxMegabytes: 5, OnFull: onFullWait}, all.DeadLetter)
	assert.Equal(t, SlowLaneConfig{MaxEvents: 7, MaxShare: 0.1}, all.SlowLane)
	assert.Equal(t, component.MustNewID("file_storage"), *all.QueueConfig.Get().StorageID)
	assert.Equal(t, limits{bytes: 20_000_000, events: 1999}, all.limits())
	assert.True(t, all.QueueConfig.Get().BlockOnOverflow, "defaults that are not named stay")
	assert.Equal(t, time.Second, all.QueueConfig.Get().Batch.Get().FlushTimeout)

	load("amplitude/dry")
}

func TestTargets(t *testing.T) {
	for _, tc := range []struct {
		name       string
		settings   map[string]any
		url        string
		compressed bool
	}{
		{"default", nil, "https://api2.amplitude.com/2/httpapi", true},
		{"eu", map[string]any{"region": "eu"}, "https://api.eu.amplitude.com/2/httpapi", true},
		{"upper case", map[string]any{"region": "EU"}, "https://api.eu.amplitude.com/2/httpapi", true},
		{"batch", map[string]any{"api": "batch"}, "https://api2.amplitude.com/batch", true},
		{"batch eu", map[string]any{"api": "batch", "region": "eu"}, "https://api.eu.amplitude.com/batch", true},
		{"official URL written out", map[string]any{"endpoint": "https://api2.amplitude.com/batch"}, "https://api2.amplitude.com/batch", true},
		{"switched off", map[string]any{"compression": "none"}, "https://api2.amplitude.com/2/httpapi", false},
		{"custom", map[string]any{"endpoint": "http://proxy/2/httpapi"}, "http://proxy/2/httpapi", false},
		{"custom with gzip", map[string]any{"endpoint": "http://proxy/x", "compression": "gzip"}, "http://proxy/x", true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			cfg := newConfig(t, tc.settings)
			assert.Equal(t, tc.url, cfg.url())
			assert.Equal(t, tc.compressed, cfg.compressed())
		})
	}
}

func TestWrongConfig(t *testing.T) {
	for _, tc := range []struct {
		name     string
		settings map[string]any
		want     string
	}{
		{"no key", map[string]any{"api_key": ""}, "`api_key` is required"},
		{"region", map[string]any{"region": "mars"}, "`region` must be us or eu (got \"mars\")"},
		{"api", map[string]any{"api": "v1"}, "`api` must be http_v2 or batch (got \"v1\")"},
		{"endpoint without scheme", map[string]any{"endpoint": "localhost/2/httpapi"}, "`endpoint` must be a full URL that starts with http"},
		{"endpoint without path", map[string]any{"endpoint": "http://user:hunter2@localhost"}, "`endpoint` must be a full URL with its path"},
		{"invalid endpoint", map[string]any{"endpoint": "http://[::1/2"}, "`endpoint` must be a valid URL"},
		{"proxy without scheme", map[string]any{"proxy_url": "joe:hunter2@proxy:3128"}, "`proxy_url` must "},
		{"proxy whose password has a percent", map[string]any{"proxy_url": "http://joe:%hunter2@proxy:3128"}, "`proxy_url` must be a full URL"},
		{"proxy whose password has a hash", map[string]any{"proxy_url": "http://joe:hunter2#@proxy:3128"}, "`proxy_url` must be a full URL"},
		{"proxy whose password has a slash", map[string]any{"proxy_url": "http://joe:hunter2/@proxy:3128"}, "`proxy_url` must be a full URL"},
		{"proxy whose port is a word", map[string]any{"proxy_url": "http://joe:hunter2@proxy:port"}, "`proxy_url` must be a full URL"},
		{"proxy of another kind", map[string]any{"proxy_url": "ftp://joe:hunter2@proxy:21"}, "`proxy_url` must start with"},
		{"dead letters when full", map[string]any{"dead_letter": map[string]any{"on_full": "stop"}}, "dead_letter: `on_full` must be wait or rotate"},
		{"compression", map[string]any{"compression": "zstd"}, "`compression` must be gzip or none"},
		{"no patterns", map[string]any{"events": []any{}}, "`events` must have at least one pattern"},
		{"empty pattern", map[string]any{"events": []any{"a", ""}}, "`events` must not contain an empty pattern (at position 1)"},
		{"min_id_length", map[string]any{"min_id_length": 0}, "`min_id_length` must be between 1 and 1024 (got 0)"},
		{"concurrency", map[string]any{"concurrency": -1}, "`concurrency` must be positive (got -1)"},
		{"timeout", map[string]any{"timeout": "-1s"}, "`timeout` must not be negative (got -1s)"},
		{"consumers", map[string]any{"sending_queue": map[string]any{"enabled": true, "num_consumers": 4}}, "`sending_queue::num_consumers` must be 1"},
		{"queue size", map[string]any{"sending_queue": map[string]any{"enabled": true, "queue_size": -1}}, "queue_size"},
		{"rate", map[string]any{"rate_limit": map[string]any{"events_per_second": -1}}, "rate_limit: `events_per_second` must not be negative (got -1)"},
		{"request rate", map[string]any{"rate_limit": map[string]any{"requests_per_second": -0.5}}, "`requests_per_second` must not be negative (got -0.5)"},
		{"endless rate", map[string]any{"rate_limit": map[string]any{"events_per_second": math.Inf(1)}}, "rate_limit: `events_per_second` must be finite (got +Inf)"},
		{"slow lane", map[string]any{"slow_lane": map[string]any{"max_events": 0}}, "slow_lane: `max_events` must be positive (got 0)"},
		{"dead letter size", map[string]any{"dead_letter": map[string]any{"max_megabytes": 0}}, "dead_letter: `max_megabytes` must be positive (got 0)"},
		{"dead letter backups", map[string]any{"dead_letter": map[string]any{"max_backups": -1}}, "`max_backups` must not be negative (got -1)"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			cfg := createDefaultConfig()
			conf := confmap.NewFromStringMap(map[string]any{"api_key": testKey})
			require.NoError(t, conf.Merge(confmap.NewFromStringMap(tc.settings)))
			require.NoError(t, conf.Unmarshal(cfg))
			err := confmap.Validate(cfg)
			require.ErrorContains(t, err, tc.want)
			assert.NotContains(t, err.Error(), testKey)
			assert.NotContains(t, err.Error(), "hunter2")
		})
	}
}

// TestQueueSizeIsEnough: the batch size is lowered to fit a smaller queue, unless it is configured.
func TestQueueSizeIsEnough(t *testing.T) {
	for _, tc := range []struct {
		queue map[string]any
		want  int64
	}{
		{map[string]any{"queue_size": 1000}, 500},
		{map[string]any{"queue_size": 1}, 1},
		{map[string]any{"queue_size": 100_000}, defaultBatchMinSize},
		{map[string]any{"queue_size": 1000, "batch": map[string]any{"flush_timeout": "1s"}}, 500},
		{map[string]any{"queue_size": 1000, "batch": map[string]any{"min_size": 7}}, 7},
		{map[string]any{"queue_size": 1000, "sizer": "requests"}, defaultBatchMinSize},
	} {
		tc.queue["enabled"] = true
		cfg := newConfig(t, map[string]any{"sending_queue": tc.queue})
		assert.Equal(t, tc.want, cfg.QueueConfig.Get().Batch.Get().MinSize, tc.queue)
	}
	cfg := createDefaultConfig()
	require.NoError(t, confmap.NewFromStringMap(map[string]any{"api_key": "k", "sending_queue": map[string]any{"queue_size": 1000, "batch": map[string]any{"min_size": 2000}}}).Unmarshal(cfg))
	require.ErrorContains(t, confmap.Validate(cfg), "`min_size` must be less than or equal to `queue_size`", "whoever wrote both is told")
}

func TestUnknownKeys(t *testing.T) {
	for _, tc := range []struct {
		settings map[string]any
		want     string
	}{
		{map[string]any{"api_kye": "k"}, `"api_kye" is not a key: did you mean "api_key"?`},
		{map[string]any{"storage": "file_storage"}, `"storage" is in the wrong place: did you mean "sending_queue::storage"?`},
		{map[string]any{"dead_letter": map[string]any{"dry_run": true}}, `"dead_letter::dry_run" is in the wrong place: did you mean "dry_run"?`},
		{map[string]any{"tls": map[string]any{"ca": "x"}}, "'tls' has invalid keys: ca"},
		{map[string]any{"sending_queue": map[string]any{"enabled": true, "que_size": 1}}, `"sending_queue::que_size" is not a key: did you mean "sending_queue::queue_size"?`},
	} {
		err := confmap.NewFromStringMap(tc.settings).Unmarshal(createDefaultConfig())
		require.ErrorContains(t, err, tc.want)
		assert.NotContains(t, err.Error(), "struct {", "types are named")
	}
}

func TestWarnings(t *testing.T) {
	safe := map[string]any{
		"sending_queue":    map[string]any{"enabled": true, "storage": "file_storage"},
		"retry_on_failure": map[string]any{"enabled": true},
		"dead_letter":      map[string]any{"path": "dead.jsonl"},
	}
	assert.Empty(t, newConfig(t, safe).warnings())
	for _, endpoint := range []string{"http://127.0.0.1:8585/2/httpapi", "http://localhost/2/httpapi", "http://[::1]/2/httpapi", "https://gateway.example/2/httpapi"} {
		safe["endpoint"] = endpoint
		assert.Empty(t, newConfig(t, safe).warnings(), endpoint)
	}
	delete(safe, "endpoint")
	for _, tc := range []struct {
		name    string
		change  map[string]any
		setting string
	}{
		{"queue off", map[string]any{"sending_queue": map[string]any{"enabled": false}}, "sending_queue::enabled: false"},
		{"no storage", map[string]any{"sending_queue": map[string]any{"storage": nil}}, "sending_queue::storage"},
		{"small queue", map[string]any{"sending_queue": map[string]any{"sizer": "bytes"}}, "sending_queue::queue_size"},
		{"refusing queue", map[string]any{"sending_queue": map[string]any{"block_on_overflow": false}}, "sending_queue::block_on_overflow: false"},
		{"partitioned batches", map[string]any{"sending_queue": map[string]any{"batch": map[string]any{"partition": map[string]any{"metadata_keys": []any{"k"}}}}}, "sending_queue::batch::partition"},
		{"no retry", map[string]any{"retry_on_failure": map[string]any{"enabled": false}}, "retry_on_failure::enabled: false"},
		{"retries end", map[string]any{"retry_on_failure": map[string]any{"max_elapsed_time": "5m"}}, "retry_on_failure::max_elapsed_time"},
		{"no timeout", map[string]any{"timeout": 0}, "timeout: 0"},
		{"no dead letter", map[string]any{"dead_letter": map[string]any{"path": ""}}, "dead_letter::path"},
		{"key in clear text", map[string]any{"endpoint": "http://gateway.example/2/httpapi"}, "endpoint"},
		{"dry run", map[string]any{"dry_run": true}, "dry_run: true"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			conf := confmap.NewFromStringMap(safe)
			require.NoError(t, conf.Merge(confmap.NewFromStringMap(tc.change)))
			warnings := newConfig(t, conf.ToStringMap()).warnings()
			require.Len(t, warnings, 1)
			assert.Equal(t, tc.setting, warnings[0].setting)
			assert.Contains(t, warnings[0].link, "docs/delivery.md#")
		})
	}
}

// TestWarningsLinkToTheirAnchors compares the anchors that the code links to with those of the page.
func TestWarningsLinkToTheirAnchors(t *testing.T) {
	anchors := func(path, pattern string) (found []string) {
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		for _, match := range regexp.MustCompile(pattern).FindAllStringSubmatch(string(text), -1) {
			found = append(found, match[1])
		}
		return found
	}
	inCode := anchors("warnings.go", `add\("[^"]+", "([^"]+)"`)
	assert.NotEmpty(t, inCode)
	files, err := filepath.Glob("*.go")
	require.NoError(t, err)
	for _, file := range files {
		inCode = append(inCode, anchors(file, `deliveryDocs\+"#([^"]+)"`)...)
	}
	assert.ElementsMatch(t, inCode, anchors("../../docs/delivery.md", `<a id="([^"]+)"></a>`))
}
