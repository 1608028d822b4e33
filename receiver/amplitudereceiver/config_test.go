// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudereceiver

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/confmap/confmaptest"
)

func TestLoadConfig(t *testing.T) {
	file, err := confmaptest.LoadConf(filepath.Join("testdata", "config.yaml"))
	require.NoError(t, err)
	load := func(id string) *Config {
		sub, err := file.Sub(id)
		require.NoError(t, err)
		cfg := NewFactory().CreateDefaultConfig().(*Config)
		require.NoError(t, sub.Unmarshal(cfg))
		require.NoError(t, confmap.Validate(cfg))
		require.NoError(t, componenttest.CheckConfigStruct(cfg))
		return cfg
	}
	plain := load("amplitude")
	assert.Equal(t, "127.0.0.1:8586", plain.ServerConfig.NetAddr.Endpoint)
	assert.Equal(t, []APIKeyConfig{{Key: "test-key"}}, plain.APIKeys)
	assert.Equal(t, "keep", plain.UnknownFields)
	assert.Equal(t, "off", plain.ClientIP)
	assert.Equal(t, 5, plain.MinIDLength)
	assert.EqualValues(t, 20<<20, plain.ServerConfig.MaxRequestBodySize)

	full := load("amplitude/all")
	assert.Equal(t, map[string]string{"web-key": "web", "app-key": "app"}, full.projects())
	assert.Equal(t, "forward", full.ClientIP)
	assert.Equal(t, full.projects(), load("amplitude/map").projects(), "a map from keys to projects means the same")
	assert.Equal(t, "off", load("amplitude/off").ClientIP, "off is text, not a boolean")

	encoded, err := json.Marshal(full)
	require.NoError(t, err)
	marshaled := confmap.New()
	require.NoError(t, marshaled.Marshal(full))
	for _, text := range []string{fmt.Sprintf("%v", full), fmt.Sprintf("%+v", *full), string(encoded), fmt.Sprint(marshaled.ToStringMap())} {
		assert.NotContains(t, text, "web-key")
		assert.NotContains(t, text, "app-key")
	}
}

func TestValidate(t *testing.T) {
	for _, tc := range []struct {
		name string
		conf map[string]any
		want string
	}{
		{"no keys", map[string]any{"api_keys": []any{}}, "`api_keys` must have at least one key"},
		{"an empty key", map[string]any{"api_keys": []any{map[string]any{"project": "web"}}}, "`api_keys::0::key` must not be empty"},
		{"a key twice", map[string]any{"api_keys": []any{map[string]any{"key": "secret-1"}, map[string]any{"key": "secret-1"}}}, "`api_keys::1::key` must not be a duplicate"},
		{"no endpoint", map[string]any{"endpoint": ""}, "`endpoint` must be the address to listen on"},
		{"another word for unknown fields", map[string]any{"unknown_fields": "drop"}, "`unknown_fields` must be keep or reject (got \"drop\")"},
		{"another word for the address", map[string]any{"client_ip": "on"}, "`client_ip` must be off or forward (got \"on\")"},
		{"ids of nothing", map[string]any{"min_id_length": 0}, "`min_id_length` must be between 1 and 1024 (got 0)"},
		{"proxies without forwarding", map[string]any{"trusted_proxies": []any{"10.0.0.0/8"}}, "`trusted_proxies` needs `client_ip`: forward"},
		{"no network", map[string]any{"client_ip": "forward", "trusted_proxies": []any{"proxy"}}, "`trusted_proxies` must hold networks such as 10.0.0.0/8 (got \"proxy\")"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			cfg := NewFactory().CreateDefaultConfig()
			conf := confmap.NewFromStringMap(map[string]any{"api_keys": []any{map[string]any{"key": "sandbox"}}})
			require.NoError(t, conf.Merge(confmap.NewFromStringMap(tc.conf)))
			require.NoError(t, conf.Unmarshal(cfg))
			err := confmap.Validate(cfg)
			require.ErrorContains(t, err, tc.want)
			assert.NotContains(t, err.Error(), "secret-1")
		})
	}
}

func TestUnmarshal(t *testing.T) {
	for _, tc := range []struct {
		name, want string
		conf       map[string]any
	}{
		{"a misspelled key", "unknown_fields", map[string]any{"unknown_field": "keep"}},
		{"a project that is not a name", "map keys to names of projects", map[string]any{"api_keys": map[string]any{"secret-1": 7}}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			err := confmap.NewFromStringMap(tc.conf).Unmarshal(NewFactory().CreateDefaultConfig())
			require.ErrorContains(t, err, tc.want)
			assert.NotContains(t, err.Error(), "secret-1")
		})
	}
}
