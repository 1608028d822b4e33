// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// document collects what docs/performance.md says; every word of it comes from the command.
type document struct {
	text  strings.Builder
	chart []chartGroup
}

// profiles is what pprof showed of these workloads on 2026-11-23; renew it with the code.
const profiles = `
## Where the time goes

Processor on W1, by CPU profile: writing events 35 %, reading records 34 % (half of it going over the attributes and checking them),
remembering them 16 %, deciding about repeats 14 %. No function of these components or of pdata holds more than 7 %: what is left is spread
over the checks that the rules ask for (UTF-8, white space, placeholders, lengths), pointers that pdata makes us follow, the barriers
that Go puts before each pointer written while garbage is collected, and memory that a batch of a thousand records reads twice: once
to decide, once to write. Deciding first is what makes a refused batch harmless. Of the two allocations, one is the value of the
insert_id and one that of the user property; pdata offers no way to use one again. Tried, and left out since they gain less than the
machine's noise: finding the texts that move by their position, touching the table's memory before remembering, looking at fewer
old entries, batches small enough for the second-level cache.

A repeat is spared the writing and the remembering, hence costs about three fifths of an event: it has to be read whole to be known as one.
log_dedup hashes three attributes and checks nothing, so that a factor of 14 would leave less than the reading alone takes. A
record that is not about a flag costs the look at its event name and, if it has none, at each attribute, since old conventions put the name
there; that is memory which decoding has just filled, and about what reading alone costs.

Cost grows in a straight line with attributes, flags and properties: each one more costs about the same, within the machine's
noise, which the difference of two rows shows doubled. A batch of 1,000 assignments of 50 flags and more no longer fits the cache.

Two cores share the cache and, on a machine like this one, the core: the last column of the users' table is what two workers do in
the time of one.

The bytes per user of a small state include a whole slab of 12 KiB for each of the 64 parts, and the working memory of a batch.
`

type chartGroup struct {
	name string
	bars []chartBar
}

type chartBar struct {
	name string
	ns   float64
}

func (d *document) printf(format string, args ...any) {
	fmt.Printf(format, args...)
	fmt.Fprintf(&d.text, format, args...)
}

func (d *document) head(rounds, batches int) {
	d.printf("# Performance\n\nWritten by `make bench`: change the command, not this page.\n\n"+
		"%s, %s/%s, %d cores, %s. %d interleaved rounds of %d batches of %d records. Figures are CPU time of the\n"+
		"whole process per record, garbage collection included: median [fastest round..third quartile]. Compare rows\n"+
		"of one table; a shared machine makes absolute figures wander by half.\n\n![Chart](performance.svg)\n",
		runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), time.Now().UTC().Format(time.DateOnly), rounds, batches, batchSize)
}

// suite writes the table of one workload; the first result is what the others are compared with.
func (d *document) suite(title string, results []figures) {
	d.printf("\n## %s\n\n| | CPU ns/record | range | allocations | bytes | times the first row | note |\n|---|--:|---|--:|--:|--:|---|\n", title)
	base := float64(results[0].median())
	group := chartGroup{name: title}
	for i := range results {
		r := &results[i]
		low, high := r.spread()
		d.printf("| %s | %d | %d..%d | %.2f | %.0f | %.2f | %s |\n", r.name, r.median().Nanoseconds(), low.Nanoseconds(), high.Nanoseconds(),
			r.allocs, r.bytes, float64(r.median())/base, r.note)
		group.bars = append(group.bars, chartBar{r.name, float64(r.median().Nanoseconds())})
	}
	d.chart = append(d.chart, group)
}

// target says whether a ratio is reached. Where more is better, atLeast is set.
func (d *document) target(what string, value, want float64, atLeast bool) {
	reached, sign := value <= want, "≤"
	if atLeast {
		reached, sign = value >= want, "≥"
	}
	verdict := "reached"
	if !reached {
		verdict = "**missed**"
	}
	d.printf("\n%s: %.3g, target %s %.3g: %s.\n", what, value, sign, want, verdict)
}

func (d *document) write(folder string) error {
	if err := os.WriteFile(filepath.Join(folder, "performance.md"), []byte(d.text.String()), 0o644); err != nil { //nolint:gosec // a page
		return err
	}
	return os.WriteFile(filepath.Join(folder, "performance.svg"), []byte(d.svg()), 0o644) //nolint:gosec // a picture
}

// svg draws the tables as bars, each group on a scale of its own.
func (d *document) svg() string {
	const width, left, line = 900, 300, 20
	var b strings.Builder
	height := line
	for _, g := range d.chart {
		height += line * (len(g.bars) + 2)
	}
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="12">`+"\n", width, height)
	fmt.Fprintf(&b, `<rect width="%d" height="%d" fill="#ffffff"/>`+"\n", width, height)
	y := line
	for _, g := range d.chart {
		longest := 1.0
		for _, bar := range g.bars {
			longest = max(longest, bar.ns)
		}
		fmt.Fprintf(&b, `<text x="10" y="%d" font-weight="bold">%s</text>`+"\n", y, escape(g.name))
		for i, bar := range g.bars {
			y += line
			fill := "#9aa5b1"
			if i == 0 {
				fill = "#1e61f0"
			}
			long := bar.ns / longest * (width - left - 120)
			fmt.Fprintf(&b, `<text x="%d" y="%d" text-anchor="end">%s</text>`, left-8, y, escape(bar.name))
			fmt.Fprintf(&b, `<rect x="%d" y="%d" width="%.0f" height="14" fill="%s"/>`, left, y-11, max(long, 1), fill)
			fmt.Fprintf(&b, `<text x="%.0f" y="%d">%.0f ns</text>`+"\n", left+long+6, y, bar.ns)
		}
		y += 2 * line
	}
	b.WriteString("</svg>\n")
	return b.String()
}

func escape(text string) string {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace(text)
}
