// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package dedup // import "github.com/otelcol-amplitude/otelcol-amplitude/processor/amplitudeexperimentprocessor/internal/dedup"

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/zeebo/xxh3"
)

// Layout of the storage: "meta", and the blocks "page/<generation>/<n>" and "journal/<n>". A block is a header and
// rows; a row is a byte for its kind and what the functions below append. A later row of an id replaces an earlier
// one.
const (
	magic         = uint32(0x314c5841) // "AXL1"
	formatVersion = 1

	headerSize = 4 + 1 + 8 + 4 + 8 // magic, version, epoch, length of the rows, checksum

	rowProperty = 'P'
	rowFact     = 'F'
	rowDevice   = 'D'
	rowPending  = 'W'
	rowDone     = 'X'

	idSize       = 16
	propertySize = 1 + idSize + 4*8 + 4
	factSize     = 1 + idSize + 4
	deviceSize   = 1 + 2*idSize + 8 + 4
	pendingSize  = 1 + 8 + 8 + 2*idSize + 8 + 8 + 1 + 2 // plus 16 for each move
	moveSize     = 16
	doneSize     = 1 + 8

	pendingSingle = 1
	pendingAhead  = 2
)

var (
	errForeign = errors.New("the stored state was written by another version")
	errDamaged = errors.New("damaged")
	errScope   = errors.New("the stored state was written with another window, time zone or mode")
)

var le = binary.LittleEndian

func appendID(b []byte, k ID) []byte {
	return le.AppendUint64(le.AppendUint64(b, k.Hi), k.Lo)
}

func readID(b []byte) ID { return ID{le.Uint64(b), le.Uint64(b[8:])} }

func appendProperty(b []byte, e *entry[property]) []byte {
	b = appendID(append(b, rowProperty), e.ID)
	b = le.AppendUint64(b, e.p.value)
	b = le.AppendUint64(b, e.p.fact)
	b = le.AppendUint64(b, e.p.stamp)
	b = le.AppendUint64(b, e.p.told)
	return le.AppendUint32(b, e.touched)
}

func appendFact(b []byte, e *entry[delivered]) []byte {
	return le.AppendUint32(appendID(append(b, rowFact), e.ID), e.touched)
}

// appendDevice appends the last user with a delivered event.
func appendDevice(b []byte, e *entry[device], bound ID) []byte {
	b = appendID(appendID(append(b, rowDevice), e.ID), bound)
	b = le.AppendUint64(b, uint64(e.p.since))
	return le.AppendUint32(b, e.touched)
}

// appendPending appends a copy that is on its way. number identifies it, across processes.
func appendPending(b []byte, number, key uint64, c *formerCopy) []byte {
	b = le.AppendUint64(le.AppendUint64(append(b, rowPending), number), key)
	b = appendID(appendID(b, c.user), c.device)
	b = le.AppendUint64(b, c.fact)
	b = le.AppendUint64(b, uint64(c.time)<<timeShift|uint64(c.day))
	flags := byte(0)
	if c.single {
		flags |= pendingSingle
	}
	if c.ahead {
		flags |= pendingAhead
	}
	b = le.AppendUint16(append(b, flags), uint16(len(c.moves)))
	for _, m := range c.moves {
		b = le.AppendUint64(le.AppendUint64(b, m.Key), m.Value)
	}
	return b
}

func readPending(b []byte) (number, key uint64, c formerCopy) {
	number, key = le.Uint64(b[1:]), le.Uint64(b[9:])
	b = b[17:]
	c.user, c.device = readID(b), readID(b[idSize:])
	b = b[2*idSize:]
	c.fact = le.Uint64(b)
	stamp := le.Uint64(b[8:])
	c.time, c.day = int64(stamp>>timeShift), uint16(stamp)
	c.single, c.ahead = b[16]&pendingSingle != 0, b[16]&pendingAhead != 0
	c.moves = make([]Flag, le.Uint16(b[17:]))
	for i := range c.moves {
		at := b[19+i*moveSize:]
		c.moves[i] = Flag{le.Uint64(at), le.Uint64(at[8:])}
	}
	return number, key, c
}

func appendDone(b []byte, number uint64) []byte {
	return le.AppendUint64(append(b, rowDone), number)
}

