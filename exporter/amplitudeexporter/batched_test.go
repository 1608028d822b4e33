// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudeexporter

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/processor/batchprocessor"
	"go.opentelemetry.io/collector/processor/processortest"
)

// TestBatchProcessorWarning: its first batch is warned about, once; nothing else is.
func TestBatchProcessorWarning(t *testing.T) {
	server := newScript(t)
	r := newRig(t, map[string]any{"endpoint": server.url()}, nil)
	factory := batchprocessor.NewFactory()
	batches, err := factory.CreateLogs(t.Context(), processortest.NewNopSettings(factory.Type()), factory.CreateDefaultConfig(), r)
	require.NoError(t, err)
	require.NoError(t, batches.Start(t.Context(), componenttest.NewNopHost()))
	require.NoError(t, batches.ConsumeLogs(t.Context(), numbered(1)))
	require.NoError(t, batches.Shutdown(t.Context()))
	require.Len(t, delivered(server), 1)
	assert.Len(t, r.logs.FilterMessageSnippet("A batch processor before this exporter").All(), 1)

	without := newRig(t, map[string]any{"endpoint": server.url()}, nil)
	require.NoError(t, without.ConsumeLogs(t.Context(), numbered(1)))
	assert.Empty(t, without.logs.FilterMessageSnippet("A batch processor").All())
}
