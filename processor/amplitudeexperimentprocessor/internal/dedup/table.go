// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package dedup // import "github.com/otelcol-amplitude/otelcol-amplitude/processor/amplitudeexperimentprocessor/internal/dedup"

const (
	slabSize = 256 // entries; 12 KiB, a size class of the allocator

	// A slot of the index holds the number of an entry, counted from 1, under a tag of its hash.
	numberBits = 24
	numberMask = 1<<numberBits - 1

	// The index doubles beyond four fifths: short runs, and at most 10 bytes per entry.
	minIndex        = 16
	loadNumerator   = 4
	loadDenominator = 5

	// Eviction takes the least recently used of the next so many entries.
	evictionWindow = 16
	// Each insertion looks at so many entries for one that was not touched for long enough.
	expiryStep = 4
)

// Flags of an entry, in the high byte of its order word.
const (
	flagFree        uint32 = 1 << (24 + iota) // on the free list
	flagUnconfirmed                           // read back after a crash in the middle of a send: may not have arrived
	flagOvertaken                             // an older result was accepted after it: the property may be that one
	orderMask       uint32 = 1<<24 - 1
)

// entry is what is remembered of one subject: 48 bytes without a pointer, so that the garbage
// collector has nothing to follow.
type entry struct {
	id
	result  uint64
	newest  int64  // event time in ms of the newest record, at most the time of its arrival
	bucket  int32  //
	n       uint32 // highest transition number given out in bucket
	touched uint32 // arrival in seconds since the Unix epoch
	order   uint32 // order of touches within a second, and flags
}

func (e *entry) is(flag uint32) bool { return e.order&flag != 0 }

func (e *entry) recency() uint64 { return uint64(e.touched)<<24 | uint64(e.order&orderMask) }

// table is the bounded hash table of one shard: entries in slabs that never move, and an index of
// their numbers with open addressing. Neither holds pointers.
type table struct {
	index   []uint32
	slabs   []*[slabSize]entry
	used    uint32 // entries handed out by the slabs, free ones included
	free    uint32 // number of the first free entry, 0 for none
	live    int
	hand    uint32 // where eviction looks next
	sweeper uint32 // where expiry looks next
	order   uint32
	seed    seed
}

func (t *table) at(number uint32) *entry {
	number--
	return &t.slabs[number/slabSize][number%slabSize]
}

func (t *table) mask() uint32 { return uint32(len(t.index) - 1) }

func tagOf(place uint64) uint32 { return uint32(place>>56) << numberBits }

// find returns the entry of k, or nil.
func (t *table) find(k id) *entry {
	if t.live == 0 {
		return nil
	}
	place := t.seed.place(k)
	tag, mask := tagOf(place), t.mask()
	for i := uint32(place) & mask; ; i = (i + 1) & mask {
		slot := t.index[i]
		if slot == 0 {
			return nil
		}
		if slot&^numberMask == tag {
			if e := t.at(slot & numberMask); e.id == k {
				return e
			}
		}
	}
}

// touch makes e the most recently used entry.
func (t *table) touch(e *entry, second uint32) {
	t.order = (t.order + 1) & orderMask
	e.touched = second
	e.order = e.order&^orderMask | t.order
}

// insert adds k, which must not be in the table, and returns its blank entry.
func (t *table) insert(k id, second uint32) *entry {
	if (t.live+1)*loadDenominator > len(t.index)*loadNumerator {
		t.grow()
	}
	number := t.free
	if number != 0 {
		t.free = uint32(t.at(number).lo)
	} else {
		if int(t.used) == len(t.slabs)*slabSize {
			t.slabs = append(t.slabs, new([slabSize]entry))
		}
		t.used++
		number = t.used
	}
	e := t.at(number)
	*e = entry{id: k}
	t.touch(e, second)
	t.link(number, t.seed.place(k))
	t.live++
	return e
}

func (t *table) link(number uint32, place uint64) {
	mask := t.mask()
	i := uint32(place) & mask
	for t.index[i] != 0 {
		i = (i + 1) & mask
	}
	t.index[i] = tagOf(place) | number
}

func (t *table) grow() {
	t.index = make([]uint32, max(minIndex, 2*len(t.index)))
	for number := uint32(1); number <= t.used; number++ {
		if e := t.at(number); !e.is(flagFree) {
			t.link(number, t.seed.place(e.id))
		}
	}
}

// remove frees the entry with this number.
func (t *table) remove(number uint32) {
	e := t.at(number)
	place := t.seed.place(e.id)
	mask := t.mask()
	i := uint32(place) & mask
	for t.index[i]&numberMask != number {
		i = (i + 1) & mask
	}
	// Close the gap: pull back what probed across it.
	for j := (i + 1) & mask; t.index[j] != 0; j = (j + 1) & mask {
		home := uint32(t.seed.place(t.at(t.index[j]&numberMask).id)) & mask
		if (j-home)&mask >= (j-i)&mask {
			t.index[i] = t.index[j]
			i = j
		}
	}
	t.index[i] = 0
	*e = entry{id: id{lo: uint64(t.free)}, order: flagFree}
	t.free = number
	t.live--
}

// drop removes the entry e, which must be in the table.
func (t *table) drop(e *entry) {
	place := t.seed.place(e.id)
	mask := t.mask()
	i := uint32(place) & mask
	for t.at(t.index[i]&numberMask) != e {
		i = (i + 1) & mask
	}
	t.remove(t.index[i] & numberMask)
}

// evict removes an entry that was not used for long, never keep. It reports whether there was one.
func (t *table) evict(keep *entry) bool {
	var victim uint32
	var oldest uint64
	for seen, steps := 0, uint32(0); seen < evictionWindow && steps < t.used; steps++ {
		t.hand = t.hand%t.used + 1
		e := t.at(t.hand)
		if e == keep || e.is(flagFree) {
			continue
		}
		seen++
		if r := e.recency(); victim == 0 || r < oldest {
			victim, oldest = t.hand, r
		}
	}
	if victim == 0 {
		return false
	}
	t.remove(victim)
	return true
}

// expire looks at the next few entries and removes those untouched since before second.
func (t *table) expire(before uint32, steps int) (removed int64) {
	for ; steps > 0 && t.used > 0; steps-- {
		t.sweeper = t.sweeper%t.used + 1
		if e := t.at(t.sweeper); !e.is(flagFree) && e.touched < before {
			t.remove(t.sweeper)
			removed++
		}
	}
	return removed
}
