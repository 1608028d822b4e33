// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

// Package storageclient opens clients of storage extensions, with errors that name what failed.
package storageclient // import "github.com/otelcol-amplitude/otelcol-amplitude/internal/storageclient"

import (
	"context"
	"fmt"
	"strings"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/extension/xextension/storage"
)

// Find returns the storage extension with an id.
func Find(host component.Host, storageID component.ID) (storage.Extension, error) {
	found, ok := host.GetExtensions()[storageID]
	if !ok {
		return nil, fmt.Errorf("storage extension %q not found", storageID)
	}
	extension, ok := found.(storage.Extension)
	if !ok {
		return nil, fmt.Errorf("extension %q is not a storage extension", storageID)
	}
	return extension, nil
}

// Open opens a named client for a component. The library that reads a damaged file may panic; Open returns that as an
// error. The error names the storage, its purpose and, for file_storage, the file in its directory.
func Open(ctx context.Context, extension storage.Extension, storageID component.ID, kind component.Kind, owner component.ID, name string) (client storage.Client, err error) {
	defer func() {
		if panicked := recover(); panicked != nil {
			err = fmt.Errorf("the file is damaged: %v", panicked)
		}
		if err != nil {
			client = nil
			err = fmt.Errorf("failed to open storage %q for %q of %q%s: %w", storageID, name, owner, where(storageID, kind, owner, name), err)
		}
	}()
	return extension.GetClient(ctx, kind, owner, name)
}

// where returns the file, by file_storage's naming rule.
func where(storageID component.ID, kind component.Kind, owner component.ID, name string) string {
	if storageID.Type().String() != "file_storage" {
		return ""
	}
	file := fmt.Sprintf("%s_%s_%s_%s", strings.ToLower(kind.String()), owner.Type(), owner.Name(), name)
	return fmt.Sprintf(", file %s in its directory (another process may have it open; if it is damaged, move it away to start without what is in it)", file)
}
