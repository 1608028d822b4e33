// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package experiment

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestJavaHash(t *testing.T) {
	for text, want := range map[string]int32{
		"": 0, "a": 97, "Aa": 2112, "BB": 2112, "hello world": 1794106052, "😀": 1772899, "polygenelubricants": -2147483648,
	} {
		assert.Equal(t, want, javaHash(text), text)
	}
}
