// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package dedup // import "github.com/otelcol-amplitude/otelcol-amplitude/processor/amplitudeexperimentprocessor/internal/dedup"

import (
	"cmp"
	"context"
	"slices"
	"time"

	"go.opentelemetry.io/collector/component"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/storageclient"
)

// raiseInterval is how long a newer time of a repeat may wait before it is stored.
const raiseInterval = 10 * time.Second

func (l *Ledger) openJournal(ctx context.Context, host component.Host) error {
	if l.set.Storage == nil {
		return nil
	}
	extension, err := storageclient.Find(host, *l.set.Storage)
	if err != nil {
		return err
	}
	client, err := storageclient.Open(ctx, extension, *l.set.Storage, component.KindProcessor, l.set.Owner, "dedup")
	if err != nil {
		return err
	}
	l.journal = newJournal(l, client)
	l.journal.start(ctx)
	return nil
}

// The functions below append the current state of something to the journal. The caller holds the lock of its shard,
// so that the rows of an id are written in the order of its changes.

func (l *Ledger) writeProperty(e *entry[property]) {
	if l.journal != nil && !e.is(flagFree) {
		var row [propertySize]byte
		l.journal.add(appendProperty(row[:0], e))
	}
}

func (l *Ledger) writeFact(e *entry[delivered]) {
	if l.journal != nil {
		var row [factSize]byte
		l.journal.add(appendFact(row[:0], e))
	}
}

func (l *Ledger) writeDevice(s *shard, e *entry[device]) {
	if l.journal != nil {
		var row [deviceSize]byte
		l.journal.add(appendDevice(row[:0], e, s.boundOf(e.ID)))
	}
}

// rowNumber identifies a copy, across processes.
func (l *Ledger) rowNumber(home uint8, number uint32) uint64 {
	return l.journal.life.Load()<<lifeShift | token(home, number)
}

const lifeShift = 40

// writePending writes the row of a copy that is on its way. The caller holds the locks of the copy.
func (l *Ledger) writePending(home uint8, number uint32) {
	row, c := make([]byte, 0, 128), l.copyOf(home, number)
	l.journal.add(appendPending(row, l.rowNumber(home, number), l.shards[home].way.at(number).key, &c))
}

func (l *Ledger) copyOf(home uint8, number uint32) formerCopy {
	hs := &l.shards[home]
	n := hs.way.at(number)
	c := formerCopy{
		user: n.user, device: n.device, fact: n.fact, day: n.day(), time: n.time(), single: n.is(nodeSingle), ahead: n.is(nodeAhead),
	}
	s := &l.shards[n.person]
	for w := hs; number != 0; w = s {
		n := w.way.at(number)
		if n.is(nodeMoves) {
			c.moves = append(c.moves, Flag{n.flag, n.value})
		}
		number = n.more
	}
	return c
}

func (l *Ledger) writeDone(number uint64) {
	if l.journal != nil {
		var row [doneSize]byte
		l.journal.add(appendDone(row[:0], number))
	}
}

// raised schedules the newest time of a property to be written later.
func (l *Ledger) raised(s *shard, e *entry[property], number uint32) {
	if l.journal == nil || e.p.is(propertyRaised) {
		return
	}
	e.p.set(propertyRaised, true)
	s.raised = append(s.raised, number)
}

// writeRaised writes the newest times that are waiting.
func (l *Ledger) writeRaised() {
	for i := range l.shards {
		s := &l.shards[i]
		s.mu.Lock()
		for _, number := range s.raised {
			if e := s.properties.at(number); !e.is(flagFree) && e.p.is(propertyRaised) {
				e.p.set(propertyRaised, false)
				l.writeProperty(e)
			}
		}
		s.raised = s.raised[:0]
		s.mu.Unlock()
	}
}

// snapshot passes a row for everything that is remembered or on its way to emit. Between rows it calls between,
// holding no lock.
func (l *Ledger) snapshot(emit func(row []byte), between func()) {
	row := make([]byte, 0, 128)
	for i := range l.shards {
		s := &l.shards[i]
		each := func(do func(slab int) bool) {
			for slab, more := 0, true; more; slab++ {
				s.mu.Lock()
				more = do(slab)
				s.mu.Unlock()
				between()
			}
		}
		each(func(slab int) bool {
			return s.properties.all(slab, func(e *entry[property]) { emit(appendProperty(row, e)) })
		})
		each(func(slab int) bool {
			return s.facts.all(slab, func(e *entry[delivered]) { emit(appendFact(row, e)) })
		})
		each(func(slab int) bool {
			return s.devices.all(slab, func(e *entry[device]) { emit(appendDevice(row, e, s.boundOf(e.ID))) })
		})
		l.snapshotWay(uint8(i), emit, between)
	}
	l.former.mu.Lock()
	defer l.former.mu.Unlock()
	for key, rows := range l.former.rows {
		for i := range rows {
			emit(appendPending(row, rows[i].number, key, &rows[i]))
		}
	}
}

