// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package dedup // import "github.com/otelcol-amplitude/otelcol-amplitude/processor/amplitudeexperimentprocessor/internal/dedup"

// state is what a property is compared with, and where it is stored.
type state struct {
	effective
	number uint32 // of the entry, 0 if there is none
	own    int32  // place among what the batch itself moves, counted from 1
}

// decide answers record i of the batch, and reserves what it sends.
func (l *Ledger) decide(r *Reservation, i int) {
	rec := &r.records[i]
	if l.remote != nil {
		l.remote.merge(r, i)
	}
	if rec.User != (ID{}) {
		h := l.shardOf(rec.User)
		s := &l.shards[h]
		s.mu.Lock()
		done := l.judge(r, i, rec.User, h, nil, 0)
		s.mu.Unlock()
		if done {
			return
		}
		// Nothing is known about the user: what an anonymous device knows may carry over.
		d := l.shardOf(rec.Device)
		held := l.lock(h, h, d)
		l.judge(r, i, rec.User, h, &l.shards[d], 0)
		held.unlock()
		return
	}
	d := l.shardOf(rec.Device)
	for p := d; ; {
		held := l.lock(d, d, p)
		person, since := l.ownerOf(r, &l.shards[d], rec.Device)
		if person == (ID{}) {
			person = rec.Device
		}
		if at := l.shardOf(person); at != p {
			held.unlock()
			p = at
			continue
		}
		l.judge(r, i, person, p, &l.shards[d], since)
		held.unlock()
		return
	}
}

// ownerOf returns the last user on a device, whose shard is s, and when that user appeared there.
func (l *Ledger) ownerOf(r *Reservation, s *shard, dev ID) (ID, int64) {
	if len(r.owners.list) > 0 {
		if own := r.owners.find(dev); own != nil {
			return own.user, own.since
		}
	}
	if e, _ := remembered(l, &s.devices, dev, r.second); e != nil {
		s.devices.touch(e, r.second)
		return e.p.owner, e.p.since
	}
	return ID{}, 0
}

// judge decides record i, which belongs to the person, whose shard p is locked. dev is the shard of the record's
// device, also locked; a record without a user needs it. If it is needed but not given, judge does nothing and
// returns false.
func (l *Ledger) judge(r *Reservation, i int, person ID, p uint8, dev *shard, since int64) bool {
	rec := &r.records[i]
	s := &l.shards[p]
	flags, decisions := r.flags[rec.From:rec.To], r.decisions[rec.From:rec.To]
	r.states = r.states[:0]
	needsDevice := rec.User != (ID{}) && rec.Device != (ID{})
	for f := range flags {
		countStep()
		one := l.stateOf(r, s, person.property(flags[f].Key))
		if !one.known && needsDevice {
			if dev == nil {
				return false
			}
			if owner, _ := l.ownerOf(r, dev, rec.Device); owner == (ID{}) {
				one = l.stateOf(r, dev, rec.Device.property(flags[f].Key))
				one.sure, one.number, one.own = false, 0, 0
			}
		}
		r.states = append(r.states, one)
	}

	home, hs := homeOf(rec.User, rec.Device), s
	if rec.User == (ID{}) {
		hs = dev
	}
	fact, known := ID{}, true
	if rec.Event != (ID{}) {
		fact = home.fact(rec.Event, rec.Day)
		known = l.knows(r, hs, home, fact, i)
	}
	certain := known || l.former.certain(fact, rec.Time)

	t := min(rec.Time, r.believed)
	stale := rec.Time < r.now-l.history || (rec.User == (ID{}) && t < since)
	operations, repairs, late := 0, 0, 0
	for f := range flags {
		one, decision := &r.states[f], Decision(0)
		same := one.value == flags[f].Value
		switch {
		case stale:
		case !one.known:
			decision = Operate
			if known || !certain {
				decision |= Repair
			}
		case t < one.newest:
			decision = Late
		case same && (one.sure || (!known && certain)):
			decision = Operate
		case l.set.Mode == UniquePerDay:
			decision = Operate
		case l.take(r, s, one):
			decision = Operate | Repair
		default:
			decision = Flapping
			l.flaps.Add(1)
		}
		if one.known && !same && decision&Operate != 0 {
			decision |= Changed
		}
		if l.set.Mode == UniquePerDay {
			decision &^= Repair
		}
		decisions[f] = decision
		if decision&Operate != 0 {
			operations++
		}
		if decision&Repair != 0 {
			repairs++
		}
		if decision&Late != 0 {
			late++
		}
	}

	verdict := &r.verdicts[i]
	*verdict = Verdict{}
	if known {
		// A repeat confirms that the value is still current, even if another of its flags has to be set again.
		for f := range flags {
			if decisions[f]&(Operate|Repair) == Operate {
				if r.states[f].value == flags[f].Value {
					l.raise(r, s, &r.states[f], t)
				}
				decisions[f] &^= Changed
			}
			decisions[f] &^= Operate
		}
		if repairs == 0 {
			return true
		}
	}
	where := origin{person: person, shard: p, home: hs, time: t}
	if !known {
		verdict.Event = l.reserve(r, i, &where, fact, Operate, operations)
		verdict.Late = late > 0 && late == len(flags)
	}
	if repairs > 0 {
		verdict.Identify = l.reserve(r, i, &where, ID{}, Repair, repairs)
	}
	l.remember(r, i, &where, fact, known)
	return true
}

