// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/confmap/provider/envprovider"
	"go.opentelemetry.io/collector/confmap/provider/fileprovider"
	"go.opentelemetry.io/collector/confmap/provider/yamlprovider"

	"github.com/otelcol-amplitude/otelcol-amplitude/connector/featureflageventsconnector"
	"github.com/otelcol-amplitude/otelcol-amplitude/exporter/amplitudeexporter"
	"github.com/otelcol-amplitude/otelcol-amplitude/processor/amplitudeexperimentprocessor"
)

// sections are the parts of a Collector's configuration that decide about records and events.
type sections struct {
	processor *amplitudeexperimentprocessor.Config
	exporter  *amplitudeexporter.Config
	connector *featureflageventsconnector.Config
}

// readSections reads the sections like the Collector; without a configuration it returns the defaults.
func readSections(ctx context.Context, o *options) (*sections, error) {
	processors, exporters, connectors := amplitudeexperimentprocessor.NewFactory(), amplitudeexporter.NewFactory(), featureflageventsconnector.NewFactory()
	s := &sections{
		processor: processors.CreateDefaultConfig().(*amplitudeexperimentprocessor.Config),
		exporter:  exporters.CreateDefaultConfig().(*amplitudeexporter.Config),
		connector: connectors.CreateDefaultConfig().(*featureflageventsconnector.Config),
	}
	if len(o.configs) == 0 {
		return s, nil
	}
	conf, err := resolve(ctx, o.configs)
	if err != nil {
		return nil, err
	}
	found, id, err := section(conf, "processors", processors.Type(), o.processor)
	switch {
	case err != nil:
		return nil, err
	case found == nil:
		return nil, fmt.Errorf("the configuration has no processor %s: is it the right file?", processors.Type())
	}
	if err := found.Unmarshal(s.processor); err != nil {
		return nil, fmt.Errorf("processors::%s: %w", id, err)
	}
	if err := confmap.Validate(s.processor); err != nil {
		return nil, fmt.Errorf("processors::%s: %w", id, err)
	}
	found, id, err = section(conf, "connectors", connectors.Type(), o.connector)
	if err == nil && found != nil { // without one, spans are read with its defaults
		if err = found.Unmarshal(s.connector); err == nil {
			err = confmap.Validate(s.connector)
		}
		if err != nil {
			err = fmt.Errorf("connectors::%s: %w", id, err)
		}
	}
	if err != nil {
		return nil, err
	}
	found, id, err = section(conf, "exporters", exporters.Type(), o.exporter)
	if err != nil || found == nil {
		return s, err // the exporter may be in a gateway: use its defaults
	}
	// Not validated: the API key may be unknown here, and is not part of an event.
	if err := found.Unmarshal(s.exporter); err != nil {
		return nil, fmt.Errorf("exporters::%s: %w", id, err)
	}
	return s, nil
}

// resolve reads and expands a configuration as the Collector does.
func resolve(ctx context.Context, configs []string) (*confmap.Conf, error) {
	resolver, err := confmap.NewResolver(confmap.ResolverSettings{
		URIs:              configs,
		ProviderFactories: []confmap.ProviderFactory{fileprovider.NewFactory(), envprovider.NewFactory(), yamlprovider.NewFactory()},
		DefaultScheme:     "env",
	})
	if err != nil {
		return nil, err
	}
	conf, err := resolver.Resolve(ctx)
	if err != nil {
		return nil, err
	}
	return conf, resolver.Shutdown(ctx)
}

// section returns the section of a component: the requested one, else the one named like its type, else the only one of
// its type. It returns nil if there is none of the type.
func section(conf *confmap.Conf, kind string, of component.Type, wanted string) (*confmap.Conf, string, error) {
	all, err := conf.Sub(kind)
	if err != nil {
		return nil, "", fmt.Errorf("%s: %w", kind, err)
	}
	var ids []string
	for id := range all.ToStringMap() {
		if name, _, _ := strings.Cut(id, "/"); name == of.String() {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	id := wanted
	switch {
	case wanted != "" && !slices.Contains(ids, wanted):
		return nil, "", fmt.Errorf("%s has no %q, only: %s", kind, wanted, orNone(ids))
	case wanted != "":
	case slices.Contains(ids, of.String()):
		id = of.String()
	case len(ids) == 1:
		id = ids[0]
	case len(ids) == 0:
		return nil, "", nil
	default:
		return nil, "", fmt.Errorf("%s has several of type %s, choose one with --%s: %s", kind, of, strings.TrimSuffix(kind, "s"), strings.Join(ids, ", "))
	}
	// A section without a body is nil, which Sub treats as an empty map.
	found, err := all.Sub(id)
	if err != nil {
		return nil, "", errors.Join(fmt.Errorf("%s::%s is not a map", kind, id), err)
	}
	return found, id, nil
}

func orNone(ids []string) string {
	if len(ids) == 0 {
		return "none of this type"
	}
	return strings.Join(ids, ", ")
}
