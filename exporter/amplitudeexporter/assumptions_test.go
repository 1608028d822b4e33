// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudeexporter

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/config/confighttp"
	"go.opentelemetry.io/collector/confmap"
)

// TestAssumptionClientKeysAreReadStrictly: since v0.160, the core ignores unknown keys next to a squashed
// confighttp.ClientConfig (https://github.com/open-telemetry/opentelemetry-collector/issues/15907). Config.Unmarshal
// relies on the same struct without its methods, which has the same keys and refuses all others.
func TestAssumptionClientKeysAreReadStrictly(t *testing.T) {
	for _, key := range []string{"endpoint", "proxy_url", "timeout", "compression", "headers", "tls", "auth", "max_conns_per_host", "http2_ping_timeout"} {
		unset := confmap.NewFromStringMap(map[string]any{key: nil})
		assert.NoError(t, unset.Unmarshal(&clientKeys{}), key)
		assert.NoError(t, unset.Unmarshal(&confighttp.ClientConfig{}), key)
	}
	unknown := confmap.NewFromStringMap(map[string]any{"nonsense": true})
	require.ErrorContains(t, unknown.Unmarshal(&clientKeys{}), "nonsense")
	nested := confmap.NewFromStringMap(map[string]any{"tls": map[string]any{"nonsense": true}})
	assert.ErrorContains(t, nested.Unmarshal(&clientKeys{}), "nonsense")
}
