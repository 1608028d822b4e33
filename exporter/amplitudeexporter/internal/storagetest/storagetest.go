// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

// Package storagetest has the storages of the exporter's tests: a real one, and one that is full.
package storagetest // import "github.com/otelcol-amplitude/otelcol-amplitude/exporter/amplitudeexporter/internal/storagetest"

import (
	"context"
	"sync"
	"testing"

	"github.com/open-telemetry/opentelemetry-collector-contrib/extension/storage/filestorage"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/extension/extensiontest"
	"go.opentelemetry.io/collector/extension/xextension/storage"
)

// ID is the storage's id in the configurations of tests.
var ID = component.MustNewID("file_storage")

// Host has one storage.
type Host struct{ Storage component.Component }

// GetExtensions returns the storage.
func (h Host) GetExtensions() map[component.ID]component.Component {
	return map[component.ID]component.Component{ID: h.Storage}
}

// File starts a file storage in a directory, which must outlive the exporter.
func File(t testing.TB, directory string) (files component.Component, closeFiles func()) {
	t.Helper()
	factory := filestorage.NewFactory()
	cfg := factory.CreateDefaultConfig().(*filestorage.Config)
	cfg.Directory = directory
	files, err := factory.Create(t.Context(), extensiontest.NewNopSettings(factory.Type()), cfg)
	require.NoError(t, err)
	require.NoError(t, files.Start(t.Context(), componenttest.NewNopHost()))
	return files, sync.OnceFunc(func() { assert.NoError(t, files.Shutdown(context.WithoutCancel(t.Context()))) })
}

// Use opens the client of an exporter in a storage, and closes it after use.
func Use(t testing.TB, files component.Component, id component.ID, name string, use func(storage.Client)) {
	t.Helper()
	client, err := files.(storage.Extension).GetClient(t.Context(), component.KindExporter, id, name)
	require.NoError(t, err)
	use(client)
	require.NoError(t, client.Close(t.Context()))
}

// Full is a storage in which every write fails.
type Full struct {
	component.StartFunc
	component.ShutdownFunc
}

// GetClient returns a client that cannot write.
func (Full) GetClient(context.Context, component.Kind, component.ID, string) (storage.Client, error) {
	return fullClient{storage.NewNopClient()}, nil
}

type fullClient struct{ storage.Client }

func (fullClient) Batch(_ context.Context, operations ...*storage.Operation) error {
	for _, o := range operations {
		if o.Type == storage.Set {
			return storage.ErrStorageFull
		}
	}
	return nil
}
