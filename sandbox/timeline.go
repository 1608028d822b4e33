// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package sandbox // import "github.com/otelcol-amplitude/otelcol-amplitude/sandbox"

import "math"

const (
	// timelineSteps is the maximum number of steps in a timeline; timelineVariants is how many variants get their own
	// line.
	timelineSteps    = 60
	timelineVariants = 6
	// timelineStep is the shortest step, in milliseconds.
	timelineStep = 1000
	// timelineEnd bounds the times of a timeline, in milliseconds before and after 1970: the range of a browser's Date.
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
	From     int64              `json:"from"` // ms, event time: start of the first step
	Step     int64              `json:"step"` // ms
	Variants map[string][]int64 `json:"variants"`
}

// add counts an exposure of a variant, by its number in order of appearance. A time out of range is ignored.
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

// widen doubles the length of the steps.
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

// view accumulates the steps.
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