// stateOf returns what a property is compared with: what the batch itself does to it, else what is known.
func (l *Ledger) stateOf(r *Reservation, s *shard, k ID) (one state) {
	e, number := remembered(l, &s.properties, k, r.second)
	one.effective, one.number = s.effective(e), number
	if len(r.moves.list) > 0 {
		if own := r.moves.find(k); own != nil {
			one.own = r.moves.last
			one.effective = effective{own.value, max(one.newest, own.newest), true, true}
		}
	}
	return one
}

// knows reports whether the event was delivered, is on its way, or is part of the batch.
func (l *Ledger) knows(r *Reservation, s *shard, home, fact ID, i int) bool {
	rec := &r.records[i]
	if rec.To-rec.From == 1 {
		number := uint32(0)
		if rec.User != (ID{}) {
			number = r.states[0].number
		} else {
			_, number = remembered(l, &s.properties, home.property(r.flags[rec.From].Key), r.second)
		}
		if number != 0 {
			if e := s.properties.at(number); e.p.fact == fact.Lo {
				r.found(i, Delivered, int64(e.touched)*1000)
				s.properties.touch(e, r.second)
				return true
			}
		}
	}
	if s.facts.live > 0 {
		if e, _ := remembered(l, &s.facts, fact, r.second); e != nil {
			r.found(i, Delivered, int64(e.touched)*1000)
			s.facts.touch(e, r.second)
			return true
		}
	}
	if sent := s.way.find(home, fact.Lo); sent != nil {
		r.found(i, OnItsWay, sent.time())
		return true
	}
	if len(r.events.list) == 0 || r.events.find(fact) == nil {
		return false
	}
	r.found(i, SameBatch, 0)
	return true
}

// take takes a token for a change of the property.
func (l *Ledger) take(r *Reservation, s *shard, one *state) bool {
	switch {
	case one.number != 0:
		e := s.properties.at(one.number)
		taken := e.p.take(r.second)
		if taken {
			r.taken = append(r.taken, e.ID)
		}
		return taken
	case one.own != 0:
		own := &r.moves.list[one.own-1].v
		own.taken++
		return own.taken <= burst
	default:
		return true // known only for the device
	}
}

// raise notes that a repeat confirms that the value is still current.
func (l *Ledger) raise(r *Reservation, s *shard, one *state, t int64) {
	if one.own != 0 {
		own := &r.moves.list[one.own-1].v
		own.newest = max(own.newest, t)
	}
	if one.number == 0 {
		return
	}
	e := s.properties.at(one.number)
	s.properties.touch(e, r.second)
	if e.p.raise(t) {
		l.raised(s, e, one.number)
	}
}
