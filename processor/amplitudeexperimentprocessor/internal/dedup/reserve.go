// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package dedup // import "github.com/otelcol-amplitude/otelcol-amplitude/processor/amplitudeexperimentprocessor/internal/dedup"

import (
	"context"

	"go.uber.org/zap"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/amplitude/receipts"
)

// Reservation is one batch between the decision and the answer of the next component. Exactly one of Accept and
// Release ends it, and it must not be used afterward.
//
// A batch is decided by [Ledger.Reserve]. The caller then names each copy that the verdicts ask for with
// [Reservation.Name], calls [Reservation.HandOver] once, and hands the batch on with the context that it returns.
type Reservation struct {
	l      *Ledger
	now    int64  // arrival of the batch, in ms
	second uint32 // the same in seconds
	// believed is the time up to which event times are believed.
	believed int64

	records   []Record
	flags     []Flag
	verdicts  []Verdict
	decisions []Decision
	states    []state // of the flags of the current record
	known     []Known // what makes each record a repeat; empty unless the caller asks

	moves  batchMap[ownMove]
	events batchMap[struct{}]
	owners batchMap[ownOwner]

	copies  []outgoing
	taken   []ID // properties that a token was taken from
	repairs bool
	written bool // the journal has the rows of the copies
	blind   bool // its copies are not tracked until their receipts
	crossed bool // another value was accepted for a property since the decision
	batch   receipts.Batch
	remote  remoteBatch
}

// outgoing is a copy of an event or $identify that the batch sends.
type outgoing struct {
	person, home     ID
	node             uint32
	shard, homeShard uint8
	key              uint64
}

// origin is where a record belongs.
type origin struct {
	person ID
	shard  uint8 // of the person
	home   *shard
	time   int64
}

// Reserve decides about a batch: verdicts[i] answers records[i], and decisions[j] is what becomes of flags[j]; both
// must be as long as what they answer. The records of one batch see each other, in order. Nothing is remembered
// before Accept. The slices are used until then.
//
// ctx bounds only the Redis lookup. If that fails, it makes no record a repeat.
func (l *Ledger) Reserve(ctx context.Context, records []Record, flags []Flag, verdicts []Verdict, decisions []Decision) *Reservation {
	return l.ReserveKnowing(ctx, records, flags, verdicts, decisions, nil)
}

// ReserveKnowing is Reserve for callers that ask why: known[i] receives what makes records[i] a repeat. known is
// empty, or as long as records.
func (l *Ledger) ReserveKnowing(ctx context.Context, records []Record, flags []Flag, verdicts []Verdict, decisions []Decision, known []Known) *Reservation {
	var r *Reservation
	select {
	case r = <-l.idle:
	default:
		r = &Reservation{}
	}
	r.l = l
	r.now, r.second = l.now()
	r.believed = l.believe(r.now)
	r.records, r.flags, r.verdicts, r.decisions = records, flags, verdicts[:len(records)], decisions[:len(flags)]
	r.known = known
	if l.remote != nil {
		l.remote.look(ctx, r)
	}
	for i := range records {
		l.decide(r, i)
	}
	return r
}

// found notes what makes record i a repeat, if the caller asks.
func (r *Reservation) found(i int, state KnownState, at int64) {
	if len(r.known) > 0 {
		r.known[i] = Known{state, at}
	}
}

// reserve puts an event, or a $identify if fact is zero, on its way, with the flags whose decision has the mark. The
// caller holds the locks of the shards of the person and of the home.
func (l *Ledger) reserve(r *Reservation, i int, where *origin, fact ID, mark Decision, moves int) int32 {
	rec := &r.records[i]
	s := &l.shards[where.shard]
	first := node{user: rec.User, device: rec.Device, fact: fact.Lo, person: where.shard, stamp: uint64(where.time)&timeMask<<timeShift | uint64(uint16(rec.Day))}
	if rec.Time > r.believed {
		first.state |= nodeAhead
	}
	if rec.To-rec.From == 1 {
		first.state |= nodeSingle
	}
	n, number := where.home.way.add()
	*n = first
	last := &n.more
	apart := where.home != s
	if moves > 0 {
		for f := rec.From; f < rec.To; f++ {
			if r.decisions[f]&mark == 0 {
				continue
			}
			one := n
			if apart || n.is(nodeMoves) {
				var more uint32
				one, more = s.way.add()
				one.stamp = first.stamp
				*last, last = more, &one.more
			}
			one.state |= nodeMoves
			one.flag, one.value = r.flags[f].Key, r.flags[f].Value
		}
	}
	home := homeOf(rec.User, rec.Device)
	r.copies = append(r.copies, outgoing{person: where.person, home: home, node: number, shard: where.shard, homeShard: l.shardOf(home)})
	r.repairs = r.repairs || fact == (ID{})
	l.onWay.Add(1)
	return int32(len(r.copies))
}

