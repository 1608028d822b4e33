// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudeexporter

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/extension/xextension/storage"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.uber.org/zap"
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

// TestUnreadableRequestsAreCounted spoils what the queue and the slow lane have on disk.
func TestUnreadableRequestsAreCounted(t *testing.T) {
	for store, spoiled := range map[string]struct {
		client string
		key    string
	}{
		storeQueue:    {queueStoreName, "0"},
		storeSlowLane: {slowStoreName, chunkKey(0)},
	} {
		t.Run(store, func(t *testing.T) {
			directory := t.TempDir()
			// The first run leaves e0 in the queue, or in the slow lane.
			answer := scriptedAnswer{Status: http.StatusServiceUnavailable, Times: -1}
			if store == storeSlowLane {
				answer = throttled("e0")
			}
			server := newScript(t, answer)
			host, closeStorage := storageHost(t, directory)
			settings := persistent(server.url())
			settings["retry_on_failure"] = map[string]any{"enabled": true}
			first := newRig(t, settings, host)
			require.NoError(t, first.ConsumeLogs(t.Context(), numbered(1)))
			require.Eventually(t, func() bool {
				return len(server.received()) > 0 && (store == storeQueue || first.slowLane() == 1)
			}, patience, poll)
			first.stop()
			client, err := host.extensions[storageID].(storage.Extension).GetClient(t.Context(), component.KindExporter, first.settings.ID, spoiled.client)
			require.NoError(t, err)
			was, err := client.Get(t.Context(), spoiled.key)
			require.NoError(t, err)
			require.NotEmpty(t, was)
			require.NoError(t, client.Set(t.Context(), spoiled.key, append([]byte{0x0a, 0xff, 0x01}, was[:len(was)/2]...)))
			require.NoError(t, client.Close(t.Context()))
			closeStorage()

			server.then()
			before := len(server.received())
			host, closeStorage = storageHost(t, directory)
			defer closeStorage()
			second := newRig(t, settings, host)
			later := plog.NewLogs()
			exposure(newRecords(later), "user-00002", "later")
			require.NoError(t, second.ConsumeLogs(t.Context(), later))
			require.Eventually(t, func() bool { return len(server.received()) > before }, patience, poll)
			assert.Equal(t, map[string]int{store: 1}, second.counts("unreadable_requests", "store"))
			second.stop()
			assert.Equal(t, []string{"later"}, delivered(server)[len(delivered(server))-1:], "the neighbours arrive")
			assert.Len(t, second.logs.FilterMessageSnippet("cannot be read").FilterField(zap.String("store", store)).All(), 1)
			assert.NotContains(t, fmt.Sprint(second.logs.All()), "user-00000")
		})
	}
}

// TestDamagedSlowLaneIsSaidAtTheStart: with its range unknown, new events would be written over old ones.
func TestDamagedSlowLaneIsSaidAtTheStart(t *testing.T) {
	host, closeStorage := storageHost(t, t.TempDir())
	defer closeStorage()
	r := newRig(t, nil, nil)
	client, err := host.extensions[storageID].(storage.Extension).GetClient(t.Context(), component.KindExporter, r.settings.ID, slowStoreName)
	require.NoError(t, err)
	require.NoError(t, client.Set(t.Context(), slowRangeKey, []byte("short")))
	require.NoError(t, client.Close(t.Context()))
	x, err := newExporter(newConfig(t, persistent("http://localhost:1/2/httpapi")), r.settings, r.clock)
	require.NoError(t, err)
	require.ErrorContains(t, x.start(t.Context(), host), "holds 5 bytes instead of 16")
	require.NoError(t, x.shutdown(t.Context()))
}
