// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package dedup // import "github.com/otelcol-amplitude/otelcol-amplitude/processor/amplitudeexperimentprocessor/internal/dedup"

// node is one record that was handed on and not yet answered.
type node struct {
	id
	result uint64
	time   int64 // event time in ms, at most the time of arrival
	newest int64 // the same of the newest repeat of it in its own batch
	owner  uint64
	bucket int32
	n      uint32
	next   int32
	late   bool
	intent bool // an unconfirmed entry in the journal announces it
}

// flight holds the records in flight of one shard, chained by subject, newest first. Its size
// follows the number of records in flight, and its memory is used again.
type flight struct {
	nodes []node
	heads []int32 // number of the first node of a chain, counted from 1
	free  int32
	live  int
}

const minHeads = 8

func (f *flight) head(place uint64) *int32 {
	return &f.heads[place&uint64(len(f.heads)-1)]
}

func (f *flight) at(number int32) *node { return &f.nodes[number-1] }

// first returns the number of the first node of the subject k, or 0.
func (f *flight) first(k id, place uint64) int32 {
	if f.live == 0 {
		return 0
	}
	return f.skip(*f.head(place), k)
}

// after returns the number of the next node of the same subject, or 0.
func (f *flight) after(number int32) int32 {
	n := f.at(number)
	return f.skip(n.next, n.id)
}

func (f *flight) skip(number int32, k id) int32 {
	for number != 0 && f.at(number).id != k {
		number = f.at(number).next
	}
	return number
}

func (f *flight) add(n node, s seed) int32 {
	if f.live >= len(f.heads) {
		f.rehash(s)
	}
	number := f.free
	if number != 0 {
		f.free = f.at(number).next
	} else {
		f.nodes = append(f.nodes, node{})
		number = int32(len(f.nodes))
	}
	head := f.head(s.place(n.id))
	n.next, *head = *head, number
	*f.at(number) = n
	f.live++
	return number
}

func (f *flight) rehash(s seed) {
	old := f.heads
	f.heads = make([]int32, max(minHeads, 2*len(old)))
	for _, number := range old {
		// Turn the chain round first, so that pushing its nodes one by one keeps newest first.
		var turned int32
		for number != 0 {
			n := f.at(number)
			n.next, turned, number = turned, number, n.next
		}
		for turned != 0 {
			n := f.at(turned)
			head := f.head(s.place(n.id))
			turned, n.next, *head = n.next, *head, turned
		}
	}
}

func (f *flight) remove(number int32, s seed) {
	n := f.at(number)
	link := f.head(s.place(n.id))
	for *link != number {
		link = &f.at(*link).next
	}
	*link = n.next
	*n = node{next: f.free}
	f.free = number
	f.live--
}
