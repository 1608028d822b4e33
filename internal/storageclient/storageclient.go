// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

// Package storageclient opens clients of storage extensions, so that what fails is named.
package storageclient // import "github.com/otelcol-amplitude/otelcol-amplitude/internal/storageclient"

import (
	"context"
	"fmt"
	"strings"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/extension/xextension/storage"
)

// Find returns the storage extension of a name.
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

// Open opens the client of a component under a name of its own. A damaged file may panic in the library that reads it: that
// is an error here. The error names the storage, what it is for and, of a file_storage, the file in its directory.
func Open(ctx context.Context, extension storage.Extension, storageID component.ID, kind component.Kind, owner component.ID, name string) (client storage.Client, err error) {
	defer func() {
		if panicked := recover(); panicked != nil {
			err = fmt.Errorf("it is damaged: %v", panicked)
		}
		if err != nil {
			client = nil
			err = fmt.Errorf("failed to open storage %q for %q of %q%s: %w", storageID, name, owner, where(storageID, kind, owner, name), err)
		}
	}()
	return extension.GetClient(ctx, kind, owner, name)
}

// where tells the file, by the rule that file_storage has for its files.
func where(storageID component.ID, kind component.Kind, owner component.ID, name string) string {
	if storageID.Type().String() != "file_storage" {
		return ""
	}
	file := fmt.Sprintf("%s_%s_%s_%s", strings.ToLower(kind.String()), owner.Type(), owner.Name(), name)
	return fmt.Sprintf(", file %s in its directory (another process may have it open; if it is damaged, move it away to start without what is in it)", file)
}
