// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package dedup // import "github.com/otelcol-amplitude/otelcol-amplitude/processor/amplitudeexperimentprocessor/internal/dedup"

import "sync"

// shard is a part of the ledger with its own lock: persons and devices by the hash of their id. What is known about a
// person, the facts of events that name it and its copies on their way are in one shard. Locks of several shards are
// taken in numerical order.
type shard struct {
	mu         sync.Mutex
	properties table[property]
	facts      table[delivered]
	devices    table[device]
	// bound holds, for devices whose last user is on its way, the last user with a delivered event.
	bound map[ID]ID
	way   way
	// raised are the properties whose newest time has yet to be written.
	raised []uint32
	_      [64]byte // keeps the locks of neighbors off one cache line
}

// property is the value last sent to Amplitude for one person and one flag: 40 bytes.
type property struct {
	value uint64
	// fact is the low half of the id of a delivered event of this person for this flag alone; 0 for none.
	fact uint64
	// stamp is the newest event time in ms, the tokens left and the flags.
	stamp uint64
	// told is the time of the receipt in ms and the low bits of the day of fact.
	told uint64
	// filled is the second up to which tokens were added.
	filled uint32
	// way is the number of the last node on its way, 0 for none.
	way uint32
}

const (
	propertySure   = 1 << iota // nothing else can have been sent since
	propertyRaised             // is in shard.raised
	propertyBucket             // tokens and filled count
	propertyFormer             // an earlier process may have left copies in its queue that move it: what Redis knows is not sure

	timeBits    = 48
	timeShift   = 64 - timeBits
	timeMask    = 1<<timeBits - 1
	tokensShift = 8
	byteMask    = 1<<8 - 1
	dayMask     = 1<<timeShift - 1

	// burst is how many changes of one property may be sent at once, and refill the seconds until the next.
	burst  = 30
	refill = 60
)

func (p *property) newest() int64      { return int64(p.stamp >> timeShift) }
func (p *property) is(flag uint8) bool { return uint8(p.stamp)&flag != 0 }

func (p *property) set(flag uint8, on bool) {
	p.stamp &^= uint64(flag)
	if on {
		p.stamp |= uint64(flag)
	}
}

// raise advances the newest time, and reports whether it changed.
func (p *property) raise(t int64) bool {
	if t <= p.newest() {
		return false
	}
	p.stamp = p.stamp&dayMask | uint64(t)&timeMask<<timeShift
	return true
}

func (p *property) toldAt() int64 { return int64(p.told >> timeShift) }

func (p *property) setTold(ms int64) { p.told = p.told&dayMask | uint64(ms)&timeMask<<timeShift }

func (p *property) factDay() uint16 { return uint16(p.told) }

func (p *property) setFact(lo uint64, day uint16) {
	p.fact, p.told = lo, p.told&^uint64(dayMask)|uint64(day)
}

func (p *property) tokens() int64 { return int64(p.stamp >> tokensShift & byteMask) }

func (p *property) setTokens(n int64) {
	p.stamp = p.stamp&^uint64(byteMask<<tokensShift) | uint64(n)<<tokensShift | propertyBucket
}

// take takes a token for a change of the property, if there is one.
func (p *property) take(second uint32) bool {
	if !p.is(propertyBucket) {
		p.setTokens(burst)
		p.filled = second
	}
	gain := int64(0)
	if second > p.filled {
		gain = int64(second-p.filled) / refill
	}
	p.filled += uint32(gain) * refill
	n := min(burst, p.tokens()+gain)
	if n == 0 {
		p.setTokens(0)
		return false
	}
	p.setTokens(n - 1)
	return true
}

// delivered is empty: the fact is the whole information.
type delivered struct{}

// device is the last user on a device, accepted, and the event time at which that user appeared; no user if there was
// none.
type device struct {
	owner ID
	since int64
}

// effective is what Amplitude holds for a property once everything that was accepted has arrived.
type effective struct {
	value       uint64
	newest      int64
	known, sure bool
}

func (s *shard) effective(e *entry[property]) effective {
	switch {
	case e == nil:
		return effective{}
	case e.p.way != 0:
		return effective{s.way.at(e.p.way).value, e.p.newest(), true, true}
	default:
		return effective{e.p.value, e.p.newest(), true, e.p.is(propertySure)}
	}
}

// boundOf returns the last user on a device with a delivered event.
func (s *shard) boundOf(dev ID) ID {
	if user, ok := s.bound[dev]; ok {
		return user
	}
	if e, _ := s.devices.find(dev); e != nil {
		return e.p.owner
	}
	return ID{}
}

// own makes a user the last one on a device, accepted and not yet delivered, and reports whether that changes
// anything.
func (s *shard) own(e *entry[device], user ID, since int64) bool {
	if e.p.owner == user {
		return false
	}
	before, ok := s.bound[e.ID]
	if !ok {
		before = e.p.owner
		if s.bound == nil {
			s.bound = make(map[ID]ID)
		}
		s.bound[e.ID] = before
		e.pin(true)
	}
	e.p = device{user, since}
	if before == user {
		s.settleOwner(e)
	}
	return true
}

// bind makes a user the last one on a device, delivered.
func (s *shard) bind(e *entry[device], user ID) {
	e.p.owner = user
	s.settleOwner(e)
}

// unbind makes the last user with a delivered event the last user again.
func (s *shard) unbind(e *entry[device]) {
	if before, ok := s.bound[e.ID]; ok {
		e.p.owner = before
		s.settleOwner(e)
	}
}

func (s *shard) settleOwner(e *entry[device]) {
	delete(s.bound, e.ID)
	e.pin(false)
}
