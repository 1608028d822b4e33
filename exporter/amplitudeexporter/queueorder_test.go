// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudeexporter

import (
	"encoding/binary"
	"fmt"
	"math"
	"net/http"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/extension/xextension/storage"
	"go.opentelemetry.io/collector/pdata/plog"
)

// TestRestartKeepsTheOrder stops twice during an outage, with requests in flight and others behind
// them in the queue. All events belong to one user.
func TestRestartKeepsTheOrder(t *testing.T) {
	directory := t.TempDir()
	server := newScript(t, scriptedAnswer{Status: http.StatusServiceUnavailable, Times: -1})
	settings := persistent(server.url())
	settings["retry_on_failure"] = map[string]any{"enabled": true, "initial_interval": "1ms", "max_interval": "1ms"}
	settings["sending_queue"].(map[string]any)["batch"] = map[string]any{"flush_timeout": "1ms", "min_size": 1}
	n, want := 0, []string(nil)
	for range 2 {
		host, closeStorage := storageHost(t, directory)
		r := newRig(t, settings, host)
		before := len(server.received())
		for range 8 {
			logs := plog.NewLogs()
			id := fmt.Sprintf("e%02d", n)
			exposure(newRecords(logs), "user-00001", id)
			require.NoError(t, r.ConsumeLogs(t.Context(), logs))
			want = append(want, id)
			n++
		}
		require.Eventually(t, func() bool { return len(server.received()) > before+2 }, patience, poll)
		r.stop()
		closeStorage()
	}
	before := len(server.received())
	server.then()
	host, closeStorage := storageHost(t, directory)
	defer closeStorage()
	r := newRig(t, settings, host)
	require.Eventually(t, func() bool { return r.counts("events", "outcome")["delivered"] == n }, patience, poll)
	assert.Equal(t, want, delivered(server)[before:][:n])
	r.stop()
	closeStorage()
}

// TestUnknownQueueIndexIsLeftAlone writes texts in the records.Ref of the index that are not as expected.
func TestUnknownQueueIndexIsLeftAlone(t *testing.T) {
	fixed := func(field int, value uint64) []byte {
		return binary.LittleEndian.AppendUint64([]byte{byte(field<<3 | wireFixed64)}, value)
	}
	for name, raw := range map[string][]byte{
		"text":                       []byte("no index"),
		"further field":              slices.Concat(fixed(fieldRead, 2), fixed(6, 1)),
		"cut short":                  fixed(fieldRead, 2)[:5],
		"list that is cut short":     {fieldUnfinished<<3 | wireBytes, 16, 1, 2, 3},
		"list of half numbers":       {fieldUnfinished<<3 | wireBytes, 3, 1, 2, 3},
		"endless length":             {fieldUnfinished<<3 | wireBytes, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff},
		"nothing unfinished":         slices.Concat(fixed(fieldRead, 2), fixed(fieldWrite, 5)),
		"unfinished after the next":  slices.Concat(fixed(fieldRead, 2), fixed(fieldWrite, 5), fixed(fieldUnfinished, 3)),
		"read after write":           slices.Concat(fixed(fieldRead, 7), fixed(fieldWrite, 5), fixed(fieldUnfinished, 3)),
		"a gap that cannot be":       slices.Concat(fixed(fieldRead, math.MaxUint64-1), fixed(fieldWrite, math.MaxUint64), fixed(fieldUnfinished, 0)),
		"empty":                      {},
		"one list and one by itself": slices.Concat([]byte{fieldUnfinished<<3 | wireBytes, 8, 9, 0, 0, 0, 0, 0, 0, 0}, fixed(fieldUnfinished, 3)),
	} {
		t.Run(name, func(t *testing.T) {
			host, closeStorage := storageHost(t, t.TempDir())
			defer closeStorage()
			r := newRig(t, nil, nil)
			x, err := newExporter(newConfig(t, persistent("http://127.0.0.1:1/2/httpapi")), r.settings, r.clock)
			require.NoError(t, err)
			withQueueStore := func(use func(storage.Client) error) {
				client, err := host.extensions[storageID].(storage.Extension).GetClient(t.Context(), component.KindExporter, r.settings.ID, queueStoreName)
				require.NoError(t, err)
				require.NoError(t, use(client))
				require.NoError(t, client.Close(t.Context()))
			}
			withQueueStore(func(c storage.Client) error { return c.Set(t.Context(), queueIndexKey, raw) })
			x.keepQueueOrder(t.Context(), host)
			withQueueStore(func(c storage.Client) error {
				kept, err := c.Get(t.Context(), queueIndexKey)
				assert.Equal(t, raw, kept)
				return err
			})
		})
	}
}
