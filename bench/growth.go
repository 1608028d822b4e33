// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"math/rand/v2"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/otelcol-amplitude/otelcol-amplitude/bench/cmdline"
)

// curve is the cost of a record against the size of something that can be large.
type curve struct {
	of, note string
	sizes    []int
	work     func(size int) workload
	maker    maker
}

// growthBatches are in a round of a size.
const growthBatches = 20

func growth(o cmdline.Options, d *document) error {
	d.printf("\n## Cost against size\n\nThe sizes in a table are measured in turn, round by round. \"Per additional one\" is the difference from the row above, divided by the difference in size: " +
		"where the cost grows linearly, it is constant.\n")
	batchesOf := func(batch func(size int) func(*rand.Rand, int) plog.Logs) func(int) workload {
		return func(size int) workload { return workload{batches: growthBatches, batch: batch(size)} }
	}
	for _, c := range []curve{
		{of: "Attributes besides the five that are read", sizes: []int{4, 16, 64, 256}, work: batchesOf(exposures), maker: ours},
		{of: "Distinct flags", sizes: []int{10, 50, 500, 1500}, work: batchesOf(func(n int) func(*rand.Rand, int) plog.Logs { return exposuresOf(batchSize, n) }), maker: ours},
		{
			of: "Flags in one assignment", sizes: []int{1, 10, 50, 100, 200, 500, 1000}, work: batchesOf(assignments), maker: ours,
			note: fmt.Sprintf("Each batch has %d flags in total, and at most %d assignments, so that no row fits the CPU caches better than another.", flagsPerBatch, batchSize),
		},
		{of: "Event properties that the exporter encodes", sizes: []int{4, 16, 64, 256}, work: batchesOf(eventsWith), maker: dryRun()},
		{
			of: "Records in a batch", sizes: []int{1, 10, 100, 1000, 8000}, maker: ours, note: "A batch has a fixed cost, which a small batch spreads over few records.",
			work: func(size int) workload {
				return workload{batches: growthBatches * batchSize / size, batch: exposuresOf(size, flags)}
			},
		},
	} {
		if err := c.measure(o, d); err != nil {
			return fmt.Errorf("%s: %w", c.of, err)
		}
	}
	return nil
}

// measure prints a curve, with what one more of the thing costs from the row before, compared round by round.
func (c *curve) measure(o cmdline.Options, d *document) error {
	makers := make([]maker, len(c.sizes))
	for i, size := range c.sizes {
		makers[i] = on(c.work(size), c.maker)
	}
	results, err := measure(o, workload{}, makers)
	if err != nil {
		return err
	}
	d.printf("\n| %s | CPU ns/record | range | per additional one | range | allocations |\n|--:|--:|---|--:|---|--:|\n", c.of)
	for i, size := range c.sizes {
		cpu, more, moreRange := results[i].cpu(), "", ""
		if i > 0 {
			each := make([]float64, len(results[i].rounds))
			for round := range each {
				each[round] = (results[i].rounds[round] - results[i-1].rounds[round]) / float64(size-c.sizes[i-1])
			}
			r := rangeOf(each)
			more, moreRange = fmt.Sprintf("%.1f", r.median), fmt.Sprintf("%.1f..%.1f", r.low, r.high)
		}
		d.printf("| %d | %s | %s | %s | %.2f |\n", size, cpu.cells(), more, moreRange, results[i].allocs)
	}
	if c.note != "" {
		d.printf("\n%s\n", c.note)
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
			record.SetTimestamp(pcommon.NewTimestampFromTime(e.at))
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
