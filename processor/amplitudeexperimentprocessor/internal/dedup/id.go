// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package dedup // import "github.com/otelcol-amplitude/otelcol-amplitude/processor/amplitudeexperimentprocessor/internal/dedup"

import (
	"encoding/binary"
	"math/bits"
	"math/rand/v2"
)

const (
	mixA = 0x9e3779b97f4a7c15
	mixB = 0xd6e8feb86659fd93
)

// id is a Key as two words. hi alone chooses the shard, so that what is derived from a subject
// with [id.sent] lies in the shard of the subject.
type id struct{ hi, lo uint64 }

func (k *Key) id() id {
	return id{hi: binary.LittleEndian.Uint64(k[:8]), lo: binary.LittleEndian.Uint64(k[8:])}
}

func (k id) key() (key Key) {
	binary.LittleEndian.PutUint64(key[:8], k.hi)
	binary.LittleEndian.PutUint64(key[8:], k.lo)
	return key
}

// sent is the id under which it is remembered that the subject k had this result in this bucket.
// It does not depend on the process, since replicas and restarts share it.
func (k id) sent(bucket int32, result uint64) id {
	lo := fold(k.lo^mixA, result^mixB)
	return id{hi: k.hi, lo: fold(lo^mixB, uint64(uint32(bucket))^mixA)}
}

func fold(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a, b)
	return hi ^ lo
}

// seed makes places in the table unpredictable, so that nobody can aim at one of them.
type seed struct{ a, b uint64 }

func newSeed() seed {
	return seed{a: rand.Uint64(), b: rand.Uint64()} //nolint:gosec // against collisions, not for secrets
}

func (s seed) place(k id) uint64 { return fold(k.lo^s.a, k.hi^s.b) }

func (s seed) shard(hi uint64, shift uint8) uint32 {
	return uint32(((hi ^ s.b) * mixA) >> shift)
}
