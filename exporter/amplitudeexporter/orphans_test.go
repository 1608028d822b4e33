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
			// run starts exporters, sends events, if any, to the first one, and returns the warnings.
			run := func(send int, names ...string) []observer.LoggedEntry {
				host, closeStorage := storageHost(t, directory)
				defer closeStorage()
				core, logs := observer.New(zapcore.DebugLevel)
				before := len(server.received())
				var all []exporter.Logs
				for _, name := range names {
					set := exportertest.NewNopSettings(metadata.Type)
					set.ID = component.NewIDWithName(metadata.Type, name)
					set.TelemetrySettings = componenttest.NewNopTelemetrySettings()
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
				if send > 0 {
					require.NoError(t, all[0].ConsumeLogs(t.Context(), numbered(send)))
					require.Eventually(t, func() bool { return len(server.received()) > before }, patience, poll)
				}
				for _, x := range all {
					require.NoError(t, x.Shutdown(context.WithoutCancel(t.Context())))
				}
				assert.Empty(t, logs.FilterMessageSnippet("list of queues").All())
				return logs.FilterMessageSnippet("an exporter that is not configured").All()
			}
			assert.Empty(t, run(2, "old", "other"))
			assert.Empty(t, run(0, "old", "other"), "all are configured")
			for range 2 {
				said := run(0, "new", "other")
				require.Len(t, said, 1)
				assert.Equal(t, "amplitude/old", said[0].ContextMap()["exporter"])
				assert.EqualValues(t, 1, said[0].ContextMap()["requests"])
			}
			server.then()
			var left []observer.LoggedEntry
			for range 20 { // the exporter may stop before the waiting events are delivered
				require.Empty(t, run(0, "old", "new", "other"))
				if left = run(0, "new", "other"); len(left) == 0 {
					break
				}
			}
			assert.Empty(t, left, "nothing waits under the old name")
		})
	}
}
