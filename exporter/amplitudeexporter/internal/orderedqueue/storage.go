// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package orderedqueue // import "github.com/otelcol-amplitude/otelcol-amplitude/exporter/amplitudeexporter/internal/orderedqueue"

import (
	"context"
	"maps"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/extension/xextension/storage"
	"go.uber.org/zap"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/storageclient"
)

// queueHost is the host as seen by the sending queue: its storage can be read even while it cannot be written.
type queueHost struct {
	component.Host
	storageID component.ID
	// index is called with the queue's index whenever it is written.
	index func(raw []byte)
	log   *zap.Logger
}

// GetExtensions returns the host's extensions, with the queue's storage wrapped.
func (h *queueHost) GetExtensions() map[component.ID]component.Component {
	extensions := h.Host.GetExtensions()
	if extension, ok := extensions[h.storageID].(storage.Extension); ok {
		extensions = maps.Clone(extensions)
		extensions[h.storageID] = &queueStorage{Extension: extension, id: h.storageID, index: h.index, log: h.log}
	}
	return extensions
}

type queueStorage struct {
	storage.Extension
	id    component.ID
	index func(raw []byte)
	log   *zap.Logger
}

// GetClient returns a client for the queue.
func (s *queueStorage) GetClient(ctx context.Context, kind component.Kind, id component.ID, name string) (storage.Client, error) {
	client, err := storageclient.Open(ctx, s.Extension, s.id, kind, id, name)
	if err != nil {
		return nil, err
	}
	return &queueClient{Client: client, index: s.index, log: s.log}, nil
}

// queueClient compensates for exporterhelper's behavior when the storage is full. To take out a request, the queue
// writes its index and reads the request in one step; if that fails, it deletes the request, and logs it only at debug
// level. Here, the request is read anyway. The index on disk then lags behind the one in memory, so after a crash,
// events that were already sent are sent again with the same insert_id.
type queueClient struct {
	storage.Client
	index func(raw []byte)
	log   *zap.Logger
}

// Batch executes the operations. If writing the index fails, it still performs the reads.
func (c *queueClient) Batch(ctx context.Context, operations ...*storage.Operation) error {
	for _, o := range operations {
		if o.Type == storage.Set && o.Key == indexKey {
			c.index(o.Value)
		}
	}
	err := c.Client.Batch(ctx, operations...)
	if err == nil {
		return nil
	}
	var reads []*storage.Operation
	for _, o := range operations {
		switch {
		case o.Type == storage.Get:
			reads = append(reads, o)
		case o.Type != storage.Set || o.Key != indexKey:
			return err
		}
	}
	if len(reads) == 0 || c.Client.Batch(ctx, reads...) != nil {
		return err
	}
	c.log.Warn("Failed to write to the storage of the sending queue; events are still sent, but a crash would send them again", zap.Error(err))
	return nil
}
