// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudesandboxextension // import "github.com/otelcol-amplitude/otelcol-amplitude/extension/amplitudesandboxextension"

import (
	"context"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/extension"

	"github.com/otelcol-amplitude/otelcol-amplitude/extension/amplitudesandboxextension/internal/metadata"
)

// NewFactory returns the factory of the amplitude_sandbox extension.
func NewFactory() extension.Factory {
	return extension.NewFactory(metadata.Type, createDefaultConfig, create, metadata.ExtensionStability)
}

func create(_ context.Context, set extension.Settings, cfg component.Config) (extension.Extension, error) {
	return newSandboxExtension(set, cfg.(*Config))
}
