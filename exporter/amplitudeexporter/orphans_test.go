// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudeexporter

import (
	"context"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/exporter/exportertest"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/otelcol-amplitude/otelcol-amplitude/exporter/amplitudeexporter/internal/metadata"
)

// TestRenamedExporterWarning: events left in the storage under another name are logged at startup, as long as they are
// there.
func TestRenamedExporterWarning(t *testing.T) {
	for name, answer := range map[string]scriptedAnswer{"queue": {Status: 503, Times: -1}, "slow lane": throttled("e1")} {
		t.Run(name, func(t *testing.T) {
			server := newScript(t, answer)
			directory := t.TempDir()
			// begin starts exporters; stop stops them and returns the warnings.
			begin := func(names ...string) (first exporter.Logs, telemetry *componenttest.Telemetry, stop func() []observer.LoggedEntry) {
				host, closeStorage := storageHost(t, directory)
				core, logs := observer.New(zapcore.DebugLevel)
				telemetry = componenttest.NewTelemetry()
				var all []exporter.Logs
				for _, name := range names {
					set := exportertest.NewNopSettings(metadata.Type)
					set.ID = component.NewIDWithName(metadata.Type, name)
					set.TelemetrySettings = telemetry.NewTelemetrySettings()
					set.Logger = zap.New(core)
					settings := persistent(server.url())
					settings["retry_on_failure"] = map[string]any{"enabled": true}
					x, err := newFactory(newFakeClock()).CreateLogs(t.Context(), set, newConfig(t, settings))
					require.NoError(t, err)
					all = append(all, x)
				}
				for _, x := range all {
					require.NoError(t, x.Start(t.Context(), host))
				}
				return all[0], telemetry, func() []observer.LoggedEntry {
					for _, x := range all {
						require.NoError(t, x.Shutdown(context.WithoutCancel(t.Context())))
					}
					require.NoError(t, telemetry.Shutdown(context.WithoutCancel(t.Context())))
					closeStorage()
					assert.Empty(t, logs.FilterMessageSnippet("list of queues").All())
					return logs.FilterMessageSnippet("an exporter that is not configured").All()
				}
			}
			first, _, stop := begin("old", "other")
			require.NoError(t, first.ConsumeLogs(t.Context(), numbered(2)))
			require.Eventually(t, func() bool { return len(server.received()) > 0 }, patience, poll)
			assert.Empty(t, stop())
			_, _, stop = begin("old", "other")
			assert.Empty(t, stop(), "all are configured")
			for range 2 {
				_, _, stop = begin("new", "other")
				said := stop()
				require.Len(t, said, 1)
				assert.Equal(t, "amplitude/old", said[0].ContextMap()["exporter"])
				assert.EqualValues(t, 1, said[0].ContextMap()["requests"])
			}
			server.then()
			_, telemetry, stop := begin("old", "new", "other")
			require.Eventually(t, func() bool { return isDelivered(telemetry) }, patience, poll)
			require.Empty(t, stop())
			_, _, stop = begin("new", "other")
			assert.Empty(t, stop(), "nothing waits under the old name")
		})
	}
}

// isDelivered reports whether events were delivered.
func isDelivered(telemetry *componenttest.Telemetry) bool {
	events, err := telemetry.GetMetric("otelcol_exporter_amplitude_events")
	if err != nil {
		return false
	}
	for _, point := range events.Data.(metricdata.Sum[int64]).DataPoints {
		if outcome, _ := point.Attributes.Value("outcome"); outcome.AsString() == "delivered" && point.Value > 0 {
			return true
		}
	}
	return false
}
