// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package doctor // import "github.com/otelcol-amplitude/otelcol-amplitude/cmd/otelcol-amplitude-explain/internal/doctor"

import (
	"slices"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/amplitude"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/experiment"
)

// sdks checks whether pipelines for Amplitude's SDKs send what was acknowledged, unchanged.
func (e *examination) sdks() {
	for _, r := range e.collector.receivers {
		if r.invalid != nil {
			continue
		}
		for _, p := range e.collector.pipelines {
			if slices.Contains(p.Receivers, r.id) {
				e.eventsOfSDKs("pipelines::"+p.ID, r, e.collector.behind(p))
			}
		}
	}
}

// eventsOfSDKs checks the processors and exporters that receive the events of a receiver.
func (e *examination) eventsOfSDKs(subject string, r receiver, behind pipeline) {
	before := len(e.findings)
	for _, p := range e.collector.processors {
		if p.invalid != nil || !slices.Contains(behind.Processors, p.id) {
			continue
		}
		if !p.config.AcceptShaped {
			e.problem(subject, "%s strips operators, insert_id and most fields from the events of %s: set accept_shaped: true in a processor that serves only this receiver", p.id, r.id)
		}
		if p.config.OtherRecords == experiment.OtherDrop {
			e.problem(subject, "%s drops everything that is not an experiment record, including the other events of %s: set other_records: pass", p.id, r.id)
		}
	}
	for _, x := range e.collector.exporters {
		if x.invalid != nil || !slices.Contains(behind.Exporters, x.id) {
			continue
		}
		if amplitude.OnlyExperimentEvents(x.config.Events) {
			e.problem(subject, "%s sends only experiment events, so page views, purchases and other events of %s stop there: set events: [\"*\"]", x.id, r.id)
		}
		if r.config.MinIDLength < x.config.MinIDLength {
			e.problem(subject, "%s accepts ids of %d characters, but %s leaves out those with fewer than %d: set the same min_id_length in both", r.id, r.config.MinIDLength, x.id, x.config.MinIDLength)
		}
	}
	if len(e.findings) == before {
		e.ok(subject, "events from SDKs through %s are sent unchanged", r.id)
	}
}

// behind returns the processors and exporters of a pipeline, and of those that it feeds through connectors.
func (c *collector) behind(first pipeline) pipeline {
	all, seen := pipeline{}, map[string]bool{first.ID: true}
	for next := []pipeline{first}; len(next) > 0; next = next[1:] {
		all.Processors = append(all.Processors, next[0].Processors...)
		all.Exporters = append(all.Exporters, next[0].Exporters...)
		for _, p := range c.pipelines {
			fed := slices.ContainsFunc(p.Receivers, func(id string) bool { return slices.Contains(next[0].Exporters, id) })
			if fed && !seen[p.ID] {
				seen[p.ID] = true
				next = append(next, p)
			}
		}
	}
	return all
}
