// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"time"

	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/processor"

	"github.com/otelcol-amplitude/otelcol-amplitude/bench/cmdline"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/docblock"
	"github.com/otelcol-amplitude/otelcol-amplitude/processor/amplitudeexperimentprocessor"
)

// personFlag and its variant are what each person is exposed to.
const personFlag, personVariant = "experiment-00", "variant-0"

// repeatBatches are timed of what is remembered.
const repeatBatches = 200

// persons fills the memory with persons and then asks for known ones at random, and for new ones.
func persons(o cmdline.Options, d *document) error {
	d.printf("\n## Users in memory\n\nEach user has one flag. Repeats are from users picked at random, so that lookups hit the whole table.\n\n" +
		"| users | heap bytes each | CPU ns to add one | CPU ns per repeat, 1 core | range | repeats per second: 2 cores / 1 core |\n|--:|--:|--:|--:|---|--:|\n")
	perPerson := 0.0
	for n := 10_000; n <= o.Persons; n *= 10 {
		var err error
		if perPerson, err = remembered(o, d, n); err != nil {
			return err
		}
	}
	d.target("Heap bytes per user, largest table", perPerson, 72)
	return nil
}

// remembered measures a memory of n persons and returns the heap bytes of each.
func remembered(o cmdline.Options, d *document, n int) (perPerson float64, err error) {
	before := heap()
	p, err := newProcessor(amplitudeexperimentprocessor.NewFactory(), map[string]any{"dedup": map[string]any{"max_entries": 2 * n}}, consumertest.NewNop())
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, p.Shutdown(context.Background())) }()
	var filling time.Duration
	for first := 0; first < n; first += batchSize {
		cpu, err := consumeTimed(p, personBatch(func(i int) int { return first + i }))
		if err != nil {
			return 0, err
		}
		filling += cpu
	}
	perPerson = float64(heap()-before) / float64(n)

	random := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // the same in every run
	fill := func(batches int) []plog.Logs {
		list := make([]plog.Logs, batches)
		for i := range list {
			list[i] = personBatch(func(int) int { return random.IntN(n) })
		}
		return list
	}
	var each, speedup []float64
	for range o.Rounds {
		var one time.Duration
		list := fill(repeatBatches)
		wall, cpu := time.Now(), cpuTime()
		for _, logs := range list {
			if err := p.ConsumeLogs(context.Background(), logs); err != nil {
				return 0, err
			}
		}
		cpu, one = cpuTime()-cpu, time.Since(wall)
		each = append(each, float64(cpu.Nanoseconds())/(repeatBatches*batchSize))
		two, err := onTwoCores(p, fill(repeatBatches))
		if err != nil {
			return 0, err
		}
		speedup = append(speedup, one.Seconds()/two.Seconds())
	}
	repeat := rangeOf(each)
	d.printf("| %s | %.1f | %s | %s | %.2f |\n", docblock.Grouped(n), perPerson, docblock.Grouped(filling.Nanoseconds()/int64(n)), repeat.cells(), rangeOf(speedup).median)
	runtime.KeepAlive(p)
	return perPerson, nil
}

// consumeTimed returns the CPU time of a batch.
func consumeTimed(p processor.Logs, logs plog.Logs) (time.Duration, error) {
	start := cpuTime()
	err := p.ConsumeLogs(context.Background(), logs)
	return cpuTime() - start, err
}

// onTwoCores returns how long two workers take for the batches together.
func onTwoCores(p processor.Logs, list []plog.Logs) (time.Duration, error) {
	errs := make([]error, 2)
	var done sync.WaitGroup
	start, half := time.Now(), len(list)/2
	for worker := range errs {
		done.Go(func() {
			for _, logs := range list[worker*half : (worker+1)*half] {
				errs[worker] = errors.Join(errs[worker], p.ConsumeLogs(context.Background(), logs))
			}
		})
	}
	done.Wait()
	return time.Since(start), errors.Join(errs...)
}

func personBatch(person func(i int) int) plog.Logs {
	logs, records := newBatch()
	for i := range batchSize {
		appendExposure(records, exposure{user: fmt.Sprintf("user-%08d", person(i)), flag: personFlag, variant: personVariant, at: firstDay}, 0)
	}
	return logs
}
