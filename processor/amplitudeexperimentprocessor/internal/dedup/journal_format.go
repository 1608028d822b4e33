// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package dedup // import "github.com/otelcol-amplitude/otelcol-amplitude/processor/amplitudeexperimentprocessor/internal/dedup"

import (
	"encoding/binary"
	"errors"

	"github.com/zeebo/xxh3"
)

// What is kept in the storage: "meta", and the blocks "page/<generation>/<n>" and "journal/<n>".
// A block is a header and images of entries; a later image of an entry replaces an earlier one.
const (
	magic         = uint32(0x31445841) // "AXD1"
	formatVersion = 1

	headerSize = 4 + 1 + 8 + 4 + 8 // magic, version, epoch, images, checksum
	imageSize  = 3*8 + 8 + 3*4 + 1

	imageUnconfirmed = 1 // on its way when it was written: may not have arrived
	imageGone        = 2 // not remembered after all
	imageOvertaken   = 4 // an older result was accepted after it
	imageArrived     = 8 // beside imageUnconfirmed: one of several on their way, and it was accepted
)

var (
	errForeign = errors.New("not written by this processor")
	errDamaged = errors.New("damaged")
	errScope   = errors.New("written under another configuration of the window, the time zone or the mode")
)

// image is an entry at one moment.
type image struct {
	entry
	flags byte
}

func imageOf(e *entry) image {
	img := image{entry: *e}
	if e.is(flagUnconfirmed) {
		img.flags |= imageUnconfirmed
	}
	if e.is(flagOvertaken) {
		img.flags |= imageOvertaken
	}
	return img
}

func (img *image) appendTo(b []byte) []byte {
	le := binary.LittleEndian
	b = le.AppendUint64(b, img.hi)
	b = le.AppendUint64(b, img.lo)
	b = le.AppendUint64(b, img.result)
	b = le.AppendUint64(b, uint64(img.newest))
	b = le.AppendUint32(b, uint32(img.bucket))
	b = le.AppendUint32(b, img.n)
	b = le.AppendUint32(b, img.touched)
	return append(b, img.flags)
}

func readImage(b []byte) (img image) {
	le := binary.LittleEndian
	img.hi = le.Uint64(b)
	img.lo = le.Uint64(b[8:])
	img.result = le.Uint64(b[16:])
	img.newest = int64(le.Uint64(b[24:]))
	img.bucket = int32(le.Uint32(b[32:]))
	img.n = le.Uint32(b[36:])
	img.touched = le.Uint32(b[40:])
	img.flags = b[44]
	return img
}

// newBlock begins a block; images are appended to it and seal completes it.
func newBlock(b []byte, epoch uint64) []byte {
	b = binary.LittleEndian.AppendUint32(b[:0], magic)
	b = append(b, formatVersion)
	b = binary.LittleEndian.AppendUint64(b, epoch)
	return append(b, make([]byte, headerSize-len(b))...)
}

func seal(b []byte) []byte {
	binary.LittleEndian.PutUint32(b[13:], uint32((len(b)-headerSize)/imageSize))
	binary.LittleEndian.PutUint64(b[17:], xxh3.Hash(b[headerSize:]))
	return b
}

// openBlock checks a block and returns its images.
func openBlock(b []byte, epoch uint64) ([]byte, error) {
	if len(b) < headerSize || binary.LittleEndian.Uint32(b) != magic || b[4] != formatVersion ||
		binary.LittleEndian.Uint64(b[5:]) != epoch {
		return nil, errForeign
	}
	images := b[headerSize:]
	if int(binary.LittleEndian.Uint32(b[13:]))*imageSize != len(images) ||
		binary.LittleEndian.Uint64(b[17:]) != xxh3.Hash(images) {
		return nil, errDamaged
	}
	return images, nil
}

// meta says which blocks count.
type meta struct {
	epoch      uint64 // of all blocks that belong to it
	generation uint64 // of the pages
	pages      uint64
	first      uint64 // block of the journal
	scope      string
}

const metaSize = 4 + 1 + 4*8 // and the scope, and a checksum

func (m *meta) encode() []byte {
	le := binary.LittleEndian
	b := le.AppendUint32(nil, magic)
	b = append(b, formatVersion)
	for _, number := range []uint64{m.epoch, m.generation, m.pages, m.first} {
		b = le.AppendUint64(b, number)
	}
	b = append(b, m.scope...)
	return le.AppendUint64(b, xxh3.Hash(b))
}

func readMeta(b []byte, scope string) (m meta, err error) {
	le := binary.LittleEndian
	if len(b) < metaSize+8 || le.Uint32(b) != magic || b[4] != formatVersion {
		return meta{}, errForeign
	}
	end := len(b) - 8
	if le.Uint64(b[end:]) != xxh3.Hash(b[:end]) {
		return meta{}, errDamaged
	}
	m = meta{
		epoch: le.Uint64(b[5:]), generation: le.Uint64(b[13:]), pages: le.Uint64(b[21:]), first: le.Uint64(b[29:]),
		scope: string(b[metaSize:end]),
	}
	if m.scope != scope {
		return meta{}, errScope
	}
	return m, nil
}
