// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/otelcol-amplitude/otelcol-amplitude/bench/cmdline"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/loopback"
)

const (
	loadRounds      = 3
	loadBatches     = 300
	warmBatches     = 50
	loadConnections = 4
	drainTime       = time.Minute
	ticksPerSecond  = 100 // of the times in /proc, on every Linux that Go runs on
)

// pipeline is one configuration of the same Collector.
type pipeline struct {
	name       string
	processors string
	exporter   string
	counted    bool // its events arrive at the sink
}

// pipelines are compared end to end; the last one is the floor that is not ours.
func pipelines(to *sink) []pipeline {
	queue := "sending_queue: {queue_size: 64, sizer: requests, block_on_overflow: true, batch: null"
	return []pipeline{
		{"amplitude_experiment → amplitude", "amplitude_experiment: {}", "amplitude: {api_key: bench, endpoint: " + to.url + "/2/httpapi, compression: none}", true},
		{
			"transform → otlp_http JSON", transformYAML(),
			"otlp_http: {endpoint: " + to.url + ", encoding: json, compression: none, " + queue + "}}", true,
		},
		{
			"transform → otlp_http protobuf", transformYAML(),
			"otlp_http: {endpoint: " + to.url + ", encoding: proto, compression: none, " + queue + "}}", true,
		},
		{"receiver → nothing", "", "nop: {}", false},
	}
}

func transformYAML() string {
	var b strings.Builder
	b.WriteString("transform:\n    error_mode: propagate\n    log_statements:\n      - context: log\n        conditions: ['" + transformCondition + "']\n        statements:\n")
	for _, s := range transformStatements {
		fmt.Fprintf(&b, "          - '%s'\n", s)
	}
	return strings.TrimSuffix(b.String(), "\n")
}

func (p *pipeline) config(otlp, metrics string) string {
	uses, processors := "", ""
	if p.processors != "" {
		processors = "processors:\n  " + p.processors + "\n"
		uses = strings.SplitN(p.processors, ":", 2)[0]
	}
	host, port, _ := strings.Cut(metrics, ":")
	return fmt.Sprintf(`receivers:
  otlp: {protocols: {http: {endpoint: %q}}}
%sexporters:
  %s
service:
  telemetry:
    logs: {level: warn}
    metrics: {readers: [{pull: {exporter: {prometheus: {host: %q, port: %s}}}}]}
  pipelines:
    logs: {receivers: [otlp], processors: [%s], exporters: [%s]}
`, otlp, processors, p.exporter, host, port, uses, strings.SplitN(p.exporter, ":", 2)[0])
}

// load is what one run of a pipeline showed.
type load struct {
	cpu    time.Duration // per event
	rate   float64       // events per second
	rss    int           // highest, in MiB
	missed int
}

func endToEnd(o cmdline.Options, d *document) error {
	if o.Collector == "" {
		return nil
	}
	bodies, err := encodeLoad()
	if err != nil {
		return err
	}
	to, err := startSink()
	if err != nil {
		return err
	}
	compared := pipelines(to)
	runs := make([][]load, len(compared))
	for range loadRounds {
		for i := range compared {
			one, err := runPipeline(o.Collector, &compared[i], to, bodies)
			if err != nil {
				return errors.Join(fmt.Errorf("%s: %w", compared[i].name, err), to.stop())
			}
			runs[i] = append(runs[i], one)
		}
	}
	d.endToEnd(compared, runs)
	return to.stop()
}

func (d *document) endToEnd(compared []pipeline, runs [][]load) {
	d.printf("\n## The built Collector under load\n\nW1 over OTLP/HTTP protobuf, %d connections as fast as they are answered, %d events a run, %d interleaved\nruns of fresh processes, a sink in a process of its own. Medians; loss is the sum.\n\n"+
		"| pipeline | CPU ns/event | range | events/s, cores shared with generator and sink | RSS MiB | lost |\n|---|--:|---|--:|--:|--:|\n",
		loadConnections, loadBatches*batchSize, loadRounds)
	medians := make([]float64, len(runs))
	group := chartGroup{name: "Built Collector, W1"}
	for i, list := range runs {
		slices.SortFunc(list, func(a, b load) int { return int(a.cpu - b.cpu) })
		middle, lost := list[len(list)/2], 0
		for _, one := range list {
			lost += one.missed
		}
		medians[i] = float64(middle.cpu.Nanoseconds())
		d.printf("| %s | %d | %d..%d | %.0f | %d | %d |\n", compared[i].name, middle.cpu.Nanoseconds(), list[0].cpu.Nanoseconds(),
			list[len(list)-1].cpu.Nanoseconds(), middle.rate, middle.rss, lost)
		group.bars = append(group.bars, chartBar{compared[i].name, medians[i]})
	}
	d.chart = append(d.chart, group)
	const ofTransform, ofFloor = 0.33, 1.3
	floor := medians[len(medians)-1]
	d.target("ours / transform → otlp_http JSON", medians[0]/medians[1], ofTransform, false)
	d.target("ours / receiver → nothing", medians[0]/floor, ofFloor, false)
	d.printf("\nBeyond receiver → nothing, ours takes %.0f ns an event. The two targets leave %.0f and %.0f ns for shaping, remembering,\nqueueing, encoding and sending; compare with what otlp_http protobuf takes above to encode and send alone.\n",
		medians[0]-floor, ofTransform*medians[1]-floor, ofFloor*floor-floor)
}

