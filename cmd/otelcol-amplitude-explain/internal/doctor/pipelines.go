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

// configuration examines each section by itself, as the Collector does at its start.
func (e *examination) configuration() {
	inPipelines := e.collector.used(func(p pipeline) []string { return p.Processors })
	for _, p := range e.collector.processors {
		if e.starts("processors::"+p.id, p.invalid, inPipelines[p.id]) {
			e.well("processors::"+p.id, "valid, and in a pipeline")
		}
	}
	inPipelines = e.collector.used(func(p pipeline) []string { return p.Receivers })
	for _, r := range e.collector.receivers {
		if e.starts("receivers::"+r.id, r.invalid, inPipelines[r.id]) {
			e.well("receivers::"+r.id, "valid, and in a pipeline")
		}
	}
	inPipelines = e.collector.used(func(p pipeline) []string { return p.Exporters })
	for _, x := range e.collector.exporters {
		if !e.starts("exporters::"+x.id, x.invalid, inPipelines[x.id]) {
			continue
		}
		if !x.config.DryRun {
			e.well("exporters::"+x.id, "valid, and in a pipeline; events go to %s", x.config.EventsURL())
		}
		for setting, risk := range x.config.Warnings() {
			e.wrong("exporters::"+x.id, "%s: %s", setting, risk)
		}
	}
}

// starts tells whether a section is valid and in a pipeline, and says why not.
func (e *examination) starts(section string, invalid error, inPipeline bool) bool {
	switch {
	case invalid != nil:
		e.wrong(section, "the Collector would not start: %s", oneLine(invalid))
	case !inPipeline:
		e.wrong(section, "no pipeline has it: name it under service::pipelines")
	default:
		return true
	}
	return false
}

// pipelines examines the order of each pipeline that exposures pass through.
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
			e.wrong(subject, "exposures are log records: move the processor and the exporter to a pipeline named logs")
		}
		if sends && !has && !e.collector.anotherShapes(p) {
			e.wrong(subject, "it has the exporter without %s, which makes the events: records would leave only if they are events already", processorType)
		}
		at := slices.IndexFunc(p.Processors, func(id string) bool { return typeOf(id) == processorType })
		for i, id := range p.Processors {
			switch typeOf(id) {
			case "batch":
				if i < at {
					e.wrong(subject, "%s comes before %s: it says yes to senders before anything is stored, and loses that at a crash; leave it out, the exporter makes batches", id, processorType)
				} else {
					e.wrong(subject, "%s holds events in memory between the processor and the exporter's queue: leave it out, the exporter makes batches", id)
				}
			case "memory_limiter":
				if i > 0 {
					e.wrong(subject, "%s is not first: what comes before it has the memory already", id)
				}
			}
		}
		if len(e.findings) == before {
			e.well(subject, "%s", strings.Join(slices.Concat([]string{strings.Join(p.Receivers, ", ")}, p.Processors, []string{strings.Join(p.Exporters, ", ")}), " → "))
		}
		e.trust(subject, p)
		e.allowed(subject, p)
	}
	if !processed {
		e.wrong("pipelines", "none has the processor %s: exposures would not be recognized", processorType)
	}
	if !delivered {
		e.wrong("pipelines", "none has the exporter %s: unless this Collector sends to another one that has, nothing arrives", exporterType)
	}
}

// anotherShapes tells whether the pipeline gets its records from another one through a connector: that one shapes them.
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

// trust examines whether those who can write to a pipeline may say what is an event.
func (e *examination) trust(subject string, p pipeline) {
	for _, one := range e.collector.processors {
		if one.invalid != nil || !one.config.AcceptShaped || !slices.Contains(p.Processors, one.id) {
			continue
		}
		for _, receiver := range p.Receivers {
			if e.collector.conf.IsSet("receivers::" + receiver + "::protocols::http::cors") {
				e.wrong(subject, "browsers write to %s, and %s has accept_shaped: a page could send any event for any user; keep a pipeline for browsers apart", receiver, one.id)
			}
		}
	}
}

// allowed examines whether the exporters of a pipeline send the events that its processor is told to make, with the ids that it takes.
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
				e.wrong(subject, "%s takes ids of %d characters, and %s leaves out those of less than %d, so that an event goes out under its device alone: give both the minimum of the Amplitude project", one.id, one.config.Identity.MinIDLength, x.id, x.config.MinIDLength)
			}
			allowed := pattern.NewList(x.config.Events)
			for _, name := range made {
				if !slices.Contains(x.config.Events, name) && !allowed.Match(name) {
					e.wrong(subject, "%s makes events named %q, and %s does not send them: add the name to exporters::%s::events", one.id, name, x.id, x.id)
				}
			}
		}
	}
}

// memory examines whether what is remembered as sent lives as long as what is to be sent.
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
				e.wrong("processors::"+p.id, "it de-duplicates and hands events to another Collector (pipeline %s), without knowing whether they are delivered: set dedup::enabled to false here, and de-duplicate beside the exporter", line.ID)
			}
			for _, x := range e.collector.exporters {
				queue := x.config.QueueConfig.Get()
				if x.invalid != nil || !slices.Contains(line.Exporters, x.id) || queue == nil || queue.WaitForResult {
					continue
				}
				switch {
				case kept && queue.StorageID == nil:
					e.wrong("exporters::"+x.id, "what %s remembers outlives the queue, which is in memory: after a crash, what was lost with it is reported again only at the users' next reports; set sending_queue::storage", p.id)
				case !kept && queue.StorageID != nil:
					e.wrong("processors::"+p.id, "the queue of %s outlives what is remembered: after a restart, a return to an earlier variant of the day can be missed; set dedup::storage", x.id)
				default:
					e.well("processors::"+p.id, "remembers for as long as the queue of %s keeps", x.id)
				}
			}
		}
	}
}

func oneLine(err error) string { return strings.Join(strings.Fields(err.Error()), " ") }
