// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudetapextension // import "github.com/otelcol-amplitude/otelcol-amplitude/extension/amplitudetapextension"

import (
	"context"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/extension"

	"github.com/otelcol-amplitude/otelcol-amplitude/extension/amplitudetapextension/internal/metadata"
)

// NewFactory returns the factory of the amplitude_tap extension.
func NewFactory() extension.Factory {
	return extension.NewFactory(metadata.Type, createDefaultConfig, create, metadata.ExtensionStability)
}

func create(_ context.Context, set extension.Settings, cfg component.Config) (extension.Extension, error) {
	return newTapExtension(set, cfg.(*Config))
}