// encodeLoad encodes all batches before anything is measured.
func encodeLoad() ([][]byte, error) {
	bodies := make([][]byte, warmBatches+loadBatches)
	for i := range bodies {
		var err error
		if bodies[i], err = (&plog.ProtoMarshaler{}).MarshalLogs(w1.batch(nil, i)); err != nil {
			return nil, err
		}
	}
	return bodies, nil
}

func runPipeline(binary string, p *pipeline, to *sink, bodies [][]byte) (result load, err error) {
	otlp, err := loopback.FreeAddress()
	if err != nil {
		return load{}, err
	}
	metrics, err := loopback.FreeAddress()
	if err != nil {
		return load{}, err
	}
	folder, err := os.MkdirTemp("", "bench")
	if err != nil {
		return load{}, err
	}
	defer func() { _ = os.RemoveAll(folder) }() // the system clears it otherwise
	file := filepath.Join(folder, "config.yaml")
	if err := os.WriteFile(file, []byte(p.config(otlp, metrics)), 0o600); err != nil {
		return load{}, err
	}
	var said bytes.Buffer
	cmd := exec.Command(binary, "--config", file) //nolint:gosec // the Collector to measure
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		return load{}, err
	}
	defer func() {
		stop := errors.Join(cmd.Process.Signal(syscall.SIGTERM), cmd.Wait())
		if err = errors.Join(err, stop); err != nil {
			err = fmt.Errorf("%w\n%s", err, said.String())
		}
	}()
	if err := waitFor(drainTime, func() (bool, error) {
		connection, err := net.Dial("tcp", otlp)
		if err == nil {
			err = connection.Close()
		}
		return err == nil, nil
	}); err != nil {
		return load{}, err
	}
	arrived, err := to.count()
	if err != nil {
		return load{}, err
	}
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: loadConnections}, Timeout: drainTime}
	defer client.CloseIdleConnections()
	url := "http://" + otlp + "/v1/logs"
	drain := func(batches int) (missed int, err error) {
		if !p.counted {
			return 0, nil
		}
		err = waitFor(drainTime, func() (bool, error) {
			n, err := to.count()
			missed = arrived + batches*batchSize - n
			return missed <= 0, err
		})
		if errors.Is(err, context.DeadlineExceeded) {
			err = nil // what has not arrived by now is lost, and reported
		}
		return missed, err
	}
	if err := post(client, url, bodies[:warmBatches]); err != nil {
		return load{}, err
	}
	if _, err := drain(warmBatches); err != nil {
		return load{}, err
	}
	before, _, err := usage(cmd.Process.Pid)
	if err != nil {
		return load{}, err
	}
	start := time.Now()
	if err := post(client, url, bodies[warmBatches:]); err != nil {
		return load{}, err
	}
	missed, err := drain(len(bodies))
	if err != nil {
		return load{}, err
	}
	wall := time.Since(start)
	after, rss, err := usage(cmd.Process.Pid)
	return load{
		cpu: (after - before) / (loadBatches * batchSize), rate: loadBatches * batchSize / wall.Seconds(), rss: rss, missed: missed,
	}, err
}

// post sends all bodies over a few connections and fails if one is not accepted.
func post(client *http.Client, url string, bodies [][]byte) error {
	queue := make(chan []byte, len(bodies))
	for _, body := range bodies {
		queue <- body
	}
	close(queue)
	errs := make([]error, loadConnections)
	var senders sync.WaitGroup
	for i := range errs {
		senders.Go(func() {
			for body := range queue {
				answer, err := client.Post(url, "application/x-protobuf", bytes.NewReader(body))
				if err != nil {
					errs[i] = err
					return
				}
				_, err = io.Copy(io.Discard, answer.Body)
				if errs[i] = errors.Join(err, answer.Body.Close()); errs[i] != nil {
					return
				}
				if answer.StatusCode != http.StatusOK {
					errs[i] = fmt.Errorf("the Collector answered %s", answer.Status)
					return
				}
			}
		})
	}
	senders.Wait()
	return errors.Join(errs...)
}

// usage reads the CPU time and the highest resident memory, in MiB, of a process.
func usage(pid int) (cpu time.Duration, rss int, err error) {
	folder := filepath.Join("/proc", strconv.Itoa(pid))
	stat, err := os.ReadFile(filepath.Join(folder, "stat")) //nolint:gosec // of a process that was started here
	if err != nil {
		return 0, 0, err
	}
	// The name of the program, in parentheses, may hold spaces; the times are fields 14 and 15 of all.
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	for _, text := range fields[11:13] {
		ticks, err := strconv.Atoi(text)
		if err != nil {
			return 0, 0, err
		}
		cpu += time.Duration(ticks) * time.Second / ticksPerSecond
	}
	status, err := os.ReadFile(filepath.Join(folder, "status")) //nolint:gosec // as above
	if err != nil {
		return 0, 0, err
	}
	for line := range strings.Lines(string(status)) {
		for _, name := range []string{"VmHWM:", "VmRSS:"} {
			if text, ok := strings.CutPrefix(line, name); ok {
				kib, err := strconv.Atoi(strings.Fields(text)[0])
				if err != nil {
					return 0, 0, err
				}
				rss = max(rss, kib/1024)
			}
		}
	}
	return cpu, rss, nil
}

func waitFor(limit time.Duration, done func() (bool, error)) error {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		if ok, err := done(); ok || err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
