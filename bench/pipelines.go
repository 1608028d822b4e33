// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/otelcol-amplitude/otelcol-amplitude/bench/cmdline"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/docblock"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/loopback"
)

const (
	// loadFactor is how many times the batches of a process's own rounds the built Collector gets.
	loadFactor  = 2
	warmBatches = 50
)

// goDefault is how Go collects garbage unless told otherwise; equalHeap gives all the same heap, since otherwise a process that
// keeps little alive collects often.
var (
	goDefault = []string{"GOGC=100"}
	equalHeap = []string{"GOGC=off", "GOMEMLIMIT=400MiB"}
)

// pipeline is one configuration of a Collector, and how it is run.
type pipeline struct {
	name, binary                     string
	processors, exporter, extensions string
	nothingArrives                   bool
	env                              []string
	// watched is the address of a tap that somebody reads.
	watched string
}

func (p *pipeline) config() string {
	sections, uses := "", ""
	if p.processors != "" {
		sections += "processors:\n  " + p.processors + "\n"
		uses = nameOf(p.processors)
	}
	extensions := ""
	if p.extensions != "" {
		sections += "extensions:\n  " + p.extensions + "\n"
		extensions = nameOf(p.extensions)
	}
	return fmt.Sprintf(`receivers:
  otlp: {protocols: {http: {endpoint: ADDRESS}}}
%sexporters:
  %s
service:
  extensions: [%s]
  telemetry:
    logs: {level: warn}
    metrics: {readers: [{pull: {exporter: {prometheus: {host: HOST, port: PORT}}}}]}
  pipelines:
    logs: {receivers: [otlp], processors: [%s], exporters: [%s]}
`, sections, p.exporter, extensions, uses, nameOf(p.exporter))
}

// nameOf is the name of a component before its configuration.
func nameOf(yaml string) string {
	name, _, _ := strings.Cut(yaml, ":")
	return name
}

func amplitudeExporter(to *sink) string {
	return "amplitude: {api_key: bench, endpoint: " + to.url + "/2/httpapi, compression: none}"
}