func (l *Ledger) snapshotWay(home uint8, emit func(row []byte), between func()) {
	s := &l.shards[home]
	for number := uint32(1); ; number++ {
		s.mu.Lock()
		if number > s.way.used {
			s.mu.Unlock()
			return
		}
		n := s.way.at(number)
		person, named := n.person, n.key != 0
		s.mu.Unlock()
		if named {
			held := l.lock(home, person, person)
			if n := s.way.at(number); n.key != 0 && n.person == person && !n.is(nodeOrphan) {
				c := l.copyOf(home, number)
				emit(appendPending(nil, l.rowNumber(home, number), n.key, &c))
			}
			held.unlock()
		}
		if number%slabSize == 0 {
			between()
		}
	}
}

// loader loads rows into the ledger.
type loader struct {
	ledger  *Ledger
	now     uint32
	last    uint32 // second of the newest row: the last sign of life
	bytes   int
	pending map[uint64]pendingRow
	order   uint64
}

type pendingRow struct {
	key   uint64
	order uint64
	formerCopy
}

func newLoader(l *Ledger) *loader {
	_, second := l.now()
	return &loader{ledger: l, now: second, pending: make(map[uint64]pendingRow)}
}

func (o *loader) load(rows []byte) error {
	o.bytes += len(rows)
	for len(rows) > 0 {
		size := rowSize(rows)
		if size == 0 {
			return errDamaged
		}
		o.put(rows[:size])
		rows = rows[size:]
	}
	return nil
}

func (o *loader) put(row []byte) {
	switch row[0] {
	case rowPending:
		number, key, c := readPending(row)
		c.number = number
		o.order++
		o.pending[number] = pendingRow{key, o.order, c}
		return
	case rowDone:
		delete(o.pending, le.Uint64(row[1:]))
		return
	}
	l := o.ledger
	touched := min(le.Uint32(row[len(row)-4:]), o.now)
	o.last = max(o.last, touched)
	if touched < l.forgetBefore(o.now) {
		return
	}
	k := readID(row[1:])
	s := &l.shards[l.shardOf(k)]
	s.mu.Lock()
	defer s.mu.Unlock()
	row = row[1+idSize:]
	switch len(row) {
	case propertySize - 1 - idSize:
		e, _ := kept(l, s, &s.properties, k, touched)
		e.p = property{value: le.Uint64(row), fact: le.Uint64(row[8:]), stamp: le.Uint64(row[16:]), told: le.Uint64(row[24:])}
		l.believe(e.p.newest())
		e.p.stamp &^= byteMask<<tokensShift | propertyBucket | propertyRaised | propertyFormer
	case factSize - 1 - idSize:
		kept(l, s, &s.facts, k, touched)
	case deviceSize - 1 - idSize:
		e, _ := kept(l, s, &s.devices, k, touched)
		e.p = device{owner: readID(row), since: int64(le.Uint64(row[idSize:]))}
	}
}

// finish restores what was on its way: for a property that it moves, nobody knows what Amplitude holds.
func (o *loader) finish() {
	l := o.ledger
	rows := make([]pendingRow, 0, len(o.pending))
	for _, row := range o.pending {
		if seconds(row.time) >= l.forgetBefore(o.now) {
			rows = append(rows, row)
		}
	}
	slices.SortFunc(rows, func(a, b pendingRow) int { return cmp.Compare(a.order, b.order) })
	for _, row := range rows {
		l.former.add(row.key, row.formerCopy)
		home := l.shardOf(homeOf(row.user, row.device))
		who, at, held := l.lockPerson(row.user, row.device, home, home)
		s := &l.shards[at]
		for _, m := range row.moves {
			e, _ := kept(l, s, &s.properties, who.property(m.Key), o.now)
			e.p.set(propertySure, false)
			e.p.set(propertyFormer, true)
			e.p.raise(row.time)
			l.writeProperty(e)
		}
		held.unlock()
	}
}

// killed notes that the last process did not shut down and that its last writes are not trusted: a storage that
// failed at the end could not record the failure. Persons seen then may have been told something else.
func (l *Ledger) killed(last uint32) {
	l.doubtSince(last + 1 - min(last, l.doubtful))
}

// doubtSince marks every property that was touched since a second as not sure.
func (l *Ledger) doubtSince(second uint32) {
	for i := range l.shards {
		s := &l.shards[i]
		s.mu.Lock()
		for slab := 0; s.properties.all(slab, func(e *entry[property]) {
			if e.touched >= second {
				e.p.set(propertySure, false)
				e.p.set(propertyFormer, true)
			}
		}); slab++ {
			continue
		}
		s.mu.Unlock()
	}
}

// distrust notes that earlier processes may have sent what was not recorded: no value is sure, and no event of the
// current window is certainly new.
func (l *Ledger) distrust() {
	l.doubtSince(0)
	l.former.until.Store(l.set.Clock().Add(l.set.Window).UnixMilli())
}

// clear forgets everything.
func (l *Ledger) clear() {
	for i := range l.shards {
		s := &l.shards[i]
		s.mu.Lock()
		l.entries.Add(-int64(s.properties.live + s.facts.live + s.devices.live))
		s.reset(l.seed)
		s.mu.Unlock()
	}
	l.former.reset()
}
