// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package diagnostics // import "github.com/otelcol-amplitude/otelcol-amplitude/internal/diagnostics"

import (
	"encoding/binary"
	"errors"
	"math"
)

// magic starts the encoding; its digit is the version.
const magic = "AXD1"

const entrySize = 8 + 4 + 4 + 2 + 1 + 1

var (
	le = binary.LittleEndian

	errDamaged = errors.New("it is damaged, or from a newer version")
)

// encode appends everything known about a flag; own adds what is not shared with other replicas.
func (f *flag) encode(b []byte, own bool) []byte {
	b = append(b, magic...)
	b = appendText(b, f.shares.String())
	b = binary.AppendVarint(b, f.seen)
	b = f.assigned.encode(b)
	b = binary.AppendUvarint(b, uint64(len(f.runs)))
	for _, r := range f.runs {
		b = appendText(b, r.key)
		b = binary.AppendVarint(b, r.seen)
		b = le.AppendUint64(b, math.Float64bits(r.best))
		for _, n := range []int64{r.exposures, r.unexposures, r.late} {
			if !own {
				n = 0
			}
			b = binary.AppendVarint(b, n)
		}
		b = append(b, byte(len(r.variants)))
		for _, name := range r.variants {
			b = appendText(b, name)
		}
		b = r.persons.encode(b)
	}
	return b
}

func appendText(b []byte, text string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(text))), text...)
}

func (s *sample) encode(b []byte) []byte {
	b = append(b, s.level)
	b = binary.AppendUvarint(b, uint64(s.used))
	for i := range s.slots {
		e := &s.slots[i]
		if e.hash == 0 {
			continue
		}
		b = le.AppendUint64(b, e.hash)
		b = le.AppendUint32(b, e.first)
		b = le.AppendUint32(b, e.day)
		b = le.AppendUint16(b, e.tag)
		b = append(b, e.variant, e.marks)
	}
	return b
}

// kept is a decoded flag. Its samples are lists, not tables.
type kept struct {
	shares   string
	seen     int64
	assigned keptSample
	runs     []keptRun
}

type keptRun struct {
	run
	persons keptSample
}

type keptSample struct {
	level   uint8
	entries []entry
}

// decoder reads what encode has written; after the first error all reads return zero values.
type decoder struct {
	b      []byte
	failed bool
}

func decode(content []byte) (*kept, error) {
	d := &decoder{b: content}
	if string(d.bytes(len(magic))) != magic {
		return nil, errDamaged
	}
	k := &kept{shares: d.text(), seen: d.varint(), assigned: d.sample(1)}
	for n := d.count(1); n > 0 && !d.failed; n-- {
		r := keptRun{run: run{key: d.text(), seen: d.varint(), best: d.float()}}
		r.exposures, r.unexposures, r.late = d.varint(), d.varint(), d.varint()
		variants := int(d.byte())
		for range variants {
			r.variants = append(r.variants, d.text())
		}
		r.persons = d.sample(variants)
		k.runs = append(k.runs, r)
	}
	if d.failed || len(d.b) > 0 {
		return nil, errDamaged
	}
	return k, nil
}

func (d *decoder) bytes(n int) []byte {
	if n < 0 || n > len(d.b) {
		d.failed, d.b = true, nil
		return nil
	}
	taken := d.b[:n]
	d.b = d.b[n:]
	return taken
}

func (d *decoder) byte() byte {
	if b := d.bytes(1); b != nil {
		return b[0]
	}
	return 0
}

// count reads the number of items that take at least size bytes each.
func (d *decoder) count(size int) int {
	n, length := binary.Uvarint(d.b)
	if d.bytes(length); length <= 0 || n > uint64(len(d.b)/size) {
		d.bytes(-1)
		return 0
	}
	return int(n)
}

func (d *decoder) text() string { return string(d.bytes(d.count(1))) }

func (d *decoder) varint() int64 {
	n, length := binary.Varint(d.b)
	if d.bytes(length); length <= 0 {
		d.bytes(-1)
		return 0
	}
	return n
}

func (d *decoder) float() float64 {
	b := d.bytes(8)
	if b == nil {
		return 0
	}
	f := math.Float64frombits(le.Uint64(b))
	if !(f >= 0) {
		d.bytes(-1)
	}
	return f
}

func (d *decoder) sample(variants int) keptSample {
	s := keptSample{level: d.byte()}
	if s.level > maxLevel {
		d.bytes(-1)
	}
	takes := sample{level: s.level}
	n := d.count(entrySize)
	s.entries = make([]entry, 0, n)
	for range n {
		b := d.bytes(entrySize)
		if b == nil {
			break
		}
		e := entry{hash: le.Uint64(b), first: le.Uint32(b[8:]), day: le.Uint32(b[12:]), tag: le.Uint16(b[16:]), variant: b[18], marks: b[19]}
		if e.hash == 0 || !takes.takes(e.hash) || int(e.variant) >= variants {
			d.bytes(-1)
			break
		}
		s.entries = append(s.entries, e)
	}
	return s
}