func transformYAML() string {
	var b strings.Builder
	b.WriteString("transform:\n    error_mode: propagate\n    log_statements:\n      - context: log\n        conditions: ['" + transformCondition + "']\n        statements:\n")
	for _, s := range transformStatements {
		fmt.Fprintf(&b, "          - '%s'\n", s)
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// Names of the pipelines that others are compared with.
const (
	wholeName    = "amplitude_experiment → amplitude"
	bareName     = "the same without de-duplication"
	tapName      = "the same with amplitude_tap, not watched"
	watchedName  = "the same with a watched amplitude_tap"
	countedName  = "the same with diagnostics for all flags"
	jsonName     = "transform → otlp_http JSON"
	protoName    = "transform → otlp_http protobuf"
	nothingName  = "receiver → nothing"
	beforeName   = "the baseline build"
	equalHeapTag = ", equal heap"
)

// pipelines are compared end to end.
func pipelines(o cmdline.Options, to *sink) ([]pipeline, error) {
	tap, err := loopback.FreeAddress()
	if err != nil {
		return nil, err
	}
	queue := "sending_queue: {queue_size: 64, sizer: requests, block_on_overflow: true, batch: null}"
	ours := pipeline{name: wholeName, binary: o.Collector, processors: "amplitude_experiment: {}", exporter: amplitudeExporter(to), env: goDefault}
	with := func(base pipeline, name string, change func(*pipeline)) pipeline {
		base.name = name
		change(&base)
		return base
	}
	list := []pipeline{
		ours,
		with(ours, bareName, func(p *pipeline) { p.processors = "amplitude_experiment: {dedup: {enabled: false}}" }),
		with(ours, tapName, func(p *pipeline) { p.extensions = "amplitude_tap: {endpoint: " + tap + "}" }),
		with(ours, watchedName, func(p *pipeline) { p.extensions, p.watched = "amplitude_tap: {endpoint: "+tap+"}", tap }),
		with(ours, countedName, func(p *pipeline) { p.processors = `amplitude_experiment: {diagnostics: {flags: ["*"]}}` }),
		with(ours, jsonName, func(p *pipeline) {
			p.processors, p.exporter = transformYAML(), "otlp_http: {endpoint: "+to.url+", encoding: json, compression: none, "+queue+"}"
		}),
		with(ours, protoName, func(p *pipeline) {
			p.processors, p.exporter = transformYAML(), "otlp_http: {endpoint: "+to.url+", encoding: proto, compression: none, "+queue+"}"
		}),
		with(ours, nothingName, func(p *pipeline) { p.processors, p.exporter, p.nothingArrives = "", "nop: {}", true }),
	}
	if o.Before != "" {
		list = append(list, with(ours, beforeName, func(p *pipeline) { p.binary = o.Before }))
	}
	for _, p := range list {
		switch p.name {
		case wholeName, jsonName, protoName, nothingName, beforeName:
			list = append(list, with(p, p.name+equalHeapTag, func(p *pipeline) { p.env = equalHeap }))
		}
	}
	return list, nil
}

// run measures fresh processes of all pipelines in turn, round by round.
func runPipelines(o cmdline.Options, to *sink, list []pipeline) (map[string][]load, error) {
	bodies, err := encodeLoad(0, warmBatches+loadFactor*o.Batches)
	if err != nil {
		return nil, err
	}
	runs := map[string][]load{}
	for range o.Rounds {
		for i := range list {
			one, err := list[i].run(to, bodies)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", list[i].name, err)
			}
			runs[list[i].name] = append(runs[list[i].name], one)
		}
	}
	return runs, nil
}

func (p *pipeline) run(to *sink, bodies [][]byte) (result load, err error) {
	err = inFolder(func(folder string) error {
		r, err := startCollector(p.binary, p.config(), folder, p.env...)
		if err != nil {
			return err
		}
		result, err = p.measure(r, to, bodies)
		return errors.Join(err, r.stop())
	})
	return result, err
}

func (p *pipeline) measure(r *running, to *sink, bodies [][]byte) (result load, err error) {
	if p.watched != "" {
		answer, err := http.Get("http://" + p.watched + "/decisions") //nolint:bodyclose // closed below, when the load has passed
		if err != nil {
			return load{}, err
		}
		read := make(chan int)
		go func() {
			lines := 0
			for s := bufio.NewScanner(answer.Body); s.Scan(); lines++ {
			}
			read <- lines
		}()
		defer func() {
			err = errors.Join(err, answer.Body.Close())
			if <-read == 0 && err == nil {
				err = errors.New("the tap told nothing")
			}
		}()
	}
	if _, err := r.measure(bodies[:warmBatches], to, !p.nothingArrives); err != nil {
		return load{}, err
	}
	result, err = r.measure(bodies[warmBatches:], to, !p.nothingArrives)
	if p.nothingArrives {
		result.missed = 0
	}
	return result, err
}

// cpus are the figures to compare round by round.
func cpus(runs []load) []float64 {
	values := make([]float64, len(runs))
	for i, one := range runs {
		values[i] = one.cpu
	}
	return values
}

// loads writes a table of pipelines; the first one is what the others are compared with.
func (d *document) loads(list []string, runs map[string][]load) {
	d.printf("\n| pipeline | CPU ns/event | range | times the first row | range | events/s (cores shared with generator and sink) | collections | peak MiB | lost |\n|---|--:|---|--:|---|--:|--:|--:|--:|\n")
	for _, name := range list {
		of := func(value func(load) float64) ranged {
			values := make([]float64, len(runs[name]))
			for i, one := range runs[name] {
				values[i] = value(one)
			}
			return rangeOf(values)
		}
		lost := 0
		for _, one := range runs[name] {
			lost += max(0, one.missed)
		}
		cpu, times := of(func(l load) float64 { return l.cpu }), ratio(cpus(runs[list[0]]), cpus(runs[name]))
		d.printf("| %s | %s | %.2f | %.2f..%.2f | %s | %.0f | %.0f | %d |\n", strings.TrimSuffix(name, equalHeapTag), cpu.cells(),
			times.median, times.low, times.high, docblock.Grouped(of(func(l load) float64 { return l.rate }).median),
			of(func(l load) float64 { return float64(l.collections) }).median, of(func(l load) float64 { return float64(l.peak) }).high, lost)
	}
}

// endToEnd compares pipelines of built Collectors.
func endToEnd(o cmdline.Options, d *document) (err error) {
	to, err := startSink()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, to.stop()) }()
	list, err := pipelines(o, to)
	if err != nil {
		return err
	}
	runs, err := runPipelines(o, to, list)
	if err != nil {
		return err
	}
	d.endToEnd(o, list, runs)
	return nil
}

