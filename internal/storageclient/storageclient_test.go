// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package storageclient_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/open-telemetry/opentelemetry-collector-contrib/extension/storage/filestorage"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/extension/extensiontest"
	"go.opentelemetry.io/collector/extension/xextension/storage"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/storageclient"
)

// TestOpenNamesTheFile for each kind of component, as the extension names it.
func TestOpenNamesTheFile(t *testing.T) {
	directory := t.TempDir()
	factory := filestorage.NewFactory()
	cfg := factory.CreateDefaultConfig().(*filestorage.Config)
	cfg.Directory, cfg.Timeout = directory, time.Millisecond
	files, err := factory.Create(t.Context(), extensiontest.NewNopSettings(factory.Type()), cfg)
	require.NoError(t, err)
	require.NoError(t, files.Start(t.Context(), componenttest.NewNopHost()))
	t.Cleanup(func() { assert.NoError(t, files.Shutdown(context.WithoutCancel(t.Context()))) })
	for kind, owner := range map[component.Kind]component.ID{
		component.KindExporter:  component.MustNewIDWithName("amplitude", "eu"),
		component.KindProcessor: component.MustNewID("amplitude_experiment"),
	} {
		open := func() (storage.Client, error) {
			return storageclient.Open(t.Context(), files.(storage.Extension), component.MustNewIDWithName("file_storage", "disk"), kind, owner, "name")
		}
		client, err := open()
		require.NoError(t, err)
		require.NoError(t, client.Set(t.Context(), "k", []byte("v")))
		_, err = open()
		require.ErrorContains(t, err, `failed to open storage "file_storage/disk" for "name" of "`+owner.String()+`"`)
		require.NoError(t, client.Close(t.Context()))
		found, err := filepath.Glob(filepath.Join(directory, "*"))
		require.NoError(t, err)
		require.Len(t, found, 1)
		content, err := os.ReadFile(found[0])
		require.NoError(t, err)
		for name, damaged := range map[string][]byte{
			"garbage": bytes.Repeat([]byte("garbage\x00"), 4096), "cut short": content[:len(content)/2],
		} {
			require.NoError(t, os.WriteFile(found[0], damaged, 0o600))
			client, err := open()
			if err == nil {
				require.NoError(t, client.Close(t.Context()), name)
				continue
			}
			require.ErrorContains(t, err, "file "+filepath.Base(found[0])+" in its directory", name)
		}
		require.NoError(t, os.Remove(found[0]))
	}
}
