// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package upload // import "github.com/otelcol-amplitude/otelcol-amplitude/receiver/amplitudereceiver/internal/upload"

import "github.com/otelcol-amplitude/otelcol-amplitude/internal/amplitude"

const (
	// maxNames and maxNameBytes bound the names that a reader caches.
	maxNames     = 4096
	maxNameBytes = 256 << 10
)

// family is a group of attributes whose names have a common prefix.
type family uint8

const (
	familyProperty family = iota
	familyNested          // the members of maps in properties
	familyGroup
	familyUser          // and one for each operator
	familyGroupProperty = familyUser + family(numOperators)
	numFamilies         = familyGroupProperty + family(numOperators)
)

const numOperators = 10

// familyPrefixes are the prefixes of attribute names.
var familyPrefixes = func() (prefixes [numFamilies]string) {
	prefixes[familyGroup] = amplitude.AttrGroupsPrefix
	for i, operator := range amplitude.Operators {
		prefixes[familyUser+family(i)] = amplitude.AttrUserPropertiesPrefix + operator + "."
		prefixes[familyGroupProperty+family(i)] = amplitude.AttrGroupPropertiesPrefix + operator + "."
	}
	return prefixes
}()

// names makes and caches the names of attributes, because consecutive events usually have the same.
type names struct {
	known [numFamilies]map[string]string
	count int
	bytes int
}

// attribute returns the name of the attribute of a family for a property. It does not retain the argument.
func (n *names) attribute(f family, property []byte) string {
	if name, ok := n.known[f][string(property)]; ok {
		return name
	}
	prefix := familyPrefixes[f]
	if f == familyProperty && hasPrefix(property, amplitude.AttrPrefix) {
		prefix = amplitude.AttrEventPropertiesPrefix
	}
	name := prefix + string(property)
	if n.count >= maxNames || n.bytes+len(name) > maxNameBytes {
		*n = names{}
	}
	if n.known[f] == nil {
		n.known[f] = map[string]string{}
	}
	n.known[f][name[len(prefix):]] = name
	n.count++
	n.bytes += len(name)
	return name
}

func hasPrefix(text []byte, prefix string) bool {
	return len(text) >= len(prefix) && string(text[:len(prefix)]) == prefix
}
