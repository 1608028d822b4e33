// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"time"

	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/otelcol-amplitude/otelcol-amplitude/bench/cmdline"
	"github.com/otelcol-amplitude/otelcol-amplitude/processor/amplitudeexperimentprocessor"
)

// growth shows the cost of a record against the size of each thing that can be large.
func growth(o cmdline.Options, d *document) error {
	d.printf("\n## Cost against size\n")
	for _, curve := range []struct {
		of    string
		sizes []int
		batch func(size int) func(*rand.Rand, int) plog.Logs
		maker maker
	}{
		{"Attributes besides the five that are read", []int{4, 16, 64}, exposures, ours},
		{"Distinct flags", []int{10, 50, 500, 1500}, func(n int) func(*rand.Rand, int) plog.Logs { return exposuresOf(batchSize, n) }, ours},
		{"Flags in one assignment", []int{1, 10, 50, 100}, assignments, ours},
		{"Event properties that the exporter encodes", []int{4, 16, 64}, eventsWith, dryRun()},
	} {
		if err := grow(o, d, curve.of, curve.sizes, curve.batch, curve.maker); err != nil {
			return err
		}
	}
	if err := batchSizes(d); err != nil {
		return err
	}
	return states(o, d)
}

// grow prints a curve, with what one more of the thing costs from the row before: on a straight line, always the same.
func grow(o cmdline.Options, d *document, of string, sizes []int, batch func(int) func(*rand.Rand, int) plog.Logs, m maker) error {
	d.printf("\n| %s | CPU ns/record | for each one more | allocations |\n|--:|--:|--:|--:|\n", of)
	last := time.Duration(0)
	for i, size := range sizes {
		results, err := measure(cmdline.Options{Rounds: max(o.Rounds, 3), Batches: min(o.Batches, 20)}, workload{"growth", "", batch(size)}, []maker{m})
		if err != nil {
			return err
		}
		best, _ := results[0].spread() // the least disturbed round: a difference of medians is mostly noise
		more := ""
		if i > 0 {
			more = fmt.Sprintf("%.1f", float64(best-last)/float64(size-sizes[i-1]))
		}
		last = best
		d.printf("| %d | %d | %s | %.2f |\n", size, best.Nanoseconds(), more, results[0].allocs)
	}
	return nil
}

// eventsWith makes exposures with so many event properties of their own, as the processor hands them on.
func eventsWith(properties int) func(*rand.Rand, int) plog.Logs {
	return func(_ *rand.Rand, serial int) plog.Logs {
		logs, records := newBatch()
		for i := range batchSize {
			e := numbered(serial*batchSize+i, flags)
			record := records.AppendEmpty()
			record.SetEventName("[Experiment] Exposure")
			record.SetTimestamp(pcommon.NewTimestampFromTime(firstDay))
			a := record.Attributes()
			a.PutStr("amplitude.user_id", e.user)
			a.PutStr("amplitude.insert_id", fmt.Sprintf("%s  %032x 20780", e.user, i))
			a.PutStr("[Experiment] Flag Key", e.flag)
			a.PutStr("[Experiment] Variant", e.variant)
			a.PutStr("amplitude.user_properties.$set.[Experiment] "+e.flag, e.variant)
			for n := range properties {
				a.PutStr(fmt.Sprintf("property.%02d", n), "some value")
			}
		}
		return logs
	}
}

// batchSizes measures batches of 1 to 8,192 records; the cost of a batch itself shows in the small ones.
func batchSizes(d *document) error {
	d.printf("\n| Records in a batch | CPU ns/record |\n|--:|--:|\n")
	for _, size := range []int{1, 10, 100, 1000, 8192} {
		c, p, err := ours()
		if err != nil {
			return err
		}
		const records = 200_000
		batch := exposuresOf(size, flags)
		var cpu time.Duration
		for serial := range max(1, records/size) {
			logs := batch(nil, serial)
			start := cpuTime()
			if err := c.consume(context.Background(), logs); err != nil {
				return err
			}
			cpu += cpuTime() - start
		}
		if err := p.Shutdown(context.Background()); err != nil {
			return err
		}
		d.printf("| %d | %d |\n", size, cpu.Nanoseconds()/int64(max(1, records/size)*size))
	}
	return nil
}

// states fills the de-duplication state with users and then asks for known ones at random.
func states(o cmdline.Options, d *document) error {
	d.printf("\n| Users in the state | heap bytes per user | CPU ns per repeat, 1 core | repeats per second: 2 cores / 1 core |\n|--:|--:|--:|--:|\n")
	perUser := 0.0
	for users := 10_000; users <= o.Users; users *= 10 {
		var err error
		if perUser, err = state(d, users); err != nil {
			return err
		}
	}
	d.target("Heap bytes per user in the largest state", perUser, 64, false)
	return nil
}

// state measures a state of so many users and returns its heap bytes per user.
func state(d *document, users int) (perUser float64, err error) {
	before := heap()
	p, err := newProcessor(amplitudeexperimentprocessor.NewFactory(),
		map[string]any{"dedup": map[string]any{"max_entries": 2 * users}}, consumertest.NewNop())
	if err != nil {
		return 0, err
	}
	ctx := context.Background()
	batchOf := func(user func(i int) int) plog.Logs {
		logs, records := newBatch()
		for i := range batchSize {
			appendExposure(records, exposure{user: fmt.Sprintf("user-%08d", user(i)), flag: "experiment-00", variant: "variant-0", at: firstDay}, 0)
		}
		return logs
	}
	for first := 0; first < users; first += batchSize {
		if err := p.ConsumeLogs(ctx, batchOf(func(i int) int { return first + i })); err != nil {
			return 0, err
		}
	}
	perUser = float64(heap()-before) / float64(users)

	const batches = 200
	random := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // the same in every run
	fill := func() []plog.Logs {
		list := make([]plog.Logs, batches)
		for i := range list {
			list[i] = batchOf(func(int) int { return random.IntN(users) })
		}
		return list
	}
	list := fill()
	start, wall := cpuTime(), time.Now()
	for _, logs := range list {
		if err := p.ConsumeLogs(ctx, logs); err != nil {
			return 0, err
		}
	}
	cpu, one := cpuTime()-start, time.Since(wall)

	list = fill()
	errs := make(chan error, 2)
	var done sync.WaitGroup
	wall = time.Now()
	for half := range 2 {
		done.Go(func() {
			for _, logs := range list[half*batches/2 : (half+1)*batches/2] {
				if err := p.ConsumeLogs(ctx, logs); err != nil {
					errs <- err
					return
				}
			}
		})
	}
	done.Wait()
	two := time.Since(wall)
	close(errs)
	for err := range errs {
		return 0, err
	}
	d.printf("| %d | %.1f | %d | %.2f |\n", users, perUser, cpu.Nanoseconds()/(batches*batchSize), float64(one)/float64(two))
	return perUser, p.Shutdown(ctx)
}

func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
