// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package upload

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/amplitude"
)

// TestFamilies: each operator has its own attributes.
func TestFamilies(t *testing.T) {
	assert.Len(t, amplitude.Operators, numOperators)
	seen := map[string]bool{}
	for f := familyGroup; f < numFamilies; f++ {
		assert.False(t, seen[familyPrefixes[f]], familyPrefixes[f])
		seen[familyPrefixes[f]] = true
	}
}

// TestNamesAreBounded: the cache of names does not grow without bound, and is correct when full.
func TestNamesAreBounded(t *testing.T) {
	var n names
	for i := range 3 * maxNames {
		property := fmt.Sprint("property-", i)
		assert.Equal(t, "amplitude.user_properties.$set."+property, n.attribute(familyUser+2, []byte(property)))
		assert.LessOrEqual(t, n.count, maxNames)
	}
	long := make([]byte, maxNameBytes)
	assert.Equal(t, string(long), n.attribute(familyProperty, long))
	assert.Equal(t, "x", n.attribute(familyProperty, []byte("x")))
	assert.LessOrEqual(t, n.bytes, 2*maxNameBytes)
}