// remember lets the later records of the batch see what record i does.
func (l *Ledger) remember(r *Reservation, i int, where *origin, fact ID, known bool) {
	rec := &r.records[i]
	mark := Operate
	if known {
		mark = Repair
	} else {
		r.events.put(fact)
	}
	for f := rec.From; f < rec.To; f++ {
		if r.decisions[f]&mark != 0 {
			own, made := r.moves.put(where.person.property(r.flags[f].Key))
			if made {
				own.newest = 0
				own.taken = 0
			}
			own.value, own.newest = r.flags[f].Value, max(own.newest, where.time)
		}
	}
	if rec.User != (ID{}) && rec.Device != (ID{}) {
		own, _ := r.owners.put(rec.Device)
		if own.user != rec.User {
			*own = ownOwner{rec.User, where.time}
		}
	}
}

// Copies is the number of events and $identify that the batch sends.
func (r *Reservation) Copies() int {
	if r == nil {
		return 0
	}
	return len(r.copies)
}

// Name sets the key, a hash of its insert_id, under which a copy of a Verdict will be claimed and settled.
func (r *Reservation) Name(copy int32, key uint64) { r.copies[copy-1].key = key }

// HandOver prepares for handing the batch on with the context that it returns. Corrections of properties are stored
// first, if the storage is fast enough.
func (r *Reservation) HandOver(ctx context.Context) context.Context {
	if r == nil || len(r.copies) == 0 {
		return ctx
	}
	l := r.l
	if r.repairs && l.journal != nil {
		r.write()
		l.journal.sync(ctx)
	}
	r.batch.Begin(l.sink)
	if r.blind = l.onWay.Load() > l.maxOnWay; r.blind {
		l.loseSight()
		return ctx
	}
	for i := range r.copies {
		c := &r.copies[i]
		r.batch.Add(c.key, token(c.homeShard, c.node))
	}
	return r.batch.Context(ctx)
}

// loseSight notes that more is on its way than can be tracked. Untracked copies make no record a repeat, what they
// move is not sure, and for the rest of the day no event is certainly new.
func (l *Ledger) loseSight() {
	l.former.until.Store(l.set.Clock().Add(l.set.Window).UnixMilli())
	if l.lostSight.CompareAndSwap(false, true) {
		l.set.Logger.Warn("More events wait for delivery than max_entries, and the excess is not tracked. For a day, the first "+
			"report of each property sets it again", zap.Int64("on_the_way", l.onWay.Load()))
	}
}

func token(home uint8, number uint32) uint64 { return uint64(home)<<32 | uint64(number) }

// write puts the rows of all copies into the journal.
func (r *Reservation) write() {
	r.written = true
	for i := range r.copies {
		c := &r.copies[i]
		held := r.l.lock(c.homeShard, c.shard, c.shard)
		r.l.shards[c.homeShard].way.at(c.node).key = c.key
		r.l.writePending(c.homeShard, c.node)
		held.unlock()
	}
}

// Accept remembers what the batch sent. Call it when the next component accepted the batch. A nil Reservation has
// nothing to remember.
func (r *Reservation) Accept() {
	if r == nil {
		return
	}
	l := r.l
	r.batch.Close()
	for i := range r.copies {
		l.accept(r, i)
	}
	if r.crossed && l.journal != nil {
		// If the process were killed now, nothing would show that the property has to be set again.
		l.journal.sync(context.Background())
	}
	r.end()
}

// Release discards the reservations of the batch. Call it when the next component refused the batch. A nil
// Reservation has nothing to discard.
func (r *Reservation) Release() {
	if r == nil {
		return
	}
	l := r.l
	r.batch.Close()
	for i := range r.copies {
		l.release(r, i)
	}
	for _, k := range r.taken {
		s := &l.shards[l.shardOf(k)]
		s.mu.Lock()
		if e, _ := s.properties.find(k); e != nil && e.p.is(propertyBucket) {
			e.p.setTokens(min(burst, e.p.tokens()+1))
		}
		s.mu.Unlock()
	}
	r.end()
}

