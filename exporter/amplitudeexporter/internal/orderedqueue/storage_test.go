// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package orderedqueue

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/extension/xextension/storage"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/otelcol-amplitude/otelcol-amplitude/exporter/amplitudeexporter/internal/storagetest"
)

// TestReadsFromAReadOnlyStorage performs the operations with which the sending queue takes out a request.
func TestReadsFromAReadOnlyStorage(t *testing.T) {
	core, logs := observer.New(zapcore.WarnLevel)
	host := &queueHost{Host: storagetest.Host{Storage: storagetest.Full{}}, storageID: storagetest.ID, index: func([]byte) {}, log: zap.New(core)}
	client, err := host.GetExtensions()[storagetest.ID].(storage.Extension).GetClient(t.Context(), component.KindExporter, testID, ClientName)
	require.NoError(t, err)

	index, request := storage.SetOperation(indexKey, []byte("index")), storage.GetOperation("7")
	require.NoError(t, client.Batch(t.Context(), index, request))
	assert.Len(t, logs.FilterMessageSnippet("would send them again").All(), 1)
	for name, operations := range map[string][]*storage.Operation{
		"a new request":      {index, storage.SetOperation("8", []byte("request"))},
		"the index alone":    {index},
		"a finished request": {index, storage.DeleteOperation("7")},
	} {
		assert.ErrorIs(t, client.Batch(t.Context(), operations...), storage.ErrStorageFull, "%s", name)
	}
}
