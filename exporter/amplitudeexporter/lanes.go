// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudeexporter // import "github.com/otelcol-amplitude/otelcol-amplitude/exporter/amplitudeexporter"

import (
	"slices"

	"github.com/otelcol-amplitude/otelcol-amplitude/exporter/amplitudeexporter/internal/event"
)

// partitioner spreads the events of a batch over lanes, so that events that share a user or a device are in one lane,
// in order. A user's devices are joined, and a device's users: Amplitude stores user properties per user and processes
// events per device, so both orders matter.
type partitioner struct {
	first map[event.Identity]int32
	root  []int32
	lanes [][]int32
	// lane is the lane of each root, load the number of bytes in each lane.
	lane []int32
	load []int
}

// split returns the indexes of the batch's events in n lanes. The result is valid until the next call.
func (p *partitioner) split(b *batch, n int) [][]int32 {
	for len(p.lanes) < n {
		p.lanes = append(p.lanes, nil)
	}
	lanes := p.lanes[:n]
	for i := range lanes {
		lanes[i] = lanes[i][:0]
	}
	if n == 1 {
		for i := range b.events {
			lanes[0] = append(lanes[0], int32(i))
		}
		return lanes
	}
	if p.first == nil {
		p.first = make(map[event.Identity]int32, len(b.events))
	}
	p.root = p.root[:0]
	for i := range b.events {
		p.root = append(p.root, int32(i))
		p.join(int32(i), b.events[i].user)
		p.join(int32(i), b.events[i].device)
	}
	p.lane = slices.Grow(p.lane[:0], len(b.events))[:len(b.events)]
	p.load = append(p.load[:0], make([]int, n)...)
	for i := range b.events {
		// The first event of a group is its root, and goes to the least loaded lane.
		root := p.find(int32(i))
		if root == int32(i) {
			p.lane[i] = p.lightest()
		}
		lane := p.lane[root]
		p.load[lane] += b.size(int32(i))
		lanes[lane] = append(lanes[lane], int32(i))
	}
	clear(p.first)
	return lanes
}

func (p *partitioner) lightest() int32 {
	lightest := 0
	for i, load := range p.load {
		if load < p.load[lightest] {
			lightest = i
		}
	}
	return int32(lightest)
}

// join puts event i into the group of the earlier events with this identity. The root is the earliest event.
func (p *partitioner) join(i int32, id event.Identity) {
	if id == 0 {
		return
	}
	other, known := p.first[id]
	if !known {
		p.first[id] = i
		return
	}
	a, b := p.find(i), p.find(other)
	p.root[max(a, b)] = min(a, b)
}

func (p *partitioner) find(i int32) int32 {
	for p.root[i] != i {
		p.root[i] = p.root[p.root[i]]
		i = p.root[i]
	}
	return i
}
