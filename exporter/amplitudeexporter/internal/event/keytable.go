// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package event // import "github.com/otelcol-amplitude/otelcol-amplitude/exporter/amplitudeexporter/internal/event"

import (
	"strings"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/amplitude"
)

const (
	// maxKeys and maxKeyBytes bound the attribute names that an encoder caches.
	maxKeys     = 4096
	maxKeyBytes = 256 << 10
)

// section is the part of an event that an attribute belongs to.
type section uint8

const (
	sectionUnknown section = iota
	sectionField
	sectionProperty
	sectionUser
	sectionGroup
	sectionGroups
	sectionJSON
)

// key is the meaning of an attribute name. It is determined once, not for each record.
type key struct {
	attribute string
	section   section
	// operator is the index into amplitude.Operators, for an operation.
	operator uint8
	field    *field
	// name is the property's own name, and json is that name as JSON with the following colon.
	name, json string
	// record is the last record that had the attribute.
	record uint64
}

// newKey parses an attribute name.
func newKey(attribute string) *key {
	k := &key{attribute: attribute}
	rest, ours := strings.CutPrefix(attribute, amplitude.AttrPrefix)
	if !ours {
		k.setName(sectionProperty, attribute)
		return k
	}
	// Field names have no dot, and families always have one.
	family, rest, dotted := strings.Cut(rest, ".")
	if !dotted {
		if k.field = fields[family]; k.field != nil {
			k.section = sectionField
		} else if family == amplitude.FieldEventJSON {
			k.section = sectionJSON
		}
		return k
	}
	switch family {
	case amplitude.FieldUserProperties:
		k.setOperation(sectionUser, rest)
	case amplitude.FieldGroupProperties:
		k.setOperation(sectionGroup, rest)
	case amplitude.FieldEventProperties:
		// Any other name is its own attribute, and a property must not be in an event twice.
		if strings.HasPrefix(rest, amplitude.AttrPrefix) {
			k.setName(sectionProperty, rest)
		}
	case amplitude.FieldGroups:
		if rest != "" {
			k.setName(sectionGroups, rest)
		}
	}
	return k
}

func (k *key) setName(s section, name string) {
	k.section, k.name = s, name
	k.json = string(append(AppendString(nil, name), ':'))
}

// setOperation parses "<operator>.<property>", or just the operator for the one without properties.
func (k *key) setOperation(s section, rest string) {
	word, name, _ := strings.Cut(rest, ".")
	if (name == "") != (word == amplitude.OpClearAll) {
		return
	}
	for i, candidate := range amplitude.Operators {
		if candidate == word {
			k.operator = uint8(i)
			k.setName(s, name)
			return
		}
	}
}

// keyTable caches the attribute names of records. Consecutive records usually have the same names in the same order, so
// one comparison usually finds a key.
type keyTable struct {
	known  map[string]*key
	bytes  int
	order  []*key
	record uint64
}

// next begins a record.
func (k *keyTable) next() {
	k.shrink()
	k.record++
}

// shrink forgets all names if they are too many. It must not be called within a record.
func (k *keyTable) shrink() {
	if len(k.known) > maxKeys || k.bytes > maxKeyBytes {
		// Clearing a map takes time proportional to its largest size.
		k.known, k.order, k.bytes = nil, nil, 0
	}
}

// find returns the key of the record's attribute at a position, and whether it is a duplicate in the record: the first
// one wins.
func (k *keyTable) find(place int, attribute string) (found *key, repeated bool) {
	if place < len(k.order) && k.order[place].attribute == attribute {
		found = k.order[place]
	} else {
		found = k.lookUp(place, attribute)
	}
	repeated = found.record == k.record
	found.record = k.record
	return found, repeated
}

func (k *keyTable) lookUp(place int, attribute string) *key {
	found := k.known[attribute]
	if found == nil {
		found = newKey(strings.Clone(attribute))
		if k.known == nil {
			k.known = map[string]*key{}
		}
		k.known[found.attribute] = found
		k.bytes += len(attribute)
	}
	if place < len(k.order) {
		k.order[place] = found
	} else if place == len(k.order) {
		k.order = append(k.order, found)
	}
	return found
}
