// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package sandbox // import "github.com/otelcol-amplitude/otelcol-amplitude/sandbox"

import "math"

const (
	// timelineSteps is how many steps a timeline has at most; timelineVariants is how many variants have a line of their own.
	timelineSteps    = 60
	timelineVariants = 6
	// timelineStep is the shortest step, in milliseconds.
	timelineStep = 1000
	// timelineEnd bounds the times of a timeline, in milliseconds before and after 1970: what a browser's Date holds.
	timelineEnd = 8_640_000_000_000_000
)

// timeline counts the exposures of a run in steps of event time, which grow so that there are never too many.
type timeline struct {
	step    int64
	counts  map[int64]*[timelineVariants]int // by number of the step since 1970
	low, hi int64
}

// timelineView is what a timeline shows: exposures up to the end of each step.
type timelineView struct {
	From     int64              `json:"from"` // ms, event time: begin of the first step
	Step     int64              `json:"step"` // ms
	Variants map[string][]int64 `json:"variants"`
}

// add counts an exposure of a variant, by its number in order of appearance. A time that is no date has no place in a timeline.
func (l *timeline) add(variant int, at int64) {
	if variant >= timelineVariants || at < -timelineEnd || at > timelineEnd {
		return
	}
	if l.counts == nil {
		l.step, l.counts, l.low, l.hi = timelineStep, map[int64]*[timelineVariants]int{}, math.MaxInt64, math.MinInt64
	}
	l.low, l.hi = min(l.low, floorDiv(at, l.step)), max(l.hi, floorDiv(at, l.step))
	for l.hi-l.low >= timelineSteps {
		l.widen()
	}
	n := floorDiv(at, l.step)
	counts := l.counts[n]
	if counts == nil {
		counts = new([timelineVariants]int)
		l.counts[n] = counts
	}
	counts[variant]++
}

// widen makes the steps twice as long.
func (l *timeline) widen() {
	wide := make(map[int64]*[timelineVariants]int, len(l.counts))
	for n, counts := range l.counts {
		if to := wide[floorDiv(n, 2)]; to != nil {
			for i := range to {
				to[i] += counts[i]
			}
			continue
		}
		wide[floorDiv(n, 2)] = counts
	}
	l.step, l.low, l.hi, l.counts = 2*l.step, floorDiv(l.low, 2), floorDiv(l.hi, 2), wide
}

// view adds the steps up.
func (l *timeline) view(variants []*variantCount) *timelineView {
	if l.counts == nil {
		return nil
	}
	v := &timelineView{From: l.low * l.step, Step: l.step, Variants: map[string][]int64{}}
	for i := range variants[:min(len(variants), timelineVariants)] {
		line, sum := make([]int64, 0, l.hi-l.low+1), int64(0)
		for n := l.low; n <= l.hi; n++ {
			if counts := l.counts[n]; counts != nil {
				sum += int64(counts[i])
			}
			line = append(line, sum)
		}
		v.Variants[variants[i].key] = line
	}
	return v
}

// floorDiv rounds down, also below zero.
func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}
