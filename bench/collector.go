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
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/cleanenv"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/loopback"
)

const (
	loadConnections = 4
	patience        = 2 * time.Minute
	ticksPerSecond  = 100 // of the times in /proc, on every Linux that Go runs on
)

// running is a Collector as a process.
type running struct {
	cmd          *exec.Cmd
	said         *output
	url, metrics string
	client       *http.Client
	// started is how long it took until it listened.
	started time.Duration
}

// output is what a process writes. GODEBUG=gctrace=1 makes that a line for each garbage collection.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

var collection = regexp.MustCompile(`(?m)^gc \d+ @`)

func (o *output) collections() int { return len(collection.FindAllString(o.String(), -1)) }

// startCollector runs a Collector with a configuration and waits until it listens. In the configuration ADDRESS is where OTLP/HTTP is
// received, HOST and PORT are where metrics are served.
func startCollector(binary, config, folder string, env ...string) (*running, error) {
	otlp, err := loopback.FreeAddress()
	if err != nil {
		return nil, err
	}
	metrics, err := loopback.FreeAddress()
	if err != nil {
		return nil, err
	}
	host, port, err := net.SplitHostPort(metrics)
	if err != nil {
		return nil, err
	}
	config = strings.NewReplacer("ADDRESS", otlp, "HOST", host, "PORT", port).Replace(config)
	file := filepath.Join(folder, "config.yaml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		return nil, err
	}
	r := &running{
		cmd: exec.Command(binary, "--config", file), said: &output{}, url: "http://" + otlp + "/v1/logs", metrics: "http://" + metrics + "/metrics", //nolint:gosec // the Collector to measure
		client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: loadConnections}, Timeout: patience},
	}
	r.cmd.Env = cleanenv.Environ(append([]string{"GODEBUG=gctrace=1"}, env...)...)
	r.cmd.Stdout, r.cmd.Stderr = r.said, r.said
	begin := time.Now()
	if err := r.cmd.Start(); err != nil {
		return nil, err
	}
	if err := waitFor(func() (bool, error) {
		connection, err := net.Dial("tcp", otlp)
		if err == nil {
			err = connection.Close()
		}
		return err == nil, nil
	}); err != nil {
		return nil, errors.Join(fmt.Errorf("the Collector did not start: %w\n%s", err, r.said), r.kill())
	}
	r.started = time.Since(begin)
	return r, nil
}

// settle waits until nothing is left in the exporter's queue: what has arrived may still wait for its answer.
func (r *running) settle() error {
	return waitFor(func() (bool, error) {
		answer, err := r.client.Get(r.metrics)
		if err != nil {
			return false, err
		}
		text, err := io.ReadAll(answer.Body)
		return emptyQueue.Match(text), errors.Join(err, answer.Body.Close())
	})
}

var emptyQueue = regexp.MustCompile(`(?m)^otelcol_exporter_queue_size\{.*\} 0$`)

// stop ends the Collector as a service manager does.
func (r *running) stop() error {
	r.client.CloseIdleConnections()
	if err := errors.Join(r.cmd.Process.Signal(syscall.SIGTERM), r.cmd.Wait()); err != nil {
		return fmt.Errorf("%w\n%s", err, r.said)
	}
	return nil
}

// kill ends it as a power cut does.
func (r *running) kill() error {
	r.client.CloseIdleConnections()
	if err := r.cmd.Process.Kill(); err != nil {
		return err
	}
	_ = r.cmd.Wait() // it says that it was killed
	return nil
}

// post sends all bodies over a few connections and fails if one is not accepted.
func (r *running) post(bodies [][]byte) error {
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
				answer, err := r.client.Post(r.url, "application/x-protobuf", bytes.NewReader(body))
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

// load is what one run showed.
type load struct {
	cpu         float64 // ns per event
	rate        float64 // events per second
	collections int
	peak        int // highest resident memory since the start of the process, in MiB
	missed      int // negative if more arrived than was sent
}

// measure posts bodies and waits until their events are at the sink, unless none arrive there. What has not arrived in time is lost.
func (r *running) measure(bodies [][]byte, to *sink, arrive bool) (load, error) {
	return r.measured(bodies, to, func(arrived int) error {
		if !arrive {
			return nil
		}
		if _, err := to.await(arrived + len(bodies)*batchSize); err != nil {
			return err
		}
		return r.settle()
	})
}

// measureSettled posts bodies and waits until all that comes of them has left the Collector, however much that is.
func (r *running) measureSettled(bodies [][]byte, to *sink) (load, error) {
	return r.measured(bodies, to, func(int) error { return r.settle() })
}

func (r *running) measured(bodies [][]byte, to *sink, wait func(arrived int) error) (load, error) {
	events := len(bodies) * batchSize
	arrived, err := to.count()
	if err != nil {
		return load{}, err
	}
	before, _, err := r.usage()
	if err != nil {
		return load{}, err
	}
	collected, start := r.said.collections(), time.Now()
	if err := errors.Join(r.post(bodies), wait(arrived)); err != nil {
		return load{}, err
	}
	wall := time.Since(start)
	after, peak, err := r.usage()
	if err != nil {
		return load{}, err
	}
	now, err := to.count()
	return load{
		cpu: float64((after - before).Nanoseconds()) / float64(events), rate: float64(events) / wall.Seconds(),
		collections: r.said.collections() - collected, peak: peak, missed: arrived + events - now,
	}, err
}

// usage reads the CPU time and the highest resident memory, in MiB, of the process.
func (r *running) usage() (cpu time.Duration, peak int, err error) {
	folder := filepath.Join("/proc", strconv.Itoa(r.cmd.Process.Pid))
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
		if text, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kib, err := strconv.Atoi(strings.Fields(text)[0])
			return cpu, kib / 1024, err
		}
	}
	return cpu, 0, errors.New("the system does not tell the highest resident memory")
}

// encodeLoad encodes W1's batches before anything is measured.
func encodeLoad(first, batches int) ([][]byte, error) {
	bodies := make([][]byte, batches)
	for i := range bodies {
		var err error
		if bodies[i], err = (&plog.ProtoMarshaler{}).MarshalLogs(w1.batch(nil, first+i)); err != nil {
			return nil, err
		}
	}
	return bodies, nil
}

// inFolder runs something with a folder of its own.
func inFolder(run func(folder string) error) error {
	folder, err := os.MkdirTemp("", "bench")
	if err != nil {
		return err
	}
	return errors.Join(run(folder), os.RemoveAll(folder))
}

func waitFor(done func() (bool, error)) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
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