// rowSize returns the size of the first row of b, or 0 if it is not valid.
func rowSize(b []byte) (size int) {
	switch b[0] {
	case rowProperty:
		size = propertySize
	case rowFact:
		size = factSize
	case rowDevice:
		size = deviceSize
	case rowPending:
		if len(b) >= pendingSize {
			size = pendingSize + int(le.Uint16(b[pendingSize-2:]))*moveSize
		}
	case rowDone:
		size = doneSize
	}
	if size > len(b) {
		return 0
	}
	return size
}

// wholeRows returns the size of as many rows of b as fit into room.
func wholeRows(b []byte, room int) (size int) {
	for size < len(b) {
		next := rowSize(b[size:])
		if next == 0 || size+next > room {
			break
		}
		size += next
	}
	return size
}

// newBlock begins a block; rows are appended to it, and seal completes it.
func newBlock(b []byte, epoch uint64) []byte {
	b = le.AppendUint32(b[:0], magic)
	b = append(b, formatVersion)
	b = le.AppendUint64(b, epoch)
	return append(b, make([]byte, headerSize-len(b))...)
}

func seal(b []byte) []byte {
	le.PutUint32(b[13:], uint32(len(b)-headerSize))
	le.PutUint64(b[17:], xxh3.Hash(b[headerSize:]))
	return b
}

// openBlock checks a block and returns its rows.
func openBlock(b []byte, epoch uint64) ([]byte, error) {
	if len(b) < headerSize || le.Uint32(b) != magic || b[4] != formatVersion || le.Uint64(b[5:]) != epoch {
		return nil, errForeign
	}
	rows := b[headerSize:]
	if int(le.Uint32(b[13:])) != len(rows) || le.Uint64(b[17:]) != xxh3.Hash(rows) {
		return nil, errDamaged
	}
	return rows, nil
}

// States of a stamp.
const (
	aliveRunning byte = 1
	aliveStopped byte = 2

	aliveSize = 4 + 1 + 1 + 8 + 8 // magic, version, state, time, until
)

// encodeAlive encodes a stamp: the storage had everything at that time, and up to the event time until no event is
// certainly new.
func encodeAlive(state byte, ms, until int64) []byte {
	b := append(le.AppendUint32(nil, magic), formatVersion, state)
	return le.AppendUint64(le.AppendUint64(b, uint64(ms)), uint64(until))
}

func readAlive(b []byte) (state byte, ms, until int64, ok bool) {
	if len(b) != aliveSize || le.Uint32(b) != magic || b[4] != formatVersion {
		return 0, 0, 0, false
	}
	return b[5], int64(le.Uint64(b[6:])), int64(le.Uint64(b[14:])), true
}

// meta says which blocks are valid.
type meta struct {
	epoch      uint64 // of all blocks that belong to it
	generation uint64 // of the pages
	pages      uint64
	first      uint64 // block of the journal
	life       uint64 // counts the processes that used it
	scope      string
}

const metaSize = 4 + 1 + 5*8 // plus the scope and a checksum

func (m *meta) encode() []byte {
	b := append(le.AppendUint32(nil, magic), formatVersion)
	for _, number := range []uint64{m.epoch, m.generation, m.pages, m.first, m.life} {
		b = le.AppendUint64(b, number)
	}
	b = append(b, m.scope...)
	return le.AppendUint64(b, xxh3.Hash(b))
}

func readMeta(b []byte, scope string) (m meta, err error) {
	if len(b) < metaSize+8 || le.Uint32(b) != magic {
		return meta{}, errForeign
	}
	if b[4] != formatVersion {
		return meta{}, fmt.Errorf("%w: found format %d, want %d", errForeign, b[4], formatVersion)
	}
	end := len(b) - 8
	if le.Uint64(b[end:]) != xxh3.Hash(b[:end]) {
		return meta{}, errDamaged
	}
	m = meta{
		epoch: le.Uint64(b[5:]), generation: le.Uint64(b[13:]), pages: le.Uint64(b[21:]), first: le.Uint64(b[29:]),
		life: le.Uint64(b[37:]), scope: string(b[metaSize:end]),
	}
	if m.scope != scope {
		return meta{}, errScope
	}
	return m, nil
}