// maxKept is how many entries an idle reservation may have room for: one huge batch must not hold its memory forever.
const maxKept = 1 << 17

func (r *Reservation) room() int {
	return cap(r.copies) + cap(r.taken) + cap(r.moves.list) + cap(r.events.list) + cap(r.owners.list) + cap(r.remote.keys)
}

func (r *Reservation) end() {
	l := r.l
	r.copies, r.taken = r.copies[:0], r.taken[:0]
	r.repairs, r.written, r.blind, r.crossed = false, false, false, false
	r.moves.reset()
	r.events.reset()
	r.owners.reset()
	r.remote.reset()
	r.records, r.flags, r.verdicts, r.decisions, r.known = nil, nil, nil, nil, nil
	r.l = nil
	if r.room() > maxKept {
		return
	}
	select {
	case l.idle <- r:
	default:
	}
}

// accept puts a copy behind everything that is on its way.
func (l *Ledger) accept(r *Reservation, i int) {
	c := &r.copies[i]
	hs, s := &l.shards[c.homeShard], &l.shards[c.shard]
	held := l.lock(c.homeShard, c.shard, c.shard)
	first := hs.way.at(c.node)
	first.key = c.key
	first.state |= nodeAccepted
	if first.fact != 0 {
		hs.way.link(c.node)
	}
	for at, number := hs, c.node; number != 0; {
		countStep()
		n := at.way.at(number)
		if n.is(nodeMoves) {
			k := c.person.property(n.flag)
			e, place := remembered(l, &s.properties, k, r.second)
			if e != nil {
				s.properties.touch(e, r.second)
				if !r.repairs && s.effective(e).value != n.value {
					n.state |= nodeCrossed
					r.crossed = true
				}
			} else {
				e, place = added(l, s, &s.properties, k, r.second)
				r.carry(e)
			}
			e.p.raise(first.time())
			n.property = place
			n.prev = e.p.way
			if n.prev != 0 {
				s.way.at(n.prev).next = number
			}
			e.p.way = number
			e.pin(true)
			if c.person != c.home {
				l.writeProperty(e) // the row of the copy only names the device
			}
		}
		number, at = n.more, s
	}
	if l.journal != nil && !r.written {
		l.writePending(c.homeShard, c.node)
	}
	user, dev, t := first.user, first.device, first.time()
	if r.blind {
		first.state |= nodeFailed | nodeAmbiguous
	}
	first.claims = uint8(r.batch.Claims(i))
	done := first.settled >= first.claims
	held.unlock()

	if user != (ID{}) && dev != (ID{}) {
		l.own(r, user, dev, t, done)
	}
	if done {
		l.finish(c.homeShard, c.node, arrival{r.now, r.second})
	}
}

// own makes a user the last one on a device. With done, the copy was already delivered, which will be noted in a
// moment.
func (l *Ledger) own(r *Reservation, user, dev ID, since int64, done bool) {
	s := &l.shards[l.shardOf(dev)]
	s.mu.Lock()
	defer s.mu.Unlock()
	e, _ := kept(l, s, &s.devices, dev, r.second)
	if done && l.remote == nil {
		if e.p.owner != user {
			e.p = device{user, since}
		}
		return
	}
	if s.own(e, user, since) {
		l.writeDevice(s, e)
	}
}

// carry copies what the batch itself knows to the entry of a property that was unknown before.
func (r *Reservation) carry(e *entry[property]) {
	own := r.moves.find(e.ID)
	if own == nil {
		return
	}
	e.p.raise(own.newest)
	if own.taken > 0 {
		e.p.setTokens(int64(burst - min(burst, own.taken)))
		e.p.filled = r.second
	}
}

// release takes a copy back. If an exporter took it anyway, it may still arrive.
func (l *Ledger) release(r *Reservation, i int) {
	c := &r.copies[i]
	held := l.lock(c.homeShard, c.shard, c.shard)
	defer held.unlock()
	if r.written {
		l.writeDone(l.rowNumber(c.homeShard, c.node))
	}
	first := l.shards[c.homeShard].way.at(c.node)
	first.claims = uint8(r.batch.Claims(i))
	if first.settled < first.claims {
		first.state |= nodeOrphan
		return
	}
	if first.claims > 0 && !first.is(nodeFailed) {
		l.doubt(c.person, c.homeShard, c.node)
	}
	l.free(c.homeShard, c.node)
}
