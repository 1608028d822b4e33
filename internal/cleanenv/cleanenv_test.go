// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package cleanenv_test

import (
	"math"
	"os"
	"runtime/debug"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/cleanenv"
)

// foreign are variables of the kinds that callers have.
var foreign = []string{
	"AMPLITUDE_API_KEY", "OTEL_EXPORTER_OTLP_ENDPOINT", "HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy",
	"ALL_PROXY", "all_proxy", "NO_PROXY", "no_proxy", "GOGC", "GOMEMLIMIT", "GODEBUG", "PORT",
}

func export(t *testing.T, value string, names ...string) {
	t.Helper()
	for _, name := range names {
		t.Setenv(name, value)
	}
}

func TestEnviron(t *testing.T) {
	export(t, "1", foreign...)
	export(t, "kept", "PATH", "GOFLAGS", "GOPROXY", "HTTP_PROXY_OF_ANOTHER", "AMPLITUDE", "SUPPORT")
	got := cleanenv.Environ("HTTP_PROXY=mine", "E2E_DIR=/tmp")
	for _, name := range foreign {
		assert.NotContains(t, got, name+"=1")
	}
	for _, variable := range []string{"PATH=kept", "GOFLAGS=kept", "GOPROXY=kept", "HTTP_PROXY_OF_ANOTHER=kept", "AMPLITUDE=kept", "SUPPORT=kept", "HTTP_PROXY=mine", "E2E_DIR=/tmp"} {
		assert.Contains(t, got, variable)
	}
}

func TestProcess(t *testing.T) {
	export(t, "1", foreign...)
	export(t, "kept", "GOFLAGS")
	percent, limit := debug.SetGCPercent(3), debug.SetMemoryLimit(1<<30)
	t.Cleanup(func() {
		debug.SetGCPercent(percent)
		debug.SetMemoryLimit(limit)
	})
	cleanenv.Process()
	for _, name := range foreign {
		_, exported := os.LookupEnv(name)
		assert.False(t, exported, name)
	}
	assert.Equal(t, "kept", os.Getenv("GOFLAGS"))
	assert.Equal(t, 100, debug.SetGCPercent(100))
	assert.Equal(t, int64(math.MaxInt64), debug.SetMemoryLimit(-1))
}
