// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package doctor // import "github.com/otelcol-amplitude/otelcol-amplitude/cmd/otelcol-amplitude-explain/internal/doctor"

import (
	"slices"
	"strings"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/amplitude"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/experiment"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/pattern"
)

// configuration checks each section on its own, like the Collector at startup.
func (e *examination) configuration() {
	inPipelines := e.collector.used(func(p pipeline) []string { return p.Processors })
	for _, p := range e.collector.processors {
		if e.starts("processors::"+p.id, p.invalid, inPipelines[p.id]) {
			e.ok("processors::"+p.id, "valid and in a pipeline")
		}
	}
	inPipelines = e.collector.used(func(p pipeline) []string { return p.Receivers })
	for _, r := range e.collector.receivers {
		if e.starts("receivers::"+r.id, r.invalid, inPipelines[r.id]) {
			e.ok("receivers::"+r.id, "valid and in a pipeline")
		}
	}
	inPipelines = e.collector.used(func(p pipeline) []string { return p.Exporters })
	for _, x := range e.collector.exporters {
		if !e.starts("exporters::"+x.id, x.invalid, inPipelines[x.id]) {
			continue
		}
		if !x.config.DryRun {
			e.ok("exporters::"+x.id, "valid and in a pipeline; events go to %s", x.config.EventsURL())
		}
		for setting, risk := range x.config.Warnings() {
			e.problem("exporters::"+x.id, "%s: %s", setting, risk)
		}
	}
}

// starts reports whether a section is valid and in a pipeline, and adds a finding if not.
func (e *examination) starts(section string, invalid error, inPipeline bool) bool {
	switch {
	case invalid != nil:
		e.problem(section, "the Collector would not start: %s", oneLine(invalid))
	case !inPipeline:
		e.problem(section, "no pipeline uses it: add it to one under service::pipelines")
	default:
		return true
	}
	return false
}

// pipelines checks the order of each pipeline that exposures pass through.
func (e *examination) pipelines() {
	processed, delivered := false, false
	for _, p := range e.collector.pipelines {
		has, sends := hasType(p.Processors, processorType), hasType(p.Exporters, exporterType)
		processed, delivered = processed || has, delivered || sends
		if !has && !sends {
			continue
		}
		subject := "pipelines::" + p.ID
		before := len(e.findings)
		if typeOf(p.ID) != "logs" {
			e.problem(subject, "exposures are log records: move the processor and the exporter to a logs pipeline")
		}
		if sends && !has && !e.collector.anotherShapes(p) {
			e.problem(subject, "it has the exporter without %s, which makes the events: only records that are already events would be sent", processorType)
		}
		at := slices.IndexFunc(p.Processors, func(id string) bool { return typeOf(id) == processorType })
		for i, id := range p.Processors {
			switch typeOf(id) {
			case "batch":
				if i < at {
					e.problem(subject, "%s comes before %s: it acknowledges records before they are stored, so a crash loses them; remove it, the exporter batches by itself", id, processorType)
				} else {
					e.problem(subject, "%s holds events in memory between the processor and the exporter's queue; remove it, the exporter batches by itself", id)
				}
			case "memory_limiter":
				if i > 0 {
					e.problem(subject, "%s is not first: what comes before it uses memory unchecked", id)
				}
			}
		}
		if len(e.findings) == before {
			e.ok(subject, "%s", strings.Join(slices.Concat([]string{strings.Join(p.Receivers, ", ")}, p.Processors, []string{strings.Join(p.Exporters, ", ")}), " → "))
		}
		e.trust(subject, p)
		e.allowed(subject, p)
	}
	if !processed {
		e.problem("pipelines", "none has the processor %s: exposures are not recognized", processorType)
	}
	if !delivered {
		e.problem("pipelines", "none has the exporter %s: nothing reaches Amplitude unless this Collector sends to another one that has it", exporterType)
	}
}