func (d *document) endToEnd(o cmdline.Options, list []pipeline, runs map[string][]load) {
	var plain, equal []string
	group := chartGroup{name: "Built Collector, W1"}
	for _, p := range list {
		if strings.HasSuffix(p.name, equalHeapTag) {
			equal = append(equal, p.name)
			continue
		}
		plain = append(plain, p.name)
		group.bars = append(group.bars, chartBar{p.name, rangeOf(cpus(runs[p.name])).median})
	}
	d.chart = append(d.chart, group)
	d.printf("\n## The built Collector under load\n\nW1 over OTLP/HTTP protobuf; %d connections, each sending its next request as soon as the last one is answered; %d events per run after %d to warm up; the sink is a process of its own. "+
		"Each run is a new process with nothing on disk, and %s. Collections are per run; peak is the highest resident memory of any run; lost is the sum over all runs.\n",
		loadConnections, loadFactor*o.Batches*batchSize, warmBatches*batchSize, strings.Join(goDefault, " "))
	d.loads(plain, runs)
	against := func(base string) func(name string) ranged {
		return func(name string) ranged { return ratio(cpus(runs[base]), cpus(runs[name])) }
	}
	d.targetRatio("whole / "+nothingName, against(nothingName)(wholeName), 1.45, false)
	d.targetRatio("whole / "+jsonName, against(jsonName)(wholeName), 0.38, false)
	d.targetRatio("with the ledger and receipts / without de-duplication", against(bareName)(wholeName), 1.15, false)
	d.targetRatio("with an unwatched tap / whole", against(wholeName)(tapName), 1.03, false)
	d.targetRatio("with a watched tap / whole", against(wholeName)(watchedName), 1.08, false)
	d.targetRatio("with diagnostics / whole", against(wholeName)(countedName), 1.08, false)
	if o.Before != "" {
		r := against(beforeName)(wholeName)
		d.printf("\nwhole / %s: %.3g (%.3g..%.3g).\n", beforeName, r.median, r.low, r.high)
	}
	d.printf("\n### At equal heap\n\nHow often Go collects garbage depends on how much is live: a Collector that keeps almost nothing collects all the time, and pays for it. So the same pipelines run again with %s, where all of "+
		"them collect at the same heap size. These ratios have no target.\n", strings.Join(equalHeap, " "))
	d.loads(equal, runs)
}

// garbage compares settings of the garbage collector, as deployments have them.
func garbage(o cmdline.Options, d *document) (err error) {
	to, err := startSink()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, to.stop()) }()
	var list []pipeline
	var names []string
	for _, gogc := range []string{"100", "200", "400"} {
		name := "`GOGC=" + gogc + "`"
		list = append(list, pipeline{
			name: name, binary: o.Collector, processors: "amplitude_experiment: {}", exporter: amplitudeExporter(to), env: []string{"GOGC=" + gogc, "GOMEMLIMIT=800MiB"},
		})
		names = append(names, name)
	}
	runs, err := runPipelines(o, to, list)
	if err != nil {
		return err
	}
	d.printf("\n%d events over %d connections at full load, with `GOMEMLIMIT=800MiB`:\n", loadFactor*o.Batches*batchSize, loadConnections)
	d.loads(names, runs)
	return nil
}
