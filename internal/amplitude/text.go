// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitude // import "github.com/otelcol-amplitude/otelcol-amplitude/internal/amplitude"

import "unicode/utf8"

// maxBMP is the last rune that takes one UTF-16 code unit.
const maxBMP = 0xFFFF

// UTF16Length returns the length of s in UTF-16 code units, the unit in which Amplitude counts characters.
// Each invalid byte counts as one replacement character.
func UTF16Length(s string) int {
	n := 0
	for n < len(s) && s[n] < utf8.RuneSelf { // most strings are ASCII
		n++
	}
	for _, r := range s[n:] {
		n++
		if r > maxBMP {
			n++
		}
	}
	return n
}

// Truncate returns the longest prefix of s that has at most limit UTF-16 code units and ends between runes.
func Truncate(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	units := 0
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		units++
		if r > maxBMP {
			units++
		}
		if units > limit {
			return s[:i]
		}
		i += size
	}
	return s
}
