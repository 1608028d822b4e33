// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package experiment // import "github.com/otelcol-amplitude/otelcol-amplitude/internal/experiment"

import (
	"cmp"
	"encoding/binary"
	"math"
	"math/bits"

	"github.com/zeebo/xxh3"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/steps"
)

// contentOf hashes the content of a record: its time, trace context, attributes and body. The same record has the same
// hash wherever and whenever it arrives, regardless of the order of its attributes.
func contentOf(record plog.LogRecord) xxh3.Uint128 {
	var head [48]byte
	trace, span := record.TraceID(), record.SpanID()
	binary.LittleEndian.PutUint64(head[:], uint64(cmp.Or(record.Timestamp(), record.ObservedTimestamp())))
	copy(head[8:], trace[:])
	copy(head[24:], span[:])
	body, attributes := hashValue(record.Body(), 0), hashMap(record.Attributes(), 0)
	binary.LittleEndian.PutUint64(head[32:], body)
	binary.LittleEndian.PutUint64(head[40:], attributes)
	return xxh3.Hash128(head[:])
}

// The seeds keep values of different types apart.
const (
	seedKey = iota + 1
	seedText
	seedNumber
	seedBoolean
	seedBytes
	seedMap
	seedList
)

// maxHashed is the depth to which maps and lists are hashed; anything deeper is never sent.
const maxHashed = 40

// hashMap hashes a map so that the order of its entries does not matter.
func hashMap(m pcommon.Map, depth int) (sum uint64) {
	steps.Add(m.Len())
	for key, value := range m.All() {
		sum += mix(xxh3.HashStringSeed(key, seedKey), hashValue(value, depth))
	}
	return mix(sum, seedMap+uint64(m.Len())<<8)
}

// hashValue hashes a value with its type.
func hashValue(value pcommon.Value, depth int) uint64 {
	if depth > maxHashed {
		return 0
	}
	switch value.Type() {
	case pcommon.ValueTypeStr:
		steps.Add(len(value.Str()) / bytesPerStep)
		return xxh3.HashStringSeed(value.Str(), seedText)
	case pcommon.ValueTypeInt:
		return hashNumber(seedNumber, uint64(value.Int()))
	case pcommon.ValueTypeDouble:
		return hashNumber(seedNumber+seedList, math.Float64bits(value.Double()))
	case pcommon.ValueTypeBool:
		if value.Bool() {
			return hashNumber(seedBoolean, 1)
		}
		return hashNumber(seedBoolean, 0)
	case pcommon.ValueTypeBytes:
		return xxh3.HashSeed(value.Bytes().AsRaw(), seedBytes)
	case pcommon.ValueTypeMap:
		return hashMap(value.Map(), depth+1)
	case pcommon.ValueTypeSlice:
		sum := uint64(seedList)
		steps.Add(value.Slice().Len())
		for _, one := range value.Slice().All() {
			sum = mix(bits.RotateLeft64(sum, 1), hashValue(one, depth+1))
		}
		return sum
	default:
		return 0
	}
}

func hashNumber(seed, number uint64) uint64 {
	var text [8]byte
	binary.LittleEndian.PutUint64(text[:], number)
	return xxh3.HashSeed(text[:], seed)
}

// mix combines two hashes, in this order.
func mix(a, b uint64) uint64 {
	var text [16]byte
	binary.LittleEndian.PutUint64(text[:], a)
	binary.LittleEndian.PutUint64(text[8:], b)
	return xxh3.Hash(text[:])
}