// anotherShapes reports whether the pipeline gets its records, via a connector, from another pipeline that shapes them.
func (c *collector) anotherShapes(p pipeline) bool {
	for _, id := range p.Receivers {
		for _, other := range c.pipelines {
			if slices.Contains(other.Exporters, id) && hasType(other.Processors, processorType) {
				return true
			}
		}
	}
	return false
}

// trust checks whether the senders to a pipeline may define events.
func (e *examination) trust(subject string, p pipeline) {
	for _, one := range e.collector.processors {
		if one.invalid != nil || !one.config.AcceptShaped || !slices.Contains(p.Processors, one.id) {
			continue
		}
		for _, receiver := range p.Receivers {
			if e.collector.conf.IsSet("receivers::" + receiver + "::protocols::http::cors") {
				e.problem(subject, "browsers write to %s, and %s has accept_shaped: any page could send any event for any user; give browsers a separate pipeline", receiver, one.id)
			}
		}
	}
}

// allowed checks whether the exporters of a pipeline send the events that its processor is configured to make, with the
// ids that it accepts.
func (e *examination) allowed(subject string, p pipeline) {
	for _, one := range e.collector.processors {
		if one.invalid != nil || !slices.Contains(p.Processors, one.id) {
			continue
		}
		made := slices.Concat(one.config.Exposure.CustomEvents, one.config.Outcomes.EventTypes())
		if one.config.Impression.Enabled && one.config.Exposure.Wire == experiment.WireRaw {
			made = append(made, amplitude.EventRawImpression)
		}
		for _, x := range e.collector.exporters {
			if x.invalid != nil || !slices.Contains(p.Exporters, x.id) {
				continue
			}
			if one.config.Identity.MinIDLength < x.config.MinIDLength {
				e.problem(subject, "%s accepts ids of %d characters, but %s leaves out those with fewer than %d, so that an event is sent under its device alone: give both the minimum of the Amplitude project", one.id, one.config.Identity.MinIDLength, x.id, x.config.MinIDLength)
			}
			allowed := pattern.NewList(x.config.Events)
			for _, name := range made {
				if !slices.Contains(x.config.Events, name) && !allowed.Match(name) {
					e.problem(subject, "%s makes events named %q, but %s does not send them: add the name to exporters::%s::events", one.id, name, x.id, x.id)
				}
			}
		}
	}
}

// memory checks whether the de-duplication state lasts as long as the queue.
func (e *examination) memory() {
	for _, p := range e.collector.processors {
		if p.invalid != nil || !p.config.Dedup.Enabled {
			continue
		}
		kept := p.config.Dedup.StorageID != nil || p.config.Dedup.Redis.HasValue()
		for _, line := range e.collector.pipelines {
			if !slices.Contains(line.Processors, p.id) {
				continue
			}
			if !hasType(line.Exporters, exporterType) && hasType(line.Exporters, "otlp", "otlp_grpc", "otlp_http", "otlphttp", "load_balancing", "loadbalancing", "kafka") {
				e.problem("processors::"+p.id, "it de-duplicates but sends to another Collector (pipeline %s), so it never learns whether events are delivered: set dedup::enabled to false here, and de-duplicate next to the exporter", line.ID)
			}
			for _, x := range e.collector.exporters {
				queue := x.config.QueueConfig.Get()
				if x.invalid != nil || !slices.Contains(line.Exporters, x.id) || queue == nil || queue.WaitForResult {
					continue
				}
				switch {
				case kept && queue.StorageID == nil:
					e.problem("exporters::"+x.id, "the state of %s outlives the queue, which is in memory: events lost in a crash are sent again only when users report again; set sending_queue::storage", p.id)
				case !kept && queue.StorageID != nil:
					e.problem("processors::"+p.id, "the queue of %s outlives the de-duplication state: after a restart, a return to an earlier variant on the same day can be missed; set dedup::storage", x.id)
				default:
					e.ok("processors::"+p.id, "the de-duplication state lasts as long as the queue of %s", x.id)
				}
			}
		}
	}
}

func oneLine(err error) string { return strings.Join(strings.Fields(err.Error()), " ") }
