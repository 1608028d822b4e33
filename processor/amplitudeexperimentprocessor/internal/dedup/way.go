// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package dedup // import "github.com/otelcol-amplitude/otelcol-amplitude/processor/amplitudeexperimentprocessor/internal/dedup"

// node is one flag of an event or $identify between the decision and its receipt: 96 bytes. The first node of a copy
// also stands for the copy; a copy without flags has a node without a move.
type node struct {
	user, device ID
	// fact is the low half of the id of the event's fact, 0 for a $identify.
	fact uint64
	// stamp is the event time in ms, at most the arrival time, and the low bits of the event's day.
	stamp       uint64
	flag, value uint64
	// key is the hash of the copy's insert_id.
	key uint64
	// prev and next are the nodes of the same property before and after this one, in the order of acceptance.
	prev, next uint32
	// property is the number of the entry that the node moves.
	property uint32
	// more is the next node of the same copy; if its person is in another shard, so are all other nodes.
	more uint32
	// chain is the next node in the chain of facts, or on the free list.
	chain uint32
	// person is the shard of the person.
	person uint8
	state  uint8
	// claims is the number of exporters that have the copy, settled the number of those that are done with it.
	claims, settled uint8
}

const (
	nodeMoves     uint8 = 1 << iota // has a move
	nodeAccepted                    // the next component took it
	nodeOrphan                      // the next component did not accept everything, but an exporter did
	nodeFailed                      // an exporter could not deliver it
	nodeAmbiguous                   // it may have arrived before its receipt
	nodeAhead                       // its own time is later than its arrival
	nodeSingle                      // from a record with one flag
	nodeCrossed                     // moves what another batch has moved to another value since the decision
)

func (n *node) is(state uint8) bool { return n.state&state != 0 }
func (n *node) time() int64         { return int64(n.stamp >> timeShift) }
func (n *node) day() uint16         { return uint16(n.stamp) }

// home returns the person or device that the record of the node named itself.
func (n *node) home() ID { return homeOf(n.user, n.device) }

// waySlab nodes fill a size class of the allocator.
const (
	waySlab  = 85
	minHeads = 8
	// keptSlabs bounds the memory that is retained when nothing is on its way.
	keptSlabs = 16
)

// way holds the nodes of one shard. Its size follows what is on its way, and its memory is reused.
type way struct {
	slabs []*[waySlab]node
	used  uint32
	free  uint32
	// live counts the nodes, linked those in the chains of facts.
	live, linked int
	heads        []uint32
}

func (w *way) at(number uint32) *node {
	number--
	return &w.slabs[number/waySlab][number%waySlab]
}

func (w *way) add() (*node, uint32) {
	w.live++
	number := w.free
	if number != 0 {
		n := w.at(number)
		w.free = n.chain
		*n = node{}
		return n, number
	}
	if int(w.used) == len(w.slabs)*waySlab {
		w.slabs = append(w.slabs, new([waySlab]node))
	}
	w.used++
	return w.at(w.used), w.used
}

func (w *way) remove(number uint32) {
	*w.at(number) = node{chain: w.free}
	w.free = number
	w.live--
	if w.live == 0 && len(w.slabs) > keptSlabs {
		w.slabs, w.used, w.free = nil, 0, 0
	}
}

func (w *way) head(fact uint64) *uint32 { return &w.heads[fact&uint64(len(w.heads)-1)] }

// find returns the event with this fact that is on its way, or nil.
func (w *way) find(home ID, fact uint64) *node {
	if w.linked == 0 {
		return nil
	}
	for number := *w.head(fact); number != 0; {
		countStep()
		n := w.at(number)
		if n.fact == fact && n.home() == home {
			return n
		}
		number = n.chain
	}
	return nil
}

// link puts an event into the chain of its fact.
func (w *way) link(number uint32) {
	if w.linked >= 2*len(w.heads) {
		old := w.heads
		w.heads = make([]uint32, max(minHeads, 2*len(old)))
		for _, number := range old {
			for number != 0 {
				countStep()
				n := w.at(number)
				head := w.head(n.fact)
				number, n.chain, *head = n.chain, *head, number
			}
		}
	}
	n := w.at(number)
	head := w.head(n.fact)
	n.chain, *head = *head, number
	w.linked++
}

func (w *way) unlink(number uint32) {
	n := w.at(number)
	link := w.head(n.fact)
	for *link != number {
		countStep()
		link = &w.at(*link).chain
	}
	*link = n.chain
	n.chain = 0
	w.linked--
	if w.linked == 0 && len(w.heads) > keptSlabs*waySlab {
		w.heads = nil
	}
}
