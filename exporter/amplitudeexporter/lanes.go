// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudeexporter // import "github.com/otelcol-amplitude/otelcol-amplitude/exporter/amplitudeexporter"

// laneEvents is the number of events from which another lane is worth a request of its own.
const laneEvents = 100

// partitioner spreads the events of a batch over lanes, so that events that share a user or a device
// are in one lane, in their order. A user's devices are joined, and a device's users: Amplitude keeps
// user properties per user and processes events per device, so both orders matter.
type partitioner struct {
	first map[identity]int32
	root  []int32
	lanes [][]int32
}

// split returns the indexes of the batch's events by lane. The result is valid until the next call.
func (p *partitioner) split(b *batch, concurrency int) [][]int32 {
	n := min(concurrency, 1+(len(b.events)-1)/laneEvents)
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
		p.first = make(map[identity]int32, len(b.events))
	}
	p.root = p.root[:0]
	for i := range b.events {
		p.root = append(p.root, int32(i))
		p.join(int32(i), b.events[i].user)
		p.join(int32(i), b.events[i].device)
	}
	for i := range b.events {
		// The first event of a group is its root and names the lane.
		root := &b.events[p.find(int32(i))]
		id := root.user
		if id == 0 {
			id = root.device
		}
		// The upper half: the lowest bit of an identity is always set.
		lane := uint64(id) >> 32 % uint64(n)
		lanes[lane] = append(lanes[lane], int32(i))
	}
	clear(p.first)
	return lanes
}

// join puts event i in one group with the earlier events of this identity. The root is the earliest event.
func (p *partitioner) join(i int32, id identity) {
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
