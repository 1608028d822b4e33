// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package main // import "github.com/otelcol-amplitude/otelcol-amplitude/tools/reference"

import (
	"fmt"
	"path"

	"go.opentelemetry.io/collector/component"

	"github.com/otelcol-amplitude/otelcol-amplitude/connector/featureflageventsconnector"
	"github.com/otelcol-amplitude/otelcol-amplitude/exporter/amplitudeexporter"
	"github.com/otelcol-amplitude/otelcol-amplitude/extension/amplitudesandboxextension"
	"github.com/otelcol-amplitude/otelcol-amplitude/processor/amplitudeexperimentprocessor"
)

const module = "github.com/otelcol-amplitude/otelcol-amplitude"

// described is a component of which the reference tells.
type described struct {
	component.Factory
	// class is the word for its kind; its plural is the section of a Collector's configuration.
	class string
	// dir is its directory, from the root of the repository.
	dir string
}

func components() []described {
	return []described{
		{amplitudeexperimentprocessor.NewFactory(), "processor", "processor/amplitudeexperimentprocessor"},
		{amplitudeexporter.NewFactory(), "exporter", "exporter/amplitudeexporter"},
		{amplitudesandboxextension.NewFactory(), "extension", "extension/amplitudesandboxextension"},
		{featureflageventsconnector.NewFactory(), "connector", "connector/featureflageventsconnector"},
	}
}

func (d described) name() string { return d.Type().String() }

func (d described) title() string { return fmt.Sprintf("%s %s", d.class, d.name()) }

func (d described) section() string { return d.class + "s" }

func (d described) importPath() string { return path.Join(module, d.dir) }

func (d described) schemaPath() string { return "docs/schema/" + d.name() + ".schema.json" }
