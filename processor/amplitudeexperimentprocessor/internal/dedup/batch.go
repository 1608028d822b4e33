// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package dedup // import "github.com/otelcol-amplitude/otelcol-amplitude/processor/amplitudeexperimentprocessor/internal/dedup"

// batchMap is a small hash table that lives for one batch and is reused. It holds what the batch itself does, so that
// its later records see it.
type batchMap[V any] struct {
	slots []int32 // places in list, counted from 1
	list  []batchEntry[V]
	last  int32 // place that find last found, counted from 1
}

type batchEntry[V any] struct {
	k    ID
	v    V
	slot int32
}

// ownMove is a property as the batch leaves it.
type ownMove struct {
	value  uint64
	newest int64
	// taken counts the changes of a property that was unknown before the batch.
	taken int32
}

// ownOwner is the last user on a device as the batch leaves it.
type ownOwner struct {
	user  ID
	since int64
}

const minSlots = 16

// find returns the value of k, or nil.
func (m *batchMap[V]) find(k ID) *V {
	if len(m.list) == 0 {
		return nil
	}
	mask := uint64(len(m.slots) - 1)
	for i := fold(k.Lo^mixA, k.Hi^mixB) & mask; m.slots[i] != 0; i = (i + 1) & mask {
		countStep()
		if e := &m.list[m.slots[i]-1]; e.k == k {
			m.last = m.slots[i]
			return &e.v
		}
	}
	return nil
}

// put returns the value of k, adding it if there is none.
func (m *batchMap[V]) put(k ID) (v *V, made bool) {
	if v := m.find(k); v != nil {
		return v, false
	}
	if 2*(len(m.list)+1) > len(m.slots) {
		m.slots = make([]int32, max(minSlots, 2*len(m.slots)))
		for i := range m.list {
			countStep()
			m.link(int32(i + 1))
		}
	}
	m.list = append(m.list, batchEntry[V]{k: k})
	m.last = int32(len(m.list))
	m.link(m.last)
	return &m.list[m.last-1].v, true
}

func (m *batchMap[V]) link(place int32) {
	e := &m.list[place-1]
	mask := uint64(len(m.slots) - 1)
	i := fold(e.k.Lo^mixA, e.k.Hi^mixB) & mask
	for m.slots[i] != 0 {
		countStep()
		i = (i + 1) & mask
	}
	m.slots[i], e.slot = place, int32(i)
}

func (m *batchMap[V]) reset() {
	for i := range m.list {
		m.slots[m.list[i].slot] = 0
	}
	m.list = m.list[:0]
}
