// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package dedup // import "github.com/otelcol-amplitude/otelcol-amplitude/processor/amplitudeexperimentprocessor/internal/dedup"

import (
	"math/bits"
	"math/rand/v2"

	"github.com/zeebo/xxh3"
)

// ID is a 128-bit hash. The zero ID means absent.
type ID struct{ Hi, Lo uint64 }

// The seeds keep a user and a device with the same name apart. Hashes made with them are written to disk and shared
// between replicas, so the seeds must never change.
const (
	userSeed   = 0x75
	deviceSeed = 0x64

	mixA = 0x9e3779b97f4a7c15
	mixB = 0xd6e8feb86659fd93
)

// UserID hashes a user_id; the empty string is absent.
func UserID(text string) ID { return hashID(text, userSeed) }

// DeviceID hashes a device_id; the empty string is absent.
func DeviceID(text string) ID { return hashID(text, deviceSeed) }

func hashID(text string, seed uint64) ID {
	if text == "" {
		return ID{}
	}
	h := xxh3.HashString128Seed(text, seed)
	return ID{h.Hi, h.Lo}
}

// property returns the id of a person's user property for a flag. It lies in the shard of the person.
func (id ID) property(flag uint64) ID {
	return ID{id.Hi, fold(id.Lo^mixA, flag^mixB)}
}

// fact returns the id of an event of the person or device that a record names itself. It lies in the shard of that
// person or device.
func (id ID) fact(event ID, day int32) ID {
	return ID{id.Hi, max(1, fold(fold(id.Lo^mixB, event.Lo^mixA), event.Hi^uint64(uint32(day))*mixA))} // 0 is none
}

func fold(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a, b)
	return hi ^ lo
}

// seed makes places in a table unpredictable, so that nobody can target one of them.
type seed struct{ a, b uint64 }

func newSeed() seed {
	return seed{a: rand.Uint64(), b: rand.Uint64()} //nolint:gosec // against collisions, not for secrets
}

func (s seed) place(k ID) uint64 { return fold(k.Lo^s.a, k.Hi^s.b) }

func (s seed) shard(hi uint64, shift uint8) uint8 { return uint8(((hi ^ s.b) * mixA) >> shift) }
