// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package sandbox // import "github.com/otelcol-amplitude/otelcol-amplitude/sandbox"

import (
	"slices"
	"strings"
	"unicode/utf16"
)

// idFault is what is wrong with a user or device id.
type idFault int

const (
	idGood idFault = iota
	idEmpty
	idRefused
	idShort
	idLong
)

// checkID returns an id as the server stores it, without surrounding white space, and what is wrong with it.
func checkID(id string, shortest, longest int) (string, idFault) {
	if trimmed := strings.TrimSpace(id); len(trimmed) < len(id) {
		id = strings.Clone(trimmed) // releases the white space
	}
	switch n := utf16Length(id); {
	case n == 0:
		return id, idEmpty
	case slices.Contains(refusedIDs, strings.ToLower(id)):
		return id, idRefused
	case n < shortest:
		return id, idShort
	case n > longest:
		return id, idLong
	default:
		return id, idGood
	}
}

// utf16Length returns the length of text in UTF-16 code units. The service is assumed to count those, because most of
// its clients are JavaScript.
func utf16Length(text string) int {
	n := 0
	for _, r := range text {
		n += utf16.RuneLen(r)
	}
	return n
}

// cut returns the longest prefix of text with at most limit UTF-16 code units; it does not split a character, and
// releases the rest, which may be megabytes.
func cut(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	for i, r := range text {
		if limit -= utf16.RuneLen(r); limit < 0 {
			return strings.Clone(text[:i])
		}
	}
	return text
}
