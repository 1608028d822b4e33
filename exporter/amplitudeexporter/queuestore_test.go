// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudeexporter

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/extension/xextension/storage"
)

// TestQueueReadsFromAStorageThatTakesNothing asks as the sending queue does when it takes out a request.
func TestQueueReadsFromAStorageThatTakesNothing(t *testing.T) {
	r := newRig(t, nil, nil)
	host := &queueHost{
		Host:      &statusHost{extensions: map[component.ID]component.Component{storageID: brokenStorage{}}},
		storageID: storageID, log: r.zap,
	}
	client, err := host.GetExtensions()[storageID].(storage.Extension).GetClient(t.Context(), component.KindExporter, r.settings.ID, queueStoreName)
	require.NoError(t, err)

	index, request := storage.SetOperation(queueIndexKey, []byte("index")), storage.GetOperation("7")
	require.NoError(t, client.Batch(t.Context(), index, request))
	assert.Len(t, r.logs.FilterMessageSnippet("would send them again").All(), 1)
	for name, operations := range map[string][]*storage.Operation{
		"a new request":      {index, storage.SetOperation("8", []byte("request"))},
		"the index alone":    {index},
		"a finished request": {index, storage.DeleteOperation("7")},
	} {
		assert.ErrorIs(t, client.Batch(t.Context(), operations...), storage.ErrStorageFull, "%s", name)
	}
}
