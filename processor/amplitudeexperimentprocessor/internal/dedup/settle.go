// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package dedup // import "github.com/otelcol-amplitude/otelcol-amplitude/processor/amplitudeexperimentprocessor/internal/dedup"

import "github.com/otelcol-amplitude/otelcol-amplitude/internal/amplitude/receipts"

// Settle handles the receipts of one exporter for copies. The tokens are what HandOver registered.
func (l *Ledger) Settle(tokens []uint64, outcome receipts.Outcome) {
	now := l.arrival()
	for _, token := range tokens {
		l.settle(token, outcome, now)
	}
}

func (l *Ledger) settle(token uint64, outcome receipts.Outcome, now arrival) {
	home, number := uint8(token>>32), uint32(token)
	s := &l.shards[home]
	s.mu.Lock()
	n := s.way.at(number)
	n.settled++
	switch outcome {
	case receipts.NotDelivered:
		n.state |= nodeFailed
	case receipts.Ambiguous:
		n.state |= nodeAmbiguous
	case receipts.Unknown:
		n.state |= nodeFailed | nodeAmbiguous
	case receipts.Delivered:
	}
	if !n.is(nodeAccepted|nodeOrphan) || n.settled < n.claims {
		s.mu.Unlock()
		return
	}
	switch user, dev, person := n.user, n.device, n.person; {
	case n.is(nodeOrphan):
		s.mu.Unlock()
		l.settleOrphan(home, number, user, dev, person)
	case l.remote != nil:
		s.mu.Unlock()
		l.finish(home, number, now)
	default:
		l.concludeLocked(home, number, now, false)
	}
}

// settleOrphan ends a copy from a refused batch that an exporter took anyway.
func (l *Ledger) settleOrphan(home uint8, number uint32, user, dev ID, person uint8) {
	who, at, held := l.lockPerson(user, dev, home, person)
	defer held.unlock()
	if n := l.shards[home].way.at(number); !n.is(nodeFailed) && at == person {
		l.doubt(who, home, number)
	}
	l.free(home, number)
}

// lockPerson locks the shards of the home, of the person at the decision, and of the person that a receipt is for:
// the user, else the last one with a delivery on the device, else the device. It returns that person and its shard.
func (l *Ledger) lockPerson(user, dev ID, home, decided uint8) (who ID, at uint8, held locks) {
	if user != (ID{}) {
		return user, home, l.lock(home, decided, home)
	}
	for at = home; ; {
		held = l.lock(home, decided, at)
		if who = l.shards[home].boundOf(dev); who == (ID{}) {
			who = dev
		}
		now := l.shardOf(who)
		if now == at {
			return who, at, held
		}
		held.unlock()
		at = now
	}
}

// finish ends a copy whose receipts have all arrived. With Redis, it first waits for the answer whether another
// replica delivered the same event.
func (l *Ledger) finish(home uint8, number uint32, now arrival) {
	if l.remote != nil && l.remote.later(finished{home, number}) {
		return
	}
	l.conclude(home, number, now, false)
}

// receipt is what became of one copy.
type receipt struct {
	user, device, home ID
	fact               uint64 // 0 for a $identify
	day                uint16
	time               int64
	single             bool // from a record with one flag
	ahead              bool // its own time is later than its arrival
	delivered, sure    bool
	maybe              bool  // not delivered as a whole, but perhaps in part: by one of several exporters, or by an attempt without an answer
	second             bool  // Amplitude had the event before
	shared             bool  // another replica delivered the same event
	former             bool  // from an earlier process: Redis was not asked
	person             uint8 // shard of the person at the decision
	arrival            arrival
	moves              []Flag
	places             []uint32 // of the entries of the moves, if they are known
}

// few has room for the moves of most receipts.
type few struct {
	moves  [2]Flag
	places [2]uint32
}

// receiptOf returns the receipt of a copy. The caller holds the lock of its home.
func (l *Ledger) receiptOf(n *node, now arrival) receipt {
	return receipt{
		user: n.user, device: n.device, home: n.home(), fact: n.fact, day: n.day(), time: n.time(), person: n.person,
		single: n.is(nodeSingle), ahead: n.is(nodeAhead),
		delivered: !n.is(nodeFailed), sure: !n.is(nodeAmbiguous) || l.remote == nil, arrival: now,
		maybe: n.is(nodeFailed) && (n.claims > 1 || n.is(nodeAmbiguous)),
	}
}

