// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudeexperimentprocessor

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/config/configopaque"
	"go.opentelemetry.io/collector/confmap"
)

func TestDedupDefaults(t *testing.T) {
	cfg := configOf(t, "").Dedup
	assert.False(t, cfg.Redis.HasValue())
	cfg.Redis = createDefaultDedupConfig().Redis
	assert.Equal(t, createDefaultDedupConfig(), cfg)
	assert.True(t, cfg.Enabled)
	assert.Equal(t, "latest", cfg.Mode)
	assert.Equal(t, "day", cfg.Window)
	assert.Equal(t, "UTC", cfg.TimeZone)
	assert.Equal(t, 1_000_000, cfg.MaxEntries)
	assert.Nil(t, cfg.StorageID)
}

func TestDedupConfig(t *testing.T) {
	cfg := configOf(t, `
dedup:
  mode: unique_per_day
  window: 12h
  time_zone: Europe/Berlin
  max_entries: 5000
  storage: file_storage/dedup
  redis:
    addresses: ["a:26379", "b:26379"]
    master_name: themaster
    sentinel_username: s
    sentinel_password: sp
    username: u
    password: p
    db: 3
    key_prefix: "x:"
    timeout: 20ms
    tls:
      insecure_skip_verify: true
`).Dedup
	assert.Equal(t, "file_storage/dedup", cfg.StorageID.String())
	require.True(t, cfg.Redis.HasValue())
	redisConfig := cfg.Redis.Get()
	assert.Equal(t, configopaque.String("p"), redisConfig.Password)
	settings, err := redisConfig.settings()
	require.NoError(t, err)
	assert.Equal(t, 20*time.Millisecond, settings.Timeout)
	assert.Equal(t, "x:", settings.KeyPrefix)
	options := settings.Options
	assert.Equal(t, []string{"a:26379", "b:26379"}, options.Addrs)
	assert.Equal(t, []any{"themaster", "s", "sp", "u", "p", 3, false},
		[]any{options.MasterName, options.SentinelUsername, options.SentinelPassword, options.Username, options.Password, options.DB, options.IsClusterMode})
	require.NotNil(t, options.TLSConfig)
	assert.True(t, options.TLSConfig.InsecureSkipVerify)

	one := configOf(t, `{dedup: {redis: {endpoint: "127.0.0.1:6379"}}}`).Dedup.Redis.Get()
	settings, err = one.settings()
	require.NoError(t, err)
	assert.Equal(t, 50*time.Millisecond, settings.Timeout)
	assert.Equal(t, "amplitude_experiment:", settings.KeyPrefix)
	assert.Nil(t, settings.Options.TLSConfig)
	assert.False(t, settings.Options.IsClusterMode)

	many := configOf(t, `{dedup: {redis: {addresses: ["a:1", "b:1"]}}}`).Dedup.Redis.Get()
	settings, err = many.settings()
	require.NoError(t, err)
	assert.True(t, settings.Options.IsClusterMode)
}

func TestBadDedupConfig(t *testing.T) {
	for yaml, want := range map[string]string{
		"{mode: once}":              "dedup: `mode` must be latest or unique_per_day (got \"once\")",
		"{window: week}":            "`window` must be day or a duration between 1m0s and 168h0m0s (got \"week\")",
		"{window: 1s}":              "(got \"1s\")",
		"{window: 169h}":            "(got \"169h\")",
		"{time_zone: Berlin}":       "`time_zone` must be the name of a time zone such as UTC or Europe/Berlin (got \"Berlin\")",
		"{time_zone: Local}":        "(got \"Local\")",
		"{time_zone: ''}":           "(got \"\")",
		"{max_entries: 0}":          "`max_entries` must be between 1 and 1000000000 (got 0)",
		"{max_entries: 1000000001}": "(got 1000000001)",
		"{redis: }":                 "`endpoint` or `addresses` is required",
		"{redis: {}}":               "dedup::redis: `endpoint` or `addresses` is required",
		"{redis: {endpoint: 'a:1', addresses: ['b:1']}}":               "mutually exclusive",
		"{redis: {endpoint: localhost}}":                               "an address must be host:port (got \"localhost\")",
		"{redis: {endpoint: 'a:1', master_name: m}}":                   "`master_name` requires the `addresses` of the sentinels",
		"{redis: {addresses: ['a:1'], master_name: m, cluster: true}}": "excludes `cluster`",
		"{redis: {endpoint: 'a:1', db: -1}}":                           "`db` must not be negative (got -1)",
		"{redis: {addresses: ['a:1', 'b:1'], db: 1}}":                  "`db` must be 0 in a cluster",
		"{redis: {endpoint: 'a:1', timeout: 0s}}":                      "`timeout` must be positive and at most 5s (got 0s)",
		"{redis: {endpoint: 'a:1', timeout: 6s}}":                      "(got 6s)",
		"{redis: {endpoint: 'a:1', tls: {min_version: '9'}}}":          "tls",
	} {
		t.Run(yaml, func(t *testing.T) {
			retrieved, err := confmap.NewRetrievedFromYAML([]byte("{dedup: " + yaml + "}"))
			require.NoError(t, err)
			conf, err := retrieved.AsConf()
			require.NoError(t, err)
			cfg := NewFactory().CreateDefaultConfig().(*Config)
			if err = conf.Unmarshal(cfg); err == nil {
				err = confmap.Validate(cfg)
			}
			require.ErrorContains(t, err, want)
		})
	}
	assert.NoError(t, confmap.Validate(&DedupConfig{}), "what is not enabled is not looked at")
}

func TestSecretsDoNotShow(t *testing.T) {
	cfg := configOf(t, `{dedup: {redis: {endpoint: "a:1", password: hush, sentinel_password: hush}}}`)
	conf := confmap.New()
	require.NoError(t, conf.Marshal(cfg))
	assert.Contains(t, fmt.Sprint(conf.ToStringMap()), "[REDACTED]")
	assert.NotContains(t, fmt.Sprint(conf.ToStringMap()), "hush")
}
