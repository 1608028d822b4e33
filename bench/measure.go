// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"runtime/metrics"
	"slices"
	"syscall"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/otelcol-amplitude/otelcol-amplitude/bench/cmdline"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/docblock"
)

// contender is one way of doing the work of a workload.
type contender struct {
	name string
	// note says what it does not do, if anything.
	note string
	// work is what it gets; see measure.
	work workload
	// consume handles one batch; it may change it.
	consume func(context.Context, plog.Logs) error
	// flush, if there is one, does at the end of a round what the contender has put off.
	flush func() error
	// decode says that it is the decoding itself that is timed; consume is not called.
	decode bool
}

// maker starts a contender.
type maker func() (contender, component.Component, error)

// on gives a contender a workload of its own.
func on(w workload, m maker) maker {
	return func() (contender, component.Component, error) {
		c, started, err := m()
		c.work = w
		return c, started, err
	}
}

// figures are per record: CPU time of the whole process in each round, garbage collection included, in ns; the garbage
// collections of all rounds, of a million records; and exact allocations.
type figures struct {
	contender
	rounds        []float64
	collections   float64
	allocs, bytes float64
}

// ranged is a median, with the lowest and the highest value.
type ranged struct{ median, low, high float64 }

func rangeOf(values []float64) ranged {
	sorted := slices.Sorted(slices.Values(values))
	return ranged{sorted[len(sorted)/2], sorted[0], sorted[len(sorted)-1]}
}

// cells are two of a table: 3,566 | 3,352..3,770.
func (r ranged) cells() string {
	return fmt.Sprintf("%s | %s..%s", docblock.Grouped(r.median), docblock.Grouped(r.low), docblock.Grouped(r.high))
}

func (f *figures) cpu() ranged { return rangeOf(f.rounds) }

// ratio compares round by round, so that what disturbed a round disturbed both: how many times b's value that of a is.
func ratio(a, b []float64) ranged {
	ratios := make([]float64, len(a))
	for i := range a {
		ratios[i] = b[i] / a[i]
	}
	return rangeOf(ratios)
}

// measure starts the contenders, compares them and stops them. Those without a workload of their own get w.
func measure(o cmdline.Options, w workload, makers []maker, limits ...contender) (results []figures, err error) {
	var contenders []contender
	for _, m := range makers {
		c, started, err := m()
		if err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, started.Shutdown(context.Background())) }()
		contenders = append(contenders, c)
	}
	contenders = append(contenders, limits...)
	for i := range contenders {
		if contenders[i].work.batch == nil {
			contenders[i].work = w
		}
	}
	return compareAll(contenders, o.Rounds, o.Batches)
}

// compareAll runs the contenders in turn, round by round, so that what disturbs the machine disturbs
// all of them. Each batch is decoded right before it is timed, as in a Collector, and comes once.
func compareAll(contenders []contender, rounds, batches int) ([]figures, error) {
	results := make([]figures, len(contenders))
	for i, c := range contenders {
		results[i].contender = c
	}
	for round := range rounds + 1 {
		for i := range results {
			f, batches := &results[i], cmp.Or(results[i].work.batches, batches)
			one, err := runRound(&f.contender, round*batches, batches, round == 0)
			if err != nil {
				return nil, fmt.Errorf("%s on %s: %w", f.name, f.work.name, err)
			}
			if round == 0 {
				// Not timed: maps grow, pools fill, and counting allocations stops the world each time.
				f.allocs, f.bytes = one.allocs, one.bytes
				continue
			}
			f.rounds = append(f.rounds, float64(one.cpu.Nanoseconds())/float64(one.records))
			f.collections += float64(one.collections) * 1e6 / float64(one.records*rounds)
		}
	}
	return results, nil
}

// roundResult is what a round showed of so many records.
type roundResult struct {
	records       int
	cpu           time.Duration
	collections   uint64
	allocs, bytes float64
}

// runRound times the batches one by one, or counts the allocations of the second half of them.
func runRound(c *contender, serial, batches int, count bool) (result roundResult, err error) {
	random := rand.New(rand.NewPCG(1, uint64(serial))) //nolint:gosec // the same in every run
	encoded := make([][]byte, batches)
	for i := range encoded {
		logs := c.work.batch(random, serial+i)
		result.records += max(logs.LogRecordCount(), c.work.records)
		if encoded[i], err = (&plog.ProtoMarshaler{}).MarshalLogs(logs); err != nil {
			return result, err
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
	timed := func(do func() error) error {
		collected, start := collections(), cpuTime()
		err := do()
		result.cpu += cpuTime() - start
		result.collections += collections() - collected
		return err
	}
	counted := 0
	for i, body := range encoded {
		logs, err := unmarshaler.UnmarshalLogs(body)
		if err != nil {
			return result, err
		}
		if count && i >= batches/2 {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			err = work(logs, body)
			runtime.ReadMemStats(&after)
			result.allocs += float64(after.Mallocs - before.Mallocs)
			result.bytes += float64(after.TotalAlloc - before.TotalAlloc)
			counted++
		} else {
			err = timed(func() error { return work(logs, body) })
		}
		if err != nil {
			return result, err
		}
	}
	if c.flush != nil {
		if err := timed(c.flush); err != nil {
			return result, err
		}
	}
	if counted > 0 {
		records := float64(counted) * float64(result.records) / float64(batches)
		result.allocs, result.bytes = result.allocs/records, result.bytes/records
	}
	return result, nil
}

// cpuTime is what this process has used, in user and system mode, on all cores.
func cpuTime() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		panic(err) // cannot happen with these arguments
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// collections is how often garbage was collected in this process.
func collections() uint64 {
	sample := []metrics.Sample{{Name: "/gc/cycles/automatic:gc-cycles"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}

// heap is what is alive.
func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
