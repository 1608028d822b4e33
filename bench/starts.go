// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/otelcol-amplitude/otelcol-amplitude/bench/cmdline"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/docblock"
)

// onDisk keeps the queue and the memory on disk, as deployments do, but without waiting for the disk.
func onDisk(binary, folder string, to *sink, queueSize int) *pipeline {
	return &pipeline{
		binary: binary, processors: "amplitude_experiment: {dedup: {storage: file_storage}}",
		exporter: fmt.Sprintf("amplitude: {api_key: bench, endpoint: %s/2/httpapi, compression: none, sending_queue: {storage: file_storage, queue_size: %d}, dead_letter: {path: %s}}",
			to.url, queueSize, filepath.Join(folder, "letters.jsonl")),
		extensions: "file_storage: {directory: " + filepath.Join(folder, "storage") + ", create_directory: true}", env: goDefault,
	}
}

// Kinds of starts.
const firstStart, cleanStart, killedStart = "first start", "after a clean stop", "after a kill"

// starts compares what follows on a first start, on a clean stop, and on a kill: how long a Collector takes to start, what the repeats of what it
// had before cost then, and what new events do.
func starts(o cmdline.Options, d *document) (err error) {
	to, err := startSink()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, to.stop()) }()
	earlier, err := encodeLoad(0, o.Batches)
	if err != nil {
		return err
	}
	const aDay = users * flags / batchSize // batches until the same persons come again
	bodies, err := encodeLoad(aDay, o.Batches)
	if err != nil {
		return err
	}
	kinds := []string{firstStart, cleanStart, killedStart}
	fresh, repeated, seconds := map[string][]load{}, map[string][]load{}, map[string][]float64{}
	for range o.Rounds {
		for _, kind := range kinds {
			err := inFolder(func(folder string) error {
				r, err := startAgain(o, kind, folder, to, earlier)
				if err != nil {
					return err
				}
				seconds[kind] = append(seconds[kind], r.started.Seconds())
				if kind != firstStart {
					again, err := r.measureSettled(earlier, to)
					if err != nil {
						return errors.Join(err, r.stop())
					}
					repeated[kind] = append(repeated[kind], again)
				}
				one, err := r.measure(bodies, to, true)
				fresh[kind] = append(fresh[kind], one)
				return errors.Join(err, r.stop())
			})
			if err != nil {
				return fmt.Errorf("%s: %w", kind, err)
			}
		}
	}
	d.printf("\n## First start, clean start, and after a kill\n\nQueue and memory on disk, without fsync. One process took %d exposures and was stopped or killed. The next one gets the same exposures again, as repeats. "+
		"Then that process, and one with an empty disk, get as many new exposures, of the same users and flags a day later.\n\n"+
		"| | time to listen, s | range | CPU ns per repeat | events delivered per repeat |\n|---|--:|---|--:|--:|\n", o.Batches*batchSize)
	for _, kind := range kinds {
		r := rangeOf(seconds[kind])
		d.printf("| %s | %.2f | %.2f..%.2f | ", kind, r.median, r.low, r.high)
		if runs := repeated[kind]; len(runs) > 0 {
			last := runs[len(runs)-1]
			d.printf("%s | %.2f |\n", docblock.Grouped(rangeOf(cpus(runs)).median), 1-float64(last.missed)/float64(o.Batches*batchSize))
		} else {
			d.printf("| |\n")
		}
	}
	d.printf("\nThe new exposures:\n")
	d.loads(kinds, fresh)
	d.printf("\nThe targets on this page hold for a first start and for one after a clean stop. After a kill, the processor does not trust its record of what Amplitude holds, so the first repeat for each user and flag sets the property again with a `$identify`.\n")
	return nil
}

// startAgain starts a Collector on what one before it has left, if it is not the first.
func startAgain(o cmdline.Options, kind, folder string, to *sink, earlier [][]byte) (*running, error) {
	p := onDisk(o.Collector, folder, to, queueAtStarts)
	start := func() (*running, error) { return startCollector(p.binary, p.config(), folder, p.env...) }
	if kind == firstStart {
		return start()
	}
	before, err := start()
	if err != nil {
		return nil, err
	}
	_, err = before.measure(earlier, to, true)
	end := before.stop
	if kind == killedStart {
		end = before.kill
	}
	if err = errors.Join(err, end()); err != nil {
		return nil, err
	}
	return start()
}

// queueAtStarts never fills.
const queueAtStarts = 2_000_000

// queueOnDisk fills a queue on disk while the other end is away, and starts again with it.
func queueOnDisk(o cmdline.Options, d *document) (err error) {
	to, err := startSink()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, to.stop()) }()
	d.printf("\n## A queue on disk\n\nW1's events arrive while Amplitude is down, wait on disk (without fsync), and are delivered when it is back. The starts are with a full queue. " +
		"The peak includes the memory-mapped pages of the file, which the system reclaims when it needs them.\n\n" +
		"| events in the queue | bytes on disk per event | CPU ns/event to store | peak MiB | start after a clean stop, s | start after a kill, s | CPU ns/event to deliver | events/s delivered | lost |\n|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n")
	for n := 10_000; n <= o.Events; n *= 10 {
		if err := inFolder(func(folder string) error { return queueOf(o, d, to, folder, n) }); err != nil {
			return fmt.Errorf("%d events: %w", n, err)
		}
	}
	return nil
}

func queueOf(o cmdline.Options, d *document, to *sink, folder string, n int) error {
	bodies, err := encodeLoad(0, n/batchSize)
	if err != nil {
		return err
	}
	arrived, err := to.count()
	if err != nil {
		return err
	}
	p := onDisk(o.Collector, folder, to, 2*n)
	start := func() (*running, error) { return startCollector(p.binary, p.config(), folder, p.env...) }
	if err := to.setAway(true); err != nil {
		return err
	}
	filling, err := start()
	if err != nil {
		return err
	}
	keeping, err := filling.measure(bodies, to, false)
	if err = errors.Join(err, filling.stop()); err != nil {
		return err
	}
	size, err := sizeOf(filepath.Join(folder, "storage"))
	if err != nil {
		return err
	}
	stopped, err := start()
	if err != nil {
		return err
	}
	if err := stopped.kill(); err != nil {
		return err
	}
	delivering, err := start()
	if err != nil {
		return err
	}
	missed, cpu, rate := 0, 0.0, 0.0
	deliver := func() error {
		before, _, err := delivering.usage()
		if err != nil {
			return err
		}
		if err := to.setAway(false); err != nil {
			return err
		}
		since := time.Now()
		if missed, err = to.await(arrived + n); err != nil {
			return err
		}
		rate = float64(n) / time.Since(since).Seconds()
		after, _, err := delivering.usage()
		cpu = float64((after - before).Nanoseconds()) / float64(n)
		return err
	}
	if err := errors.Join(deliver(), delivering.stop()); err != nil {
		return err
	}
	d.printf("| %s | %s | %s | %d | %.2f | %.2f | %s | %s | %d |\n", docblock.Grouped(n), docblock.Grouped(size/int64(n)), docblock.Grouped(keeping.cpu), keeping.peak,
		stopped.started.Seconds(), delivering.started.Seconds(), docblock.Grouped(cpu), docblock.Grouped(rate), missed)
	return nil
}

// sizeOf is what the files of a folder take.
func sizeOf(folder string) (size int64, err error) {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return 0, err
	}
	for _, entry := range entries {
		file, err := entry.Info()
		if err != nil {
			return 0, err
		}
		size += file.Size()
	}
	return size, nil
}
