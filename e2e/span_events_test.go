// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/otelcol-amplitude/otelcol-amplitude/e2e/harness"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/cleanenv"
)

// startSpanEvents runs examples/span-events.yaml on the test's addresses.
func startSpanEvents(t *testing.T) *harness.Collector {
	t.Helper()
	addresses := harness.NewAddresses(t)
	return harness.Start(t, filepath.Join(harness.Root(), "examples", "span-events.yaml"), harness.Options{
		Addresses: addresses,
		Sets:      []string{"service::telemetry::metrics::level: none"}, // its port is not configurable there
		Env: []string{
			"OTLP_GRPC_ENDPOINT=" + addresses.OTLPGRPC, "OTLP_HTTP_ENDPOINT=" + addresses.OTLPHTTP,
			"SANDBOX_ENDPOINT=" + addresses.Sandbox, "HEALTH_ENDPOINT=" + addresses.Health,
		},
	})
}

// TestSpanEventsOfEmitters sends captured traces; the connector's golden files explain each event.
func TestSpanEventsOfEmitters(t *testing.T) {
	collector := startSpanEvents(t)
	captures := filepath.Join(harness.Root(), "connector", "featureflageventsconnector", "testdata", "captures")
	total := 0
	for _, sent := range []struct {
		file   string
		events int
	}{
		{"hook-legacy.traces.001.json", 0}, // the old hooks do not name a user; the next count shows the result
		{"go.traces-hook.traces.001.pb", 4},
		{"launchdarkly-otel.traces.001.json", 8},
	} {
		collector.SendFile(t, filepath.Join(captures, sent.file), false)
		total += sent.events
		assert.Len(t, collector.WaitForEvents(t, total), total, sent.file)
	}
}

// TestSpanEventsOfAnApplication runs a real application with the OpenFeature SDK inside OpenTelemetry spans.
func TestSpanEventsOfAnApplication(t *testing.T) {
	collector := startSpanEvents(t)
	program := filepath.Join(t.TempDir(), "spans-go")
	build := exec.Command("go", "-C", "examples", "build", "-o", program, "./spans-go")
	build.Dir = harness.Root()
	out, err := build.CombinedOutput()
	require.NoError(t, err, string(out))
	app := exec.Command(program, "-endpoint", "http://"+collector.OTLPHTTP, "-users", "10")
	app.Env = cleanenv.Environ()
	out, err = app.CombinedOutput()
	require.NoError(t, err, string(out))

	// Ten users, each evaluated twice: one exposure each.
	variants := map[string]int{}
	for _, event := range collector.WaitForEvents(t, 10) {
		assert.Equal(t, "[Experiment] Exposure", event.Text("event_type"))
		properties, _ := event["event_properties"].(map[string]any)
		assert.Equal(t, "checkout-flow", properties["[Experiment] Flag Key"])
		variant, _ := properties["[Experiment] Variant"].(string)
		variants[variant]++
	}
	assert.Equal(t, map[string]int{"control": 5, "one-page": 5}, variants)
	assert.Equal(t, map[string]any{"[Experiment] checkout-flow": "control"}, collector.UserProperties(t, "visitor-0000"))
}
