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
	"github.com/otelcol-amplitude/otelcol-amplitude/extension/amplitudetapextension"
	"github.com/otelcol-amplitude/otelcol-amplitude/processor/amplitudeexperimentprocessor"
	"github.com/otelcol-amplitude/otelcol-amplitude/receiver/amplitudereceiver"
)

const module = "github.com/otelcol-amplitude/otelcol-amplitude"

// described is a component covered by the reference.
type described struct {
	component.Factory
	// class is its kind; the plural is the section of a Collector's configuration.
	class string
	// dir is its directory, from the root of the repository.
	dir string
}

func components() []described {
	return []described{
		{amplitudeexperimentprocessor.NewFactory(), "processor", "processor/amplitudeexperimentprocessor"},
		{amplitudeexporter.NewFactory(), "exporter", "exporter/amplitudeexporter"},
		{amplitudesandboxextension.NewFactory(), "extension", "extension/amplitudesandboxextension"},
		{amplitudetapextension.NewFactory(), "extension", "extension/amplitudetapextension"},
		{featureflageventsconnector.NewFactory(), "connector", "connector/featureflageventsconnector"},
		{amplitudereceiver.NewFactory(), "receiver", "receiver/amplitudereceiver"},
	}
}

func (d described) name() string { return d.Type().String() }

func (d described) title() string { return fmt.Sprintf("%s %s", d.class, d.name()) }

func (d described) section() string { return d.class + "s" }

func (d described) importPath() string { return path.Join(module, d.dir) }

// schemaName returns the name of its schema: that of the component, with its class if an exporter has the same name.
func (d described) schemaName() string {
	if d.class == "receiver" {
		return d.name() + "_" + d.class
	}
	return d.name()
}

func (d described) schemaPath() string { return "docs/schema/" + d.schemaName() + ".schema.json" }