// conclude removes a copy from in front of the ledger, and adds it to the ledger if it was delivered.
func (l *Ledger) conclude(home uint8, number uint32, now arrival, shared bool) {
	l.shards[home].mu.Lock()
	l.concludeLocked(home, number, now, shared)
}

// concludeLocked does that with the lock of the home held, and releases it.
func (l *Ledger) concludeLocked(home uint8, number uint32, now arrival, shared bool) {
	hs := &l.shards[home]
	rc := l.receiptOf(hs.way.at(number), now)
	rc.shared = shared
	if rc.user != (ID{}) { // everything is in the shard of the user
		rc.second = l.takeIn(rc, home, number, rc.user, home)
		hs.mu.Unlock()
	} else {
		hs.mu.Unlock()
		who, at, held := l.lockPerson(rc.user, rc.device, home, rc.person)
		rc.second = l.takeIn(rc, home, number, who, at)
		held.unlock()
	}
	l.applyOwner(&rc)
}

// takeIn does that for a copy at home, for the person that it now belongs to, whose shard is at. It reports whether
// Amplitude had the event before. The caller holds the locks of both shards and of the copy.
func (l *Ledger) takeIn(rc receipt, home uint8, number uint32, who ID, at uint8) (second bool) {
	var room few
	rc.moves, rc.places = room.moves[:0], room.places[:0]
	hs, s := &l.shards[home], &l.shards[rc.person]
	if rc.fact != 0 {
		hs.way.unlink(number)
	}
	for w, next := hs, number; next != 0; w = s {
		countStep()
		n := w.way.at(next)
		next = n.more
		if !n.is(nodeMoves) {
			continue
		}
		rc.moves = append(rc.moves, Flag{n.flag, n.value})
		rc.places = append(rc.places, n.property)
		rc.sure = rc.sure && !n.is(nodeCrossed)
		e := s.properties.at(n.property)
		if n.next != 0 {
			s.way.at(n.next).prev = n.prev
		} else {
			e.p.way = n.prev
			e.pin(n.prev != 0)
		}
		if n.prev != 0 {
			s.way.at(n.prev).next = n.next
		}
		if !rc.delivered {
			l.writeProperty(e) // its newest time remains
		}
	}
	l.free(home, number)
	if at != rc.person {
		rc.places = nil
	}
	l.apply(&rc, hs, &l.shards[at], who)
	if l.journal != nil {
		l.writeDone(l.rowNumber(home, number))
	}
	return rc.second
}

// apply adds a receipt to the ledger. The caller holds the locks of hs, the shard of the home, and of s, that of the
// person.
func (l *Ledger) apply(rc *receipt, hs, s *shard, who ID) {
	switch {
	case !rc.delivered:
		// Nothing to restore: what was sent before did not change.
		if rc.maybe {
			l.doubtMoves(rc, s, who)
		}
		return
	case rc.fact != 0 && !l.deliver(rc, hs):
		// Amplitude ignores the second copy of an event, unless it was the first to arrive.
		rc.second = true
		l.doubtMoves(rc, s, who)
		return
	}
	for i, m := range rc.moves {
		e := l.told(rc, i, s, who.property(m.Key))
		e.p.value = m.Value
		e.p.raise(rc.time)
		e.p.setTold(rc.arrival.ms)
		e.p.set(propertySure, rc.sure)
		e.p.set(propertyFormer, e.p.is(propertyFormer) && !rc.sure) // it was accepted after what the earlier process left
		if rc.single && rc.fact != 0 {
			l.keepFact(rc, hs, m.Key, e)
		}
		l.writeProperty(e)
		if l.remote != nil {
			l.remote.shareProperty(e)
		}
	}
}

// doubtMoves marks the properties that a receipt may have moved as not sure.
func (l *Ledger) doubtMoves(rc *receipt, s *shard, who ID) {
	for _, m := range rc.moves {
		k := who.property(m.Key)
		if e, _ := s.properties.find(k); e != nil && e.p.value != m.Value && e.p.is(propertySure) {
			e.p.set(propertySure, false)
			l.writeProperty(e)
		}
		if l.remote != nil {
			l.remote.doubt(k, m.Value)
		}
	}
}

