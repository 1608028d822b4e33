// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudesandboxextension

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/config/configopaque"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/confmap/confmaptest"

	"github.com/otelcol-amplitude/otelcol-amplitude/extension/amplitudesandboxextension/internal/metadata"
)

func TestUnmarshalDefaultConfig(t *testing.T) {
	cfg := createDefaultConfig()
	require.NoError(t, confmap.New().Unmarshal(cfg))
	assert.Equal(t, createDefaultConfig(), cfg)
	require.NoError(t, confmap.Validate(cfg))
	require.NoError(t, componenttest.CheckConfigStruct(cfg))
}

func TestLoadConfig(t *testing.T) {
	file, err := confmaptest.LoadConf(filepath.Join("testdata", "config.yaml"))
	require.NoError(t, err)
	sub, err := file.Sub(component.NewIDWithName(metadata.Type, "full").String())
	require.NoError(t, err)
	cfg := createDefaultConfig().(*Config)
	require.NoError(t, sub.Unmarshal(cfg))
	require.NoError(t, confmap.Validate(cfg))
	assert.Equal(t, "127.0.0.1:9595", cfg.Endpoint)
	assert.Equal(t, []configopaque.String{"first-key", "second-key"}, cfg.APIKeys)
	assert.Equal(t, configopaque.String("american-key"), cfg.Projects[0].APIKey)
	assert.Equal(t, 2*time.Second, cfg.Behavior.EPSWindow)
	assert.Equal(t, 1, cfg.Behavior.V2.EPSThreshold)
	assert.Equal(t, 2000, cfg.Behavior.V2.MaxEvents, "unnamed settings keep their defaults")
	assert.Equal(t, 1000, cfg.Retention.Events)
	assert.InEpsilon(t, 9.0, cfg.Weights["my-flag"]["control"], 1e-9)

	encoded, err := json.Marshal(cfg)
	require.NoError(t, err)
	marshaled := confmap.New()
	require.NoError(t, marshaled.Marshal(cfg))
	for _, text := range []string{fmt.Sprintf("%v", cfg), fmt.Sprintf("%+v", *cfg), string(encoded), fmt.Sprint(marshaled.ToStringMap())} {
		assert.NotContains(t, text, "first-key")
		assert.NotContains(t, text, "american-key")
	}
}

func TestValidate(t *testing.T) {
	for _, tc := range []struct {
		name, want string
		values     map[string]any
	}{
		{"endpoint without a port", `endpoint must be host:port (got "localhost")`, map[string]any{"endpoint": "localhost"}},
		{"endpoint with a bad port", `endpoint must end in a port from 0 to 65535 (got "localhost:http")`, map[string]any{"endpoint": "localhost:http"}},
		{"no keys", "api_keys must name at least one key", map[string]any{"api_keys": []any{}}},
		{"empty key", "api_keys must not contain an empty key", map[string]any{"api_keys": []any{""}}},
		{"key twice", "api_keys must not contain duplicate keys", map[string]any{"api_keys": []any{"a", "a"}}},
		{"region", "`region` must be us or eu (got \"moon\")", map[string]any{"region": "moon"}},
		{"project's region", "`projects::region` must be us or eu (got \"\")", map[string]any{"projects": []any{map[string]any{"api_key": "b"}}}},
		{"weight", "weights::f::a must be positive (got 0)", map[string]any{"weights": map[string]any{"f": map[string]any{"a": 0}}}},
		{"events kept", "events must be positive (got 0)", map[string]any{"retention": map[string]any{"events": 0}}},
		{"word", `index_mode must be all or first (got "last")`, map[string]any{"behavior": map[string]any{"index_mode": "last"}}},
		{"endpoint limit", "batch::max_events must be positive (got -1)", map[string]any{"behavior": map[string]any{"batch": map[string]any{"max_events": -1}}}},
		{"duration", "eps_window must be a positive duration (got 0s)", map[string]any{"behavior": map[string]any{"eps_window": "0s"}}},
		{"negative", "project_eps must not be negative (got -1)", map[string]any{"behavior": map[string]any{"project_eps": -1}}},
		{"pattern", "waf_patterns must be regular expressions", map[string]any{"behavior": map[string]any{"waf_patterns": []any{"("}}}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			cfg := createDefaultConfig()
			require.NoError(t, confmap.NewFromStringMap(tc.values).Unmarshal(cfg))
			require.ErrorContains(t, confmap.Validate(cfg), tc.want)
		})
	}
	for key, want := range map[string]string{
		"no_such_key":   "no_such_key",
		"min_id_length": `"min_id_length" is in the wrong place: did you mean "behavior::min_id_length"?`,
		"endpiont":      `"endpiont" is not a key: did you mean "endpoint"?`,
	} {
		require.ErrorContains(t, confmap.NewFromStringMap(map[string]any{key: 1}).Unmarshal(createDefaultConfig()), want)
	}
}
