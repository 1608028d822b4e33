// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudetapextension

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/confmap/confmaptest"

	"github.com/otelcol-amplitude/otelcol-amplitude/extension/amplitudetapextension/internal/metadata"
)

func TestDefaultConfig(t *testing.T) {
	cfg := createDefaultConfig()
	require.NoError(t, confmap.New().Unmarshal(cfg))
	assert.Equal(t, createDefaultConfig(), cfg)
	require.NoError(t, confmap.Validate(cfg))
	require.NoError(t, componenttest.CheckConfigStruct(cfg))
	assert.Equal(t, "127.0.0.1:8587", cfg.(*Config).NetAddr.Endpoint)
	assert.False(t, cfg.(*Config).ShowIDs)
}

func TestLoadConfig(t *testing.T) {
	file, err := confmaptest.LoadConf(filepath.Join("testdata", "config.yaml"))
	require.NoError(t, err)
	load := func(name string) *Config {
		sub, err := file.Sub(component.NewIDWithName(metadata.Type, name).String())
		require.NoError(t, err)
		cfg := createDefaultConfig().(*Config)
		require.NoError(t, sub.Unmarshal(cfg))
		require.NoError(t, confmap.Validate(cfg))
		return cfg
	}
	full := load("full")
	assert.Equal(t, "127.0.0.1:9587", full.NetAddr.Endpoint)
	assert.Equal(t, 20, full.MaxRecordsPerSecond)
	assert.True(t, full.ShowIDs)
	assert.Equal(t, []string{"collector.internal"}, full.AllowedHosts)
	assert.True(t, load("remote").Auth.HasValue())
}

func TestValidate(t *testing.T) {
	for _, tc := range []struct {
		name, want string
		values     map[string]any
	}{
		{"no port", `endpoint must be host:port (got "localhost")`, map[string]any{"endpoint": "localhost"}},
		{"bad port", `endpoint must end in a port from 0 to 65535 (got "localhost:http")`, map[string]any{"endpoint": "localhost:http"}},
		{"every interface", "endpoint 0.0.0.0:8587 is reachable from other machines", map[string]any{"endpoint": "0.0.0.0:8587"}},
		{"every interface, by leaving it out", "endpoint :8587 is reachable from other machines", map[string]any{"endpoint": ":8587"}},
		{"a name", "name an extension in auth::authenticator", map[string]any{"endpoint": "collector.internal:8587"}},
		{"other sites", "cors must not be set", map[string]any{"cors": map[string]any{"allowed_origins": []any{"*"}}}},
		{"nothing", "max_records_per_second must be from 1 to 1000 (got 0)", map[string]any{"max_records_per_second": 0}},
		{"everything", "max_records_per_second must be from 1 to 1000 (got 100000)", map[string]any{"max_records_per_second": 100_000}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			cfg := createDefaultConfig()
			require.NoError(t, confmap.NewFromStringMap(tc.values).Unmarshal(cfg))
			require.ErrorContains(t, confmap.Validate(cfg), tc.want)
		})
	}
	for _, endpoint := range []string{"localhost:8587", "[::1]:8587", "127.0.0.2:0"} {
		cfg := createDefaultConfig()
		require.NoError(t, confmap.NewFromStringMap(map[string]any{"endpoint": endpoint}).Unmarshal(cfg))
		require.NoError(t, confmap.Validate(cfg), endpoint)
	}
	require.ErrorContains(t, confmap.NewFromStringMap(map[string]any{"show_id": true}).Unmarshal(createDefaultConfig()), `did you mean "show_ids"?`)
}