// told returns the entry of the property k that move i of a receipt is about.
func (l *Ledger) told(rc *receipt, i int, s *shard, k ID) *entry[property] {
	if i < len(rc.places) {
		if e := s.properties.at(rc.places[i]); e.ID == k && !e.is(flagFree) {
			s.properties.touch(e, rc.arrival.second)
			return e
		}
	}
	e, _ := kept(l, s, &s.properties, k, rc.arrival.second)
	return e
}

// deliver remembers that the event was delivered, and reports whether this was the first copy.
func (l *Ledger) deliver(rc *receipt, hs *shard) (first bool) {
	k := ID{rc.home.Hi, rc.fact}
	single := rc.single && len(rc.moves) == 1
	if single {
		if e := hs.propertyOf(rc); e != nil && e.p.fact == rc.fact {
			return false
		}
	}
	if hs.facts.live > 0 {
		if e, _ := remembered(l, &hs.facts, k, rc.arrival.second); e != nil {
			hs.facts.touch(e, rc.arrival.second)
			return false
		}
	}
	if rc.shared || !single {
		l.addFact(hs, k, rc.arrival.second)
	}
	if rc.former && l.remote != nil {
		l.remote.shareFact(k)
	}
	return !rc.shared
}

// propertyOf returns the property of the home that the only move of a receipt is about, or nil.
func (hs *shard) propertyOf(rc *receipt) *entry[property] {
	k := rc.home.property(rc.moves[0].Key)
	if len(rc.places) > 0 && rc.places[0] <= hs.properties.used {
		if e := hs.properties.at(rc.places[0]); e.ID == k && !e.is(flagFree) {
			return e
		}
	}
	e, _ := hs.properties.find(k)
	return e
}

// keepFact stores the fact of an event for one flag with the property of its home, if there is room. A fact from a
// past day makes room: a record of that day is late, so sending it again, which Amplitude drops, cannot move
// anything.
func (l *Ledger) keepFact(rc *receipt, hs *shard, flag uint64, told *entry[property]) {
	e := told
	if k := rc.home.property(flag); told.ID != k {
		e, _ = hs.properties.find(k)
	}
	if e != nil && (e.p.fact == 0 || (int16(rc.day-e.p.factDay()) > 0 && !rc.ahead)) {
		e.p.setFact(rc.fact, rc.day)
		if e != told {
			l.writeProperty(e)
		}
		return
	}
	l.addFact(hs, ID{rc.home.Hi, rc.fact}, rc.arrival.second)
}

func (l *Ledger) addFact(hs *shard, k ID, second uint32) {
	e, _ := kept(l, hs, &hs.facts, k, second)
	l.writeFact(e)
}

// applyOwner notes who is the last user on the device. The caller holds no lock.
func (l *Ledger) applyOwner(rc *receipt) {
	if rc.user == (ID{}) || rc.device == (ID{}) {
		return
	}
	s := &l.shards[l.shardOf(rc.device)]
	s.mu.Lock()
	defer s.mu.Unlock()
	e, _ := kept(l, s, &s.devices, rc.device, rc.arrival.second)
	if !rc.delivered || rc.second { // Amplitude drops a second copy before it looks up whose device it is
		s.unbind(e)
		return
	}
	s.bind(e, rc.user)
	l.writeDevice(s, e)
	if l.remote != nil {
		l.remote.shareOwner(e)
	}
}

// doubt notes that properties may differ from what is known about them. The caller holds the locks of the copy.
func (l *Ledger) doubt(person ID, home uint8, number uint32) {
	hs := &l.shards[home]
	s := &l.shards[hs.way.at(number).person]
	for w, next := hs, number; next != 0; w = s {
		countStep()
		n := w.way.at(next)
		next = n.more
		if !n.is(nodeMoves) {
			continue
		}
		if e, _ := s.properties.find(person.property(n.flag)); e != nil && e.p.value != n.value {
			e.p.set(propertySure, false)
			l.writeProperty(e)
		}
	}
}

// free returns the nodes of a copy.
func (l *Ledger) free(home uint8, number uint32) {
	hs := &l.shards[home]
	s := &l.shards[hs.way.at(number).person]
	for w := hs; number != 0; w = s {
		countStep()
		next := w.way.at(number).more
		w.way.remove(number)
		number = next
	}
	l.onWay.Add(-1)
}
