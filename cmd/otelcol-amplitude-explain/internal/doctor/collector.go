// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package doctor // import "github.com/otelcol-amplitude/otelcol-amplitude/cmd/otelcol-amplitude-explain/internal/doctor"

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"go.opentelemetry.io/collector/confmap"

	"github.com/otelcol-amplitude/otelcol-amplitude/exporter/amplitudeexporter"
	"github.com/otelcol-amplitude/otelcol-amplitude/processor/amplitudeexperimentprocessor"
	"github.com/otelcol-amplitude/otelcol-amplitude/receiver/amplitudereceiver"
)

// collector is the part of a configuration that concerns events for Amplitude.
type collector struct {
	conf       *confmap.Conf
	pipelines  []pipeline
	processors []processor
	exporters  []exporter
	receivers  []receiver
}

// pipeline is one of service::pipelines.
type pipeline struct {
	ID         string
	Receivers  []string `mapstructure:"receivers"`
	Processors []string `mapstructure:"processors"`
	Exporters  []string `mapstructure:"exporters"`
}

type processor struct {
	id      string
	config  *amplitudeexperimentprocessor.Config
	invalid error
}

type exporter struct {
	id      string
	config  *amplitudeexporter.Config
	invalid error
}

// receiver is a receiver for Amplitude's SDKs.
type receiver struct {
	id      string
	config  *amplitudereceiver.Config
	invalid error
}

var (
	receiverType  = amplitudereceiver.NewFactory().Type().String()
	processorType = amplitudeexperimentprocessor.NewFactory().Type().String()
	exporterType  = amplitudeexporter.NewFactory().Type().String()
)

func readCollector(conf *confmap.Conf) (*collector, error) {
	c := &collector{conf: conf}
	pipelines, err := conf.Sub("service::pipelines")
	if err != nil {
		return nil, fmt.Errorf("service::pipelines: %w", err)
	}
	for _, id := range keysOf(pipelines) {
		p := pipeline{ID: id}
		section, err := pipelines.Sub(id)
		if err == nil {
			err = section.Unmarshal(&p, confmap.WithIgnoreUnused())
		}
		if err != nil {
			return nil, fmt.Errorf("service::pipelines::%s: %w", id, err)
		}
		c.pipelines = append(c.pipelines, p)
	}
	if len(c.pipelines) == 0 {
		return nil, errors.New("the configuration has no service::pipelines: is it the right file?")
	}
	for id, section := range sectionsOf(conf, "processors", processorType) {
		p := processor{id: id, config: amplitudeexperimentprocessor.NewFactory().CreateDefaultConfig().(*amplitudeexperimentprocessor.Config)}
		p.invalid = load(section, p.config)
		c.processors = append(c.processors, p)
	}
	for id, section := range sectionsOf(conf, "exporters", exporterType) {
		x := exporter{id: id, config: amplitudeexporter.NewFactory().CreateDefaultConfig().(*amplitudeexporter.Config)}
		x.invalid = load(section, x.config)
		c.exporters = append(c.exporters, x)
	}
	for id, section := range sectionsOf(conf, "receivers", receiverType) {
		r := receiver{id: id, config: amplitudereceiver.NewFactory().CreateDefaultConfig().(*amplitudereceiver.Config)}
		r.invalid = load(section, r.config)
		c.receivers = append(c.receivers, r)
	}
	slices.SortFunc(c.receivers, func(a, b receiver) int { return strings.Compare(a.id, b.id) })
	slices.SortFunc(c.processors, func(a, b processor) int { return strings.Compare(a.id, b.id) })
	slices.SortFunc(c.exporters, func(a, b exporter) int { return strings.Compare(a.id, b.id) })
	return c, nil
}

func load(section *confmap.Conf, into any) error {
	if err := section.Unmarshal(into); err != nil {
		return err
	}
	return confmap.Validate(into)
}

// sectionsOf returns the sections of a kind whose components have a type, by id.
func sectionsOf(conf *confmap.Conf, kind, ofType string) map[string]*confmap.Conf {
	found := map[string]*confmap.Conf{}
	all, err := conf.Sub(kind)
	if err != nil {
		return found
	}
	for _, id := range keysOf(all) {
		if typeOf(id) != ofType {
			continue
		}
		if section, err := all.Sub(id); err == nil {
			found[id] = section
		}
	}
	return found
}

func keysOf(conf *confmap.Conf) []string { return slices.Sorted(maps.Keys(conf.ToStringMap())) }

// typeOf returns the type in an id, which may have a name: type/name.
func typeOf(id string) string {
	name, _, _ := strings.Cut(id, "/")
	return name
}

// used returns the ids that pipelines refer to.
func (c *collector) used(of func(pipeline) []string) map[string]bool {
	used := map[string]bool{}
	for _, p := range c.pipelines {
		for _, id := range of(p) {
			used[id] = true
		}
	}
	return used
}

func hasType(ids []string, of ...string) bool {
	return slices.ContainsFunc(ids, func(id string) bool { return slices.Contains(of, typeOf(id)) })
}
