// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package dedup // import "github.com/otelcol-amplitude/otelcol-amplitude/processor/amplitudeexperimentprocessor/internal/dedup"

const (
	slabSize = 256

	// A slot of the index holds the number of an entry, counted from 1, below a tag of its hash.
	numberBits = 24
	numberMask = 1<<numberBits - 1

	// The index grows by half when it is more than four fifths full: short runs, and 5 to 7.5 bytes per entry.
	minIndex        = 16
	loadNumerator   = 4
	loadDenominator = 5

	// Eviction removes the least recently used of this many entries. Pinned ones are skipped, up to this many.
	evictionWindow = 16
	evictionReach  = 64
	// Each insertion checks this many entries for one that was not used for long enough.
	expiryStep = 4
)

// Flags of an entry, in the high byte of its order word.
const (
	flagFree   uint32 = 1 << (24 + iota) // on the free list
	flagPinned                           // something on its way refers to it
	orderMask  uint32 = 1<<24 - 1
)

// entry is what is stored under one id. It has no pointers, so that the garbage collector has nothing to scan.
type entry[P any] struct {
	p P
	ID
	touched uint32 // arrival in seconds since the Unix epoch
	order   uint32 // order of touches in the shard within a second, and flags
}

func (e *entry[P]) is(flag uint32) bool { return e.order&flag != 0 }

func (e *entry[P]) pin(on bool) {
	e.order &^= flagPinned
	if on {
		e.order |= flagPinned
	}
}

func (e *entry[P]) recency() uint64 { return uint64(e.touched)<<24 | uint64(e.order&orderMask) }

// table is a bounded hash table of one shard: entries in slabs that never move, and an open-addressing index of their
// numbers. Neither holds pointers.
type table[P any] struct {
	index   []uint32
	slabs   []*[slabSize]entry[P]
	used    uint32 // entries handed out by the slabs, including free ones
	free    uint32 // number of the first free entry, 0 for none
	live    int
	hand    uint32  // where eviction looks next
	sweeper uint32  // where expiry looks next
	order   *uint32 // of the shard
	seed    seed
}

func (t *table[P]) at(number uint32) *entry[P] {
	number--
	return &t.slabs[number/slabSize][number%slabSize]
}

func tagOf(place uint64) uint32 { return uint32(place>>56) << numberBits }

// home returns the slot where the run of a place begins.
func (t *table[P]) home(place uint64) int {
	return int(uint64(uint32(place)) * uint64(len(t.index)) >> 32)
}

// find returns the entry of k and its number, or nil.
func (t *table[P]) find(k ID) (*entry[P], uint32) {
	if t.live == 0 {
		return nil, 0
	}
	place := t.seed.place(k)
	tag := tagOf(place)
	for i := t.home(place); ; i++ {
		countStep()
		if i == len(t.index) {
			i = 0
		}
		slot := t.index[i]
		if slot == 0 {
			return nil, 0
		}
		if slot&^numberMask == tag {
			if e := t.at(slot & numberMask); e.ID == k {
				return e, slot & numberMask
			}
		}
	}
}

// touch makes e the most recently used entry.
func (t *table[P]) touch(e *entry[P], second uint32) {
	*t.order = (*t.order + 1) & orderMask
	e.touched = second
	e.order = e.order&^orderMask | *t.order
}

// insert adds k, which must not be in the table, and returns its zero entry.
func (t *table[P]) insert(k ID, second uint32) (*entry[P], uint32) {
	if (t.live+1)*loadDenominator > len(t.index)*loadNumerator {
		t.grow()
	}
	number := t.free
	if number != 0 {
		t.free = uint32(t.at(number).Lo)
	} else {
		if int(t.used) == len(t.slabs)*slabSize {
			t.slabs = append(t.slabs, new([slabSize]entry[P]))
		}
		t.used++
		number = t.used
	}
	e := t.at(number)
	*e = entry[P]{ID: k}
	t.touch(e, second)
	t.link(number, t.seed.place(k))
	t.live++
	return e, number
}

func (t *table[P]) link(number uint32, place uint64) {
	i := t.home(place)
	for t.index[i] != 0 {
		countStep()
		if i++; i == len(t.index) {
			i = 0
		}
	}
	t.index[i] = tagOf(place) | number
}

func (t *table[P]) grow() {
	t.index = make([]uint32, max(minIndex, len(t.index)*3/2))
	for number := uint32(1); number <= t.used; number++ {
		countStep()
		if e := t.at(number); !e.is(flagFree) {
			t.link(number, t.seed.place(e.ID))
		}
	}
}

// remove frees the entry with this number.
func (t *table[P]) remove(number uint32) {
	e := t.at(number)
	size := len(t.index)
	i := t.home(t.seed.place(e.ID))
	for t.index[i]&numberMask != number {
		countStep()
		if i++; i == size {
			i = 0
		}
	}
	// Close the gap: move back what was probed across it.
	for j := (i + 1) % size; t.index[j] != 0; j = (j + 1) % size {
		countStep()
		home := t.home(t.seed.place(t.at(t.index[j] & numberMask).ID))
		if (j-home+size)%size >= (j-i+size)%size {
			t.index[i] = t.index[j]
			i = j
		}
	}
	t.index[i] = 0
	*e = entry[P]{ID: ID{Lo: uint64(t.free)}, order: flagFree}
	t.free = number
	t.live--
}

// oldest returns an entry that was not used for a long time and how recently it was used, but never a pinned one or
// keep; 0 if there is none.
func (t *table[P]) oldest(keep uint32) (victim uint32, oldest uint64) {
	for seen, steps := 0, uint32(0); seen < evictionWindow && steps < min(t.used, evictionReach); steps++ {
		countStep()
		t.hand = t.hand%t.used + 1
		e := t.at(t.hand)
		if t.hand == keep || e.is(flagFree|flagPinned) {
			continue
		}
		seen++
		if r := e.recency(); victim == 0 || r < oldest {
			victim, oldest = t.hand, r
		}
	}
	return victim, oldest
}

// expire checks the next few entries and removes those not used since before.
func (t *table[P]) expire(before uint32) (removed int64) {
	for steps := expiryStep; steps > 0 && t.used > 0; steps-- {
		countStep()
		t.sweeper = t.sweeper%t.used + 1
		if e := t.at(t.sweeper); !e.is(flagFree|flagPinned) && e.touched < before {
			t.remove(t.sweeper)
			removed++
		}
	}
	return removed
}

// all calls do with every entry of a slab, and reports whether the slab exists.
func (t *table[P]) all(slab int, do func(e *entry[P])) bool {
	if slab >= len(t.slabs) {
		return false
	}
	for i := range min(int(t.used)-slab*slabSize, slabSize) {
		if e := &t.slabs[slab][i]; !e.is(flagFree) {
			do(e)
		}
	}
	return true
}
