// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudeexperimentprocessor

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/confmap/confmaptest"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/otelcol-amplitude/otelcol-amplitude/processor/amplitudeexperimentprocessor/internal/metadata"
)

const emitters = "../../examples/emitters"

// emitter reads the configuration of the processor and the request of an example.
func emitter(t *testing.T, family string) (*Config, plog.Logs) {
	t.Helper()
	file, err := confmaptest.LoadConf(filepath.Join(emitters, family+".yaml"))
	require.NoError(t, err)
	processors, err := file.Sub("processors")
	require.NoError(t, err)
	section, err := processors.Sub(component.NewID(metadata.Type).String())
	require.NoError(t, err)
	body, err := os.ReadFile(filepath.Join(emitters, family+".logs.json"))
	require.NoError(t, err)
	ld, err := unmarshal("", body)
	require.NoError(t, err)
	return configFrom(t, section), ld
}

// TestEmitterExamples sends the request of each example through its configuration and compares the events.
func TestEmitterExamples(t *testing.T) {
	configs, err := filepath.Glob(filepath.Join(emitters, "*.yaml"))
	require.NoError(t, err)
	require.Len(t, configs, 10)
	for _, path := range configs {
		family := strings.TrimSuffix(filepath.Base(path), ".yaml")
		t.Run(family, func(t *testing.T) {
			cfg, ld := emitter(t, family)

			events := []any{}
			for _, record := range start(t, cfg, nil).send(t, ld) {
				event := fold(record)
				event["insert_id"] = insertIDOf(record)
				event["time"] = record.Timestamp() / 1_000_000
				events = append(events, event)
			}
			got, err := json.MarshalIndent(events, "", "  ")
			require.NoError(t, err)
			golden := filepath.Join("testdata", "emitters", family+".events.json")
			if *update {
				require.NoError(t, os.WriteFile(golden, append(got, '\n'), 0o600))
			}
			want, err := os.ReadFile(golden)
			require.NoError(t, err)
			assert.JSONEq(t, string(want), string(got))
		})
	}
}
