// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package diagnostics // import "github.com/otelcol-amplitude/otelcol-amplitude/internal/diagnostics"

import (
	"math/bits"
	"math/rand/v2"

	"github.com/zeebo/xxh3"
)

// Hashes made with the seeds are written to disk and shared between replicas, so the seeds must never change.
const (
	userSeed   = 0x5573
	deviceSeed = 0x4465
)

// Person identifies who was exposed or assigned, by the hashes of its ids; 0 is an absent id.
type Person struct{ User, Device uint64 }

// PersonOf returns the person with these ids; the empty string is an absent id.
func PersonOf(userID, deviceID string) Person {
	return Person{User: hashID(userID, userSeed), Device: hashID(deviceID, deviceSeed)}
}

func hashID(id string, seed uint64) uint64 {
	if id == "" {
		return 0
	}
	return max(1, xxh3.HashStringSeed(id, seed))
}

// Marks of an entry.
const (
	// markChanged: the person saw more than one variant.
	markChanged = 1 << iota
	// markDevice: the person is a device without a user.
	markDevice
	// markAlias: the device has a user now, who is counted in its place.
	markAlias
)

// entry is what is known about one person.
type entry struct {
	hash uint64
	// first is when the first variant was seen, in seconds since the Unix epoch.
	first uint32
	// day is the newest day of an exposure or, in a sample of assigned persons, of an assignment; counted from 1.
	day uint32
	// tag is the tag of the expected shares when the person was first seen.
	tag uint16
	// variant is the number of the first variant in the run.
	variant uint8
	marks   uint8
}

const (
	minSlots = 16
	// maxLevel leaves a sample of one in 2^40 persons.
	maxLevel = 40
)

// sample holds up to a number of persons, and beyond that a random sample of them: those whose hash starts with level
// zero bits.
type sample struct {
	slots []entry // open addressing; a hash of 0 is free
	used  int
	level uint8
	// scatter makes slots unpredictable, so that nobody can target one of them.
	scatter uint64
}

func newSample() sample { return sample{scatter: rand.Uint64() | 1} } //nolint:gosec // against collisions, not for secrets

func (s *sample) takes(hash uint64) bool { return bits.LeadingZeros64(hash) >= int(s.level) }

// weight returns how many persons one of the sample represents.
func (s *sample) weight() int { return 1 << s.level }

// find returns the entry of a hash, or nil.
func (s *sample) find(hash uint64) *entry {
	if s.used == 0 {
		return nil
	}
	e := &s.slots[s.place(hash)]
	if e.hash == 0 {
		return nil
	}
	return e
}

// place returns the slot of a hash, or the free slot where it belongs.
func (s *sample) place(hash uint64) int {
	mask := len(s.slots) - 1
	hi, _ := bits.Mul64(hash*s.scatter, uint64(len(s.slots)))
	for i := int(hi); ; i++ {
		if found := s.slots[i&mask].hash; found == hash || found == 0 {
			return i & mask
		}
	}
}

// put returns the entry of a hash, adding it if it is new, or nil if it is not part of the sample. The entry is valid
// until the next put.
func (s *sample) put(hash uint64, limit int) (e *entry, added bool) {
	if !s.takes(hash) {
		return nil, false
	}
	at := -1
	if len(s.slots) > 0 {
		if at = s.place(hash); s.slots[at].hash != 0 {
			return &s.slots[at], false
		}
	}
	if s.used >= limit && s.level < maxLevel {
		for s.used >= limit && s.level < maxLevel {
			s.level++
			s.rebuild(len(s.slots))
		}
		if at = -1; !s.takes(hash) {
			return nil, false
		}
	}
	const quarters = 4
	if s.used >= len(s.slots)-len(s.slots)/quarters {
		s.rebuild(max(minSlots, 2*len(s.slots)))
		at = -1
	}
	if at < 0 {
		at = s.place(hash)
	}
	e = &s.slots[at]
	e.hash = hash
	s.used++
	return e, true
}

// rebuild moves what the level keeps into a table with this many slots.
func (s *sample) rebuild(slots int) {
	old := s.slots
	s.slots, s.used = make([]entry, slots), 0
	for i := range old {
		if old[i].hash != 0 && s.takes(old[i].hash) {
			s.slots[s.place(old[i].hash)] = old[i]
			s.used++
		}
	}
}

// raise brings the sample to at least a level.
func (s *sample) raise(level uint8) {
	if level > s.level {
		s.level = level
		s.rebuild(len(s.slots))
	}
}
