// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitude // import "github.com/otelcol-amplitude/otelcol-amplitude/internal/amplitude"

import (
	"maps"
	"slices"
	"strings"
)

// IDProblem is why Amplitude would not accept a user_id or device_id.
type IDProblem uint8

const (
	// IDOK means that the id can be sent.
	IDOK IDProblem = iota
	// IDEmpty means that nothing is left after trimming.
	IDEmpty
	// IDPlaceholder means that the id is one of the values that Amplitude refuses, such as "null" or "anonymous".
	IDPlaceholder
	// IDTooShort means fewer characters than the minimum length.
	IDTooShort
	// IDTooLong means more than MaxStringLength characters; Amplitude would truncate it, and truncated ids can merge
	// two users.
	IDTooLong
)

// longestPlaceholder bounds the ids that are worth comparing with the placeholders.
const longestPlaceholder = len("00000000-0000-0000-0000-000000000000")

// placeholders are the ids that Amplitude refuses, in lower case: it ignores case. Source: HTTP V2 API, "Invalid IDs";
// the page shows the empty id as a pair of quotes.
var placeholders = map[string]struct{}{
	"anonymous": {}, "nil": {}, "none": {}, "null": {}, "n/a": {}, "na": {}, "undefined": {}, "unknown": {},
	`""`: {}, "00000000-0000-0000-0000-000000000000": {}, "{}": {}, "lmy47d": {}, "0": {}, "-1": {},
}

// Placeholders lists the ids that Amplitude refuses, in lower case; the empty id is not among them.
func Placeholders() []string { return slices.Sorted(maps.Keys(placeholders)) }

// placeholderStarts holds, by length, the first bytes of the placeholders.
var placeholderStarts = func() (starts [longestPlaceholder + 1]string) {
	for id := range placeholders {
		starts[len(id)] += id[:1]
	}
	return starts
}()

// mayBePlaceholder rules out almost every id cheaply.
func mayBePlaceholder(id string) bool {
	if len(id) > longestPlaceholder {
		return false
	}
	first := id[0]
	if 'A' <= first && first <= 'Z' {
		first += 'a' - 'A'
	}
	return strings.IndexByte(placeholderStarts[len(id)], first) >= 0
}

// CheckID trims white space around id, as Amplitude does when it stores one, and checks whether the result can be sent
// with the given minimum length (in UTF-16 code units). Case and all other bytes are kept: an id must equal the one
// used to evaluate the flag.
func CheckID(id string, minLength int) (string, IDProblem) {
	id = strings.TrimSpace(id)
	if id == "" {
		return "", IDEmpty
	}
	if mayBePlaceholder(id) {
		if _, refused := placeholders[strings.ToLower(id)]; refused {
			return id, IDPlaceholder
		}
	}
	// Bytes bound UTF-16 code units from both sides (1 to 3 bytes per unit), so most ids need no counting.
	if len(id) < minLength || len(id) < 3*minLength || len(id) > MaxStringLength {
		switch n := UTF16Length(id); {
		case n < minLength:
			return id, IDTooShort
		case n > MaxStringLength:
			return id, IDTooLong
		}
	}
	return id, IDOK
}
