// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/docblock"
)

// document collects what one part of the benchmark says.
type document struct {
	text  strings.Builder
	chart []chartGroup
}

type chartGroup struct {
	name string
	bars []chartBar
}

type chartBar struct {
	name string
	ns   float64
}

func (d *document) printf(format string, args ...any) {
	fmt.Fprintf(&d.text, format, args...)
}

// suite writes the table of one workload; the first result is what the others are compared with.
func (d *document) suite(title string, results []figures) {
	d.printf("\n## %s\n\n| | CPU ns/record | range | times the first row | range | collections per million | allocations | bytes | note |\n|---|--:|---|--:|---|--:|--:|--:|---|\n", title)
	group := chartGroup{name: title}
	for i := range results {
		r := &results[i]
		cpu, times := r.cpu(), ratio(results[0].rounds, r.rounds)
		d.printf("| %s | %s | %.2f | %.2f..%.2f | %.1f | %.2f | %.0f | %s |\n", r.name, cpu.cells(),
			times.median, times.low, times.high, r.collections, r.allocs, r.bytes, r.note)
		group.bars = append(group.bars, chartBar{r.name, cpu.median})
	}
	d.chart = append(d.chart, group)
}

// target says whether a figure is at most what it should be.
func (d *document) target(what string, value, want float64) {
	d.printf("\n%s: %.3g, %s\n", what, value, verdict(value, want, false))
}

// targetRatio says whether a ratio is reached, by the median of its rounds. Where more is better, atLeast is set.
func (d *document) targetRatio(what string, r ranged, want float64, atLeast bool) {
	d.printf("\n%s: %.3g (%.3g..%.3g), %s\n", what, r.median, r.low, r.high, verdict(r.median, want, atLeast))
}

func verdict(value, want float64, atLeast bool) string {
	reached, sign := value <= want, "≤"
	if atLeast {
		reached, sign = value >= want, "≥"
	}
	if reached {
		return fmt.Sprintf("target %s %.3g: reached.", sign, want)
	}
	return fmt.Sprintf("target %s %.3g: **missed**.", sign, want)
}

// write renews the block of a part on its page, and its chart.
func (d *document) write(folder string, p part, stamp string) error {
	text := stamp
	if len(d.chart) > 0 {
		chart := "performance-" + p.name + ".svg"
		if err := os.WriteFile(filepath.Join(folder, "images", chart), []byte(d.svg()), 0o644); err != nil { //nolint:gosec // a picture
			return err
		}
		text += "\n![Chart of the tables below](images/" + chart + ")\n"
	}
	return docblock.Renew(filepath.Join(folder, p.page), "make bench", p.name, text+d.text.String())
}

// svg draws the tables as bars, each group on a scale of its own.
func (d *document) svg() string {
	const width, left, line = 900, 340, 20
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
