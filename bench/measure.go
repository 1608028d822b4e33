// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"syscall"
	"time"

	"go.opentelemetry.io/collector/pdata/plog"
)

// contender is one way of doing the work of a workload.
type contender struct {
	name string
	// note says what it does not do, if anything.
	note string
	// consume handles one batch; it may change it.
	consume func(context.Context, plog.Logs) error
	// flush, if there is one, does at the end of a round what the contender has put off.
	flush func() error
	// decode says that it is the decoding itself that is timed; consume is not called.
	decode bool
}

// figures are per record: CPU time of the whole process, garbage collection included, of each
// round, and exact allocations.
type figures struct {
	contender
	rounds        []time.Duration
	allocs, bytes float64
}

func (f *figures) median() time.Duration {
	sorted := slices.Sorted(slices.Values(f.rounds))
	return sorted[len(sorted)/2]
}

// spread is the range from the best round to the third quartile.
func (f *figures) spread() (low, high time.Duration) {
	sorted := slices.SortedFunc(slices.Values(f.rounds), cmp.Compare[time.Duration])
	return sorted[0], sorted[len(sorted)*3/4]
}

// compareAll runs the contenders in turn, round by round, so that what disturbs the machine disturbs
// all of them. Each batch is decoded right before it is timed, as in a Collector.
func compareAll(w workload, contenders []contender, rounds, batches int) ([]figures, error) {
	results := make([]figures, len(contenders))
	serials := make([]int, len(contenders))
	for i, c := range contenders {
		results[i].contender = c
	}
	for round := range rounds + 1 {
		for i := range results {
			cpu, allocs, bytes, err := runRound(w, &results[i].contender, serials[i], batches, round == 0)
			if err != nil {
				return nil, fmt.Errorf("%s on %s: %w", results[i].name, w.name, err)
			}
			serials[i] += batches
			if round == 0 {
				// Not timed: maps grow, pools fill, and counting allocations stops the world each time.
				results[i].allocs, results[i].bytes = allocs, bytes
				continue
			}
			results[i].rounds = append(results[i].rounds, cpu)
		}
	}
	return results, nil
}

// runRound times the batches one by one, or counts the allocations of the second half of them.
func runRound(w workload, c *contender, serial, batches int, count bool) (cpu time.Duration, allocs, bytes float64, err error) {
	random := rand.New(rand.NewPCG(1, uint64(serial))) //nolint:gosec // the same in every run
	encoded := make([][]byte, batches)
	for i := range encoded {
		if encoded[i], err = (&plog.ProtoMarshaler{}).MarshalLogs(w.batch(random, serial+i)); err != nil {
			return 0, 0, 0, err
		}
	}
	runtime.GC()
	ctx := context.Background()
	unmarshaler := plog.ProtoUnmarshaler{}
	work := func(logs plog.Logs, body []byte) (err error) {
		if c.decode {
			_, err = unmarshaler.UnmarshalLogs(body)
			return err
		}
		return c.consume(ctx, logs)
	}
	counted := 0
	for i, body := range encoded {
		logs, err := unmarshaler.UnmarshalLogs(body)
		if err != nil {
			return 0, 0, 0, err
		}
		if count && i >= batches/2 {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			err = work(logs, body)
			runtime.ReadMemStats(&after)
			allocs += float64(after.Mallocs - before.Mallocs)
			bytes += float64(after.TotalAlloc - before.TotalAlloc)
			counted += batchSize
		} else {
			start := cpuTime()
			err = work(logs, body)
			cpu += cpuTime() - start
		}
		if err != nil {
			return 0, 0, 0, err
		}
	}
	if c.flush != nil {
		start := cpuTime()
		err := c.flush()
		cpu += cpuTime() - start
		if err != nil {
			return 0, 0, 0, err
		}
	}
	records := float64(max(counted, 1))
	return cpu / time.Duration(batches*batchSize), allocs / records, bytes / records, nil
}

// cpuTime is what this process has used, in user and system mode, on all cores.
func cpuTime() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		panic(err) // cannot happen with these arguments
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
